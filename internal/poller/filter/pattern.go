// Package filter owns the language of event patterns: it compiles a pattern once and tells
// of events whether they match. The language is EventBridge's, as filter criteria of event
// source mappings have it. It must never import another room: it is pure, and others read
// events and say what becomes of those that do not match.
package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of a pattern. Source: Lambda API, Filter (Pattern).
const (
	patternBytesMax = 4096
	// depthMax bounds how deep patterns nest; 4,096 bytes could go deeper than any event does.
	depthMax = 100
)

// ErrPattern is returned (wrapped, with what is wrong) for text that is no pattern.
var ErrPattern = errors.New("filter: not a pattern")

// Pattern is a compiled event pattern. It is safe for concurrent use.
type Pattern struct {
	root *object
}

// Compile reads a pattern.
func Compile(text string) (*Pattern, error) {
	if len(text) > patternBytesMax {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrPattern, patternBytesMax)
	}
	v, err := Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: it is not an object", ErrPattern)
	}
	root, err := compileObject(fields, 0)
	if err != nil {
		return nil, err
	}
	return &Pattern{root}, nil
}

// Match tells whether an event matches. The event is JSON as Decode reads it; values of other
// types match nothing.
func (p *Pattern) Match(event any) bool { return p.root.match(event) }

// Set is patterns of which one must match; an empty one lets everything pass.
type Set []*Pattern

// CompileSet reads patterns.
func CompileSet(texts []string) (Set, error) {
	var out Set
	for i, text := range texts {
		p, err := Compile(text)
		if err != nil {
			return nil, fmt.Errorf("pattern %d: %w", i, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// Match tells whether an event passes.
func (s Set) Match(event any) bool {
	for _, p := range s {
		if p.Match(event) {
			return true
		}
	}
	return len(s) == 0
}

// Decode reads one JSON value and keeps its numbers as they are written.
func Decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

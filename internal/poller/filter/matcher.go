package filter

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// expressions are the names of match expressions.
var expressions = []string{"exactly", "prefix", "suffix", "anything-but", "exists", "equals-ignore-case", "numeric", "cidr", "wildcard"}

// matcher is one way in which a scalar can match.
type matcher interface {
	match(scalar any) bool
	// absent tells whether a field that is not there matches.
	absent() bool
}

// present is embedded by what a missing field cannot match.
type present struct{}

func (present) absent() bool { return false }

func compileMatcher(v any) (matcher, error) {
	switch v := v.(type) {
	case string, bool, nil:
		return literal{value: v}, nil
	case json.Number:
		return literalNumber(v), nil
	case map[string]any:
		if len(v) != 1 {
			return nil, fmt.Errorf("%w: a match expression has exactly one key", ErrPattern)
		}
		for name, value := range v {
			m, err := compileExpression(name, value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w: a match value is a string, a number, true, false, null or a match expression", ErrPattern)
}

func compileExpression(name string, v any) (matcher, error) {
	switch name {
	case "exactly":
		if s, ok := v.(string); ok {
			return literal{value: s}, nil
		}
	case "exists":
		if b, ok := v.(bool); ok {
			return exists(b), nil
		}
	case "numeric":
		if list, ok := v.([]any); ok {
			return compileNumeric(list)
		}
	case "cidr":
		if s, ok := v.(string); ok {
			return compileCIDR(s)
		}
	case "anything-but":
		return compileAnythingBut(v)
	case "prefix", "suffix", "equals-ignore-case", "wildcard":
		return compileText(name, v)
	}
	return nil, fmt.Errorf("%w: there is no such match expression", ErrPattern)
}

// literal matches the same string, true, false or null.
type literal struct {
	present
	value any
}

func (l literal) match(v any) bool {
	switch v.(type) {
	case string, bool, nil:
		return v == l.value
	}
	return false
}

// equalNumber matches a number that is written alike, or that is the same within the bounds
// of numeric. Source: event-ruler, which inserts both matchers for a number.
type equalNumber struct {
	present
	text    string
	value   float64
	numeric bool
}

func literalNumber(n json.Number) matcher {
	value, ok := numberOf(n)
	return equalNumber{text: n.String(), value: value, numeric: ok}
}

func (e equalNumber) match(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	if n.String() == e.text {
		return true
	}
	value, ok := numberOf(n)
	return ok && e.numeric && value == e.value
}

// exists matches every scalar, or the lack of one.
type exists bool

func (e exists) match(any) bool { return bool(e) }
func (e exists) absent() bool   { return !bool(e) }

// network matches addresses in a network.
type network struct {
	present
	prefix netip.Prefix
}

func compileCIDR(s string) (matcher, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPattern, err)
	}
	return network{prefix: p.Masked()}, nil
}

func (n network) match(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	address, err := netip.ParseAddr(s)
	return err == nil && n.prefix.Contains(address.WithZone(""))
}

// anythingBut matches every scalar that matches none of the others.
type anythingBut struct {
	present
	none leaf
}

func (a anythingBut) match(v any) bool {
	for _, m := range a.none {
		if m.match(v) {
			return false
		}
	}
	return true
}

// compileAnythingBut takes a string, a number, a list of the one or of the other, or an
// expression on text with one value or several.
func compileAnythingBut(v any) (matcher, error) {
	switch v := v.(type) {
	case string, json.Number:
		m, err := compileMatcher(v)
		return anythingBut{none: leaf{m}}, err
	case []any:
		none, err := compileLeaf(v)
		if err != nil {
			return nil, err
		}
		if !allOf[string](v) && !allOf[json.Number](v) {
			return nil, fmt.Errorf("%w: all values are strings, or all are numbers", ErrPattern)
		}
		return anythingBut{none: none}, nil
	case map[string]any:
		if len(v) == 1 {
			for name, value := range v {
				none, err := compileTexts(name, value)
				return anythingBut{none: none}, err
			}
		}
	}
	return nil, fmt.Errorf("%w: its value is a string, a number, a list or one expression", ErrPattern)
}

// compileTexts reads an expression inside anything-but.
func compileTexts(name string, v any) (leaf, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 || !allOf[string](list) {
		return nil, fmt.Errorf("%w: %s has a string or strings", ErrPattern, name)
	}
	var out leaf
	for _, one := range list {
		if one == "" && (name == "prefix" || name == "suffix") {
			return nil, fmt.Errorf("%w: a %s is empty", ErrPattern, name)
		}
		m, err := compileText(name, one)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func allOf[T any](list []any) bool {
	for _, v := range list {
		if _, ok := v.(T); !ok {
			return false
		}
	}
	return true
}

// text matches strings.
type text struct {
	present
	test func(string) bool
}

func (t text) match(v any) bool {
	s, ok := v.(string)
	return ok && t.test(s)
}

func compileText(name string, v any) (matcher, error) {
	fold := false
	if inner, ok := v.(map[string]any); ok && len(inner) == 1 && (name == "prefix" || name == "suffix") {
		v, fold = inner["equals-ignore-case"], true
	}
	want, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("%w: its value is a string", ErrPattern)
	}
	switch name {
	case "prefix":
		if fold {
			return text{test: func(s string) bool { return hasPrefixFold(s, want) }}, nil
		}
		return text{test: func(s string) bool { return strings.HasPrefix(s, want) }}, nil
	case "suffix":
		if fold {
			return text{test: func(s string) bool { return hasSuffixFold(s, want) }}, nil
		}
		return text{test: func(s string) bool { return strings.HasSuffix(s, want) }}, nil
	case "equals-ignore-case":
		return text{test: func(s string) bool { return strings.EqualFold(s, want) }}, nil
	case "wildcard":
		w, err := compileWildcard(want)
		return text{test: w.match}, err
	}
	return nil, fmt.Errorf("%w: there is no such match expression on text", ErrPattern)
}

// hasPrefixFold compares as many characters as the prefix has.
func hasPrefixFold(s, prefix string) bool {
	n := len([]rune(prefix))
	for i := range s {
		if n == 0 {
			return strings.EqualFold(s[:i], prefix)
		}
		n--
	}
	return n == 0 && strings.EqualFold(s, prefix)
}

func hasSuffixFold(s, suffix string) bool {
	all, n := []rune(s), len([]rune(suffix))
	return len(all) >= n && strings.EqualFold(string(all[len(all)-n:]), suffix)
}

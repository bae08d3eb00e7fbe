// Package pattern owns the filter-pattern language of CloudWatch Logs: terms,
// patterns of space-delimited events and of JSON events, compiled into a
// matcher. It is pure, and must never import a room of lambdad: a pattern knows
// one message, not where messages come from.
//
// The language is documented in the Amazon CloudWatch Logs User Guide, "Filter
// pattern syntax for metric filters, subscription filters, filter log events,
// and Live Tail".
package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// BytesMax is AWS's limit of a filter pattern.
const BytesMax = 1024

// ErrInvalid is wrapped by what Compile returns; the wrapping text is what the
// service tells its client.
var ErrInvalid = errors.New("invalid filter pattern")

// syntaxError carries exactly the service's text.
type syntaxError string

func (e syntaxError) Error() string        { return string(e) }
func (e syntaxError) Is(target error) bool { return target == ErrInvalid }

// errPattern is what the service says about every pattern of brackets or braces
// that it cannot parse.
const errPattern = syntaxError("Invalid filter pattern")

func errTerm(term string) error {
	return syntaxError(fmt.Sprintf("Invalid character(s) in term '%s'", term))
}

// Pattern is a compiled filter pattern. It is immutable.
type Pattern struct {
	columns bool // of space-delimited events
	match   func(message string) bool
	// extract returns the named values of a matching message.
	extract func(message string) map[string]string
}

// Compile parses a filter pattern. The pattern of nothing but spaces matches
// every message.
func Compile(s string) (*Pattern, error) {
	if len(s) > BytesMax {
		return nil, errPattern
	}
	trimmed := strings.TrimSpace(s)
	switch {
	case trimmed == "":
		return &Pattern{match: func(string) bool { return true }, extract: nothing}, nil
	case trimmed[0] == '{':
		return compileJSON(trimmed)
	case trimmed[0] == '[':
		p, err := compileColumns(trimmed)
		if err != nil {
			return nil, err
		}
		p.columns = true
		return p, nil
	default:
		return compileTerms(trimmed)
	}
}

// Match reports whether the message matches.
func (p *Pattern) Match(message string) bool { return p.match(message) }

// Extract returns what TestMetricFilter shows of a matching message: the columns
// of a space-delimited pattern, the selected properties of a JSON pattern.
func (p *Pattern) Extract(message string) (values map[string]string, ok bool) {
	if !p.match(message) {
		return nil, false
	}
	return p.extract(message), true
}

// Columns are those of a matching message for a pattern of space-delimited events, nil for another.
func (p *Pattern) Columns(message string) map[string]string {
	if !p.columns {
		return nil
	}
	return p.extract(message)
}

func nothing(string) map[string]string { return map[string]string{} }

package filter

import (
	"fmt"
	"strings"
)

// wildcard is the texts between its stars; a star is any text, even none.
type wildcard []string

// compileWildcard reads stars, and \* and \\ for themselves.
func compileWildcard(s string) (wildcard, error) {
	var parts wildcard
	var part strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i == len(s) || s[i] != '*' && s[i] != '\\' {
				return nil, fmt.Errorf("%w: after a backslash comes a star or a backslash", ErrPattern)
			}
			part.WriteByte(s[i])
		case s[i] != '*':
			part.WriteByte(s[i])
		case i > 0 && s[i-1] == '*' && part.Len() == 0:
			return nil, fmt.Errorf("%w: two stars follow each other", ErrPattern)
		default:
			parts = append(parts, part.String())
			part.Reset()
		}
	}
	return append(parts, part.String()), nil
}

func (w wildcard) match(s string) bool {
	first, last := w[0], w[len(w)-1]
	if len(w) == 1 {
		return s == first
	}
	s, ok := strings.CutPrefix(s, first)
	if !ok {
		return false
	}
	for _, part := range w[1 : len(w)-1] {
		// The first place is as good as any: what follows finds the most room.
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s = s[at+len(part):]
	}
	return strings.HasSuffix(s, last)
}

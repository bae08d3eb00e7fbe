package pattern

import "strings"

// term is one of an unstructured pattern: required, optional (?) or excluded (-).
type term struct {
	kind byte // 0, '?' or '-'
	in   func(message string) bool
}

// compileTerms compiles a pattern of terms: all required ones must be in the
// message and no excluded one. Optional ones count only where nothing is
// required or excluded: beside such terms the service ignores the question mark's terms.
func compileTerms(s string) (*Pattern, error) {
	var required, optional, excluded []func(string) bool
	for s != "" {
		t, rest, err := cutTerm(s)
		if err != nil {
			return nil, err
		}
		switch t.kind {
		case '?':
			optional = append(optional, t.in)
		case '-':
			excluded = append(excluded, t.in)
		default:
			required = append(required, t.in)
		}
		s = strings.TrimLeft(rest, whitespace)
	}
	return &Pattern{extract: nothing, match: func(message string) bool {
		for _, in := range excluded {
			if in(message) {
				return false
			}
		}
		for _, in := range required {
			if !in(message) {
				return false
			}
		}
		if len(required)+len(excluded) > 0 {
			return true
		}
		for _, in := range optional {
			if in(message) {
				return true
			}
		}
		return false
	}}, nil
}

const whitespace = " \t\r\n"

func cutTerm(s string) (t term, rest string, err error) {
	whole := s
	if s[0] == '?' || s[0] == '-' {
		t.kind, s = s[0], s[1:]
	}
	if s == "" {
		return t, "", errTerm(whole)
	}
	switch s[0] {
	case '"':
		phrase, rest, ok := cutQuoted(s)
		if !ok {
			return t, "", errTerm(firstWord(whole))
		}
		t.in = func(message string) bool { return strings.Contains(message, phrase) }
		return t, rest, nil
	case '%':
		expression, rest, err := cutRegex(s)
		if err != nil {
			return t, "", err
		}
		t.in = expression.MatchString
		return t, rest, nil
	}
	word := firstWord(s)
	if word == "" {
		return t, "", errTerm(firstWord(whole))
	}
	for i := range len(word) {
		if !plainByte(word[i]) {
			return t, "", errTerm(firstWord(whole))
		}
	}
	t.in = func(message string) bool { return strings.Contains(message, word) }
	return t, s[len(word):], nil
}

// plainByte may stand in a term without quotes.
func plainByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, whitespace); i >= 0 {
		return s[:i]
	}
	return s
}

// cutQuoted reads a phrase in double quotes; a backslash makes a quote or a
// backslash part of it.
func cutQuoted(s string) (phrase, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

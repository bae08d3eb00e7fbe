package insights

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int8

const (
	tokenEnd    tokenKind = iota
	tokenName             // a word, or a field's name
	tokenQuoted           // a name in backticks
	tokenNumber
	tokenPeriod // a number with a unit: 5m
	tokenText
	tokenSymbol
)

type token struct {
	kind  tokenKind
	text  string // of texts and quoted names without their quotes
	start int
	end   int
}

// scanner cuts a query into tokens. What is a slash and what begins a pattern, the parser knows.
type scanner struct {
	query string
	at    int
	token token // the next one
	last  int   // where the one before it ended
}

// SyntaxErrors are panics inside of the package's parser; Parse turns them into errors.
func (s *scanner) fail(t token, format string, args ...any) {
	panic(&SyntaxError{Text: fmt.Sprintf(format, args...), Start: t.start, End: max(t.end, t.start)})
}

// unexpected fails in the service's words.
func (s *scanner) unexpected(t token) {
	if t.kind == tokenEnd {
		s.fail(t, "unexpected end of the query")
	}
	line := 1 + strings.Count(s.query[:t.start], "\n")
	position := t.start - (strings.LastIndexByte(s.query[:t.start], '\n') + 1)
	s.fail(t, "unexpected symbol found %s at line %d and position %d", s.query[t.start:t.end], line, position)
}

// symbols of two bytes come first.
var symbols = []string{"!=", "<=", ">=", "=~", "||", "&&", "|", ",", "(", ")", "[", "]", "=", "<", ">", "+", "-", "*", "/", "%", "^"}

// next moves on to the next token.
func (s *scanner) next() {
	s.last = s.token.end
	s.skip()
	start := s.at
	if start == len(s.query) {
		s.token = token{kind: tokenEnd, start: start, end: start}
		return
	}
	rest := s.query[start:]
	switch c := rest[0]; {
	case c == '"' || c == '\'' || c == '`':
		s.quoted(c)
		return
	case c >= '0' && c <= '9':
		s.number()
		return
	}
	if n := nameLength(rest); n > 0 {
		s.take(tokenName, n)
		return
	}
	for _, symbol := range symbols {
		if strings.HasPrefix(rest, symbol) {
			s.take(tokenSymbol, len(symbol))
			return
		}
	}
	_, n := utf8.DecodeRuneInString(rest)
	s.unexpected(token{kind: tokenSymbol, start: start, end: start + n})
}

func (s *scanner) take(k tokenKind, n int) {
	s.token = token{kind: k, text: s.query[s.at : s.at+n], start: s.at, end: s.at + n}
	s.at += n
}

// skip passes blanks and comments, which go from # to the line's end.
func (s *scanner) skip() {
	for s.at < len(s.query) {
		r, n := utf8.DecodeRuneInString(s.query[s.at:])
		switch {
		case unicode.IsSpace(r):
			s.at += n
		case r == '#':
			if end := strings.IndexByte(s.query[s.at:], '\n'); end >= 0 {
				s.at += end
			} else {
				s.at = len(s.query)
			}
		default:
			return
		}
	}
}

// nameLength is that of a field's name: letters, digits, _ and, inside of it, dots; @ begins Insights' own.
func nameLength(s string) int {
	n := 0
	if s[0] == '@' {
		n = 1
	}
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r != '_' && !unicode.IsLetter(r) && (n == 0 || !unicode.IsDigit(r) && r != '.') {
			break
		}
		n += size
	}
	if s[:n] == "@" {
		return 0
	}
	return n
}

func (s *scanner) number() {
	n := 0
	digits := func() {
		for s.at+n < len(s.query) && s.query[s.at+n] >= '0' && s.query[s.at+n] <= '9' {
			n++
		}
	}
	digits()
	if rest := s.query[s.at+n:]; len(rest) > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9' {
		n++
		digits()
	}
	k := tokenNumber
	for s.at+n < len(s.query) && (s.query[s.at+n]|0x20 >= 'a' && s.query[s.at+n]|0x20 <= 'z') {
		k = tokenPeriod
		n++
	}
	s.take(k, n)
}

// quoted takes a text or a name. A backslash takes the quote's meaning, and is kept before anything else.
func (s *scanner) quoted(quote byte) {
	start := s.at
	var b strings.Builder
	for i := start + 1; i < len(s.query); i++ {
		switch c := s.query[i]; {
		case c == '\\' && i+1 < len(s.query) && (s.query[i+1] == quote || s.query[i+1] == '\\'):
			i++
			b.WriteByte(s.query[i])
		case c == quote:
			k := tokenText
			if quote == '`' {
				k = tokenQuoted
			}
			s.at = i + 1
			s.token = token{kind: k, text: b.String(), start: start, end: s.at}
			return
		default:
			b.WriteByte(c)
		}
	}
	s.fail(token{start: start, end: len(s.query)}, "a quote is not closed: %c", quote)
}

// pattern takes the regular expression that the current token, a slash, begins, and moves on.
func (s *scanner) pattern() (expression string, at token) {
	at = s.token
	if at.text != "/" {
		s.unexpected(at)
	}
	var b strings.Builder
	for i := at.end; i < len(s.query); i++ {
		switch c := s.query[i]; {
		case c == '\\' && i+1 < len(s.query):
			if s.query[i+1] != '/' {
				b.WriteByte(c)
			}
			i++
			b.WriteByte(s.query[i])
		case c == '/':
			at.end, s.token.end, s.at = i+1, i+1, i+1
			s.next()
			return b.String(), at
		default:
			b.WriteByte(c)
		}
	}
	at.end = len(s.query)
	s.fail(at, "a regular expression is not closed")
	return "", at
}

// is tells whether the next token is the word or symbol; words are the same in capitals.
func (s *scanner) is(word string) bool {
	return (s.token.kind == tokenName || s.token.kind == tokenSymbol) && strings.EqualFold(s.token.text, word)
}

// accept moves on if the next token is the word or symbol.
func (s *scanner) accept(words ...string) bool {
	for _, word := range words {
		if s.is(word) {
			s.next()
			return true
		}
	}
	return false
}

func (s *scanner) expect(word string) {
	if !s.accept(word) {
		s.unexpected(s.token)
	}
}

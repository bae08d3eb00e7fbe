package frontend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// payloadFault says what is wrong with a payload that is no JSON, in the words of the
// JSON reader that AWS uses, and "" if nothing is. Source: the recorded
// test_lambda_invoke_payload_encoding_error; the other texts are that reader's own.
func payloadFault(b []byte) string {
	if utf8.Valid(b) && json.Valid(b) {
		return ""
	}
	s := &jsonScan{b: b}
	s.document()
	if s.fault == "" {
		// The two readers differ about something: what cannot be told exactly is told plainly.
		s.at = len(b)
		s.fail("Unexpected end-of-input", s.at)
	}
	return s.fault
}

const (
	redacted       = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]"
	expectedValue  = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	expectedTokens = "was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	// jsonDepthMax is how deep that reader goes.
	jsonDepthMax = 1000
)

// jsonScan walks through a document until the first fault.
type jsonScan struct {
	b     []byte
	at    int
	fault string
	open  []int // where the open objects and arrays began
}

// fail notes the first fault, at a byte.
func (s *jsonScan) fail(text string, at int) bool {
	if s.fault == "" {
		line, column := s.position(at)
		s.fault = text + "\n at " + fmt.Sprintf(redacted, line, column)
	}
	return false
}

func (s *jsonScan) position(at int) (line, column int) {
	before := s.b[:min(at, len(s.b))]
	return 1 + bytes.Count(before, []byte{'\n'}), at - bytes.LastIndexByte(before, '\n')
}

func (s *jsonScan) document() {
	if !s.value() {
		return
	}
	if s.space(); s.at < len(s.b) {
		s.value() // something follows; it is at fault, or one value too many
		if s.fault == "" {
			s.fail("Trailing token found after value", s.at)
		}
	}
}

func (s *jsonScan) space() {
	for s.at < len(s.b) && (s.b[s.at] == ' ' || s.b[s.at] == '\t' || s.b[s.at] == '\n' || s.b[s.at] == '\r') {
		s.at++
	}
}

func (s *jsonScan) value() bool {
	s.space()
	if s.at >= len(s.b) {
		return s.ended()
	}
	switch c := s.b[s.at]; {
	case c == '{':
		return s.nested(s.object)
	case c == '[':
		return s.nested(s.array)
	case c == '"':
		s.at++
		return s.text("VALUE_STRING")
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 'n':
		return s.token("null")
	case c == 't':
		return s.token("true")
	case c == 'f':
		return s.token("false")
	case unicode.IsLetter(rune(c)) || c == '_' || c == '$':
		return s.token("")
	}
	return s.unexpected(expectedValue)
}

func (s *jsonScan) nested(inside func() bool) bool {
	if len(s.open) >= jsonDepthMax {
		return s.fail(fmt.Sprintf("Document nesting depth (%d) exceeds the maximum allowed (%d, from `StreamReadConstraints.getMaxNestingDepth()`)", jsonDepthMax+1, jsonDepthMax), s.at+1)
	}
	s.open = append(s.open, s.at)
	s.at++
	ok := inside()
	if ok {
		s.open = s.open[:len(s.open)-1]
	}
	return ok
}

func (s *jsonScan) object() bool {
	for first := true; ; first = false {
		s.space()
		if s.at >= len(s.b) {
			return s.ended()
		}
		if first && s.b[s.at] == '}' {
			s.at++
			return true
		}
		if s.b[s.at] != '"' {
			return s.unexpected("was expecting double-quote to start field name")
		}
		s.at++
		if !s.text("field name") {
			return false
		}
		s.space()
		if s.at >= len(s.b) {
			return s.ended()
		}
		if s.b[s.at] != ':' {
			return s.unexpected("was expecting a colon to separate field name and value")
		}
		s.at++
		if !s.value() {
			return false
		}
		if done, ok := s.follows('}', "was expecting comma to separate Object entries"); done || !ok {
			return ok
		}
	}
}

func (s *jsonScan) array() bool {
	for first := true; ; first = false {
		s.space()
		if first && s.at < len(s.b) && s.b[s.at] == ']' {
			s.at++
			return true
		}
		if !s.value() {
			return false
		}
		if done, ok := s.follows(']', "was expecting comma to separate Array entries"); done || !ok {
			return ok
		}
	}
}

// follows reads the comma or the end that comes after an entry.
func (s *jsonScan) follows(end byte, expected string) (done, ok bool) {
	s.space()
	switch {
	case s.at >= len(s.b):
		return false, s.ended()
	case s.b[s.at] == end:
		s.at++
		return true, true
	case s.b[s.at] == ',':
		s.at++
		return false, true
	}
	return false, s.unexpected(expected)
}

// text reads the rest of a string.
func (s *jsonScan) text(what string) bool {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < ' ':
			s.at++
			return s.fail(fmt.Sprintf("Illegal unquoted character (%s): has to be escaped using backslash to be included in %s",
				describe(rune(c)), map[string]string{"VALUE_STRING": "string value", "field name": "name"}[what]), s.at)
		case c < utf8.RuneSelf:
			s.at++
		default:
			if !s.rune() {
				return false
			}
		}
	}
	if what == "field name" {
		return s.fail("Unexpected end-of-input in field name", s.at)
	}
	return s.fail("Unexpected end-of-input: was expecting closing quote for a string value", s.at)
}

func (s *jsonScan) escape() bool {
	s.at++
	if s.at >= len(s.b) {
		return s.fail("Unexpected end-of-input in character escape sequence", s.at)
	}
	c := s.b[s.at]
	s.at++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
	default:
		return s.fail(fmt.Sprintf("Unrecognized character escape %s", describe(rune(c))), s.at)
	}
	for range 4 {
		if s.at >= len(s.b) {
			return s.fail("Unexpected end-of-input in character escape sequence", s.at)
		}
		if !isHex(s.b[s.at]) {
			return s.unexpected("expected a hex-digit for character escape sequence")
		}
		s.at++
	}
	return true
}

// rune reads one character of several bytes.
func (s *jsonScan) rune() bool {
	r, n := utf8.DecodeRune(s.b[s.at:])
	if r == utf8.RuneError && n <= 1 {
		c := s.b[s.at]
		if c < 0xC0 || c > 0xF7 {
			return s.fail(fmt.Sprintf("Invalid UTF-8 start byte 0x%x", c), s.at+1)
		}
		middle := byte(0)
		if s.at+1 < len(s.b) {
			middle = s.b[s.at+1]
		}
		return s.fail(fmt.Sprintf("Invalid UTF-8 middle byte 0x%x", middle), s.at+2)
	}
	s.at += n
	return true
}

// token reads a word, which should be the one that its first letter promises.
func (s *jsonScan) token(word string) bool {
	began := s.at
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c < utf8.RuneSelf {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$') {
				break
			}
			s.at++
			continue
		}
		if !s.rune() {
			return false
		}
	}
	if word != "" && string(s.b[began:s.at]) == word {
		return true
	}
	return s.fail(fmt.Sprintf("Unrecognized token '%.256s': %s", s.b[began:s.at], expectedTokens), s.at)
}

func (s *jsonScan) number() bool {
	digits := func() int {
		n := 0
		for ; s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9'; s.at++ {
			n++
		}
		return n
	}
	if s.b[s.at] == '-' {
		s.at++
	}
	first := s.at
	switch n := digits(); {
	case n == 0 && s.at >= len(s.b):
		return s.ended()
	case n == 0:
		return s.unexpected("expected digit (0-9) to follow minus sign, for valid numeric value")
	case n > 1 && s.b[first] == '0':
		return s.fail("Invalid numeric value: Leading zeroes not allowed", first+1)
	}
	if s.at < len(s.b) && s.b[s.at] == '.' {
		s.at++
		if digits() == 0 {
			return s.unexpected("Decimal point not followed by a digit")
		}
	}
	if s.at < len(s.b) && (s.b[s.at] == 'e' || s.b[s.at] == 'E') {
		s.at++
		if s.at < len(s.b) && (s.b[s.at] == '+' || s.b[s.at] == '-') {
			s.at++
		}
		if digits() == 0 {
			return s.unexpected("Exponent indicator not followed by a digit")
		}
	}
	if s.at < len(s.b) && s.b[s.at] < utf8.RuneSelf && (unicode.IsLetter(rune(s.b[s.at])) || s.b[s.at] == '.') {
		return s.unexpected("Expected space separating root-level values")
	}
	return true
}

// ended is the document's end where more was wanted.
func (s *jsonScan) ended() bool {
	if len(s.open) == 0 {
		return s.fail("No content to map due to end-of-input", s.at)
	}
	began := s.open[len(s.open)-1]
	kind := "Object"
	if s.b[began] == '[' {
		kind = "Array"
	}
	line, column := s.position(began)
	return s.fail("Unexpected end-of-input: expected close marker for "+kind+" (start marker at "+fmt.Sprintf(redacted, line, column)+")", s.at)
}

func (s *jsonScan) unexpected(expected string) bool {
	if s.at >= len(s.b) {
		return s.ended()
	}
	// That reader describes the byte, not the character it may begin.
	return s.fail(fmt.Sprintf("Unexpected character (%s): %s", describe(rune(s.b[s.at])), expected), s.at)
}

func describe(c rune) string {
	if unicode.IsControl(c) {
		return fmt.Sprintf("(CTRL-CHAR, code %d)", c)
	}
	return fmt.Sprintf("'%c' (code %d)", c, c)
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

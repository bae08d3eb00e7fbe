package jsoncodec

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// space steps over white space.
func (d *Decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// peek is the first byte of the next token, 0 at the end.
func (d *Decoder) peek() byte {
	d.space()
	if d.pos < len(d.data) {
		return d.data[d.pos]
	}
	return 0
}

func (d *Decoder) expect(c byte) error {
	if d.peek() != c || d.pos >= len(d.data) {
		return d.unexpected("'" + string(rune(c)) + "'")
	}
	d.pos++
	return nil
}

func (d *Decoder) literal(word string) bool {
	d.space()
	if len(d.data)-d.pos >= len(word) && string(d.data[d.pos:d.pos+len(word)]) == word {
		d.pos += len(word)
		return true
	}
	return false
}

func (d *Decoder) unexpected(want string) error {
	if d.pos >= len(d.data) {
		return shape.Malformed("Unexpected end-of-input: want %s", want)
	}
	return shape.Malformed("Unexpected character at byte %d: want %s", d.pos, want)
}

// number steps over a number in JSON's grammar and returns its text.
func (d *Decoder) number() (text []byte, whole bool, err error) {
	d.space()
	start := d.pos
	whole = true
	if d.at('-') {
		d.pos++
	}
	switch {
	case d.at('0'):
		d.pos++
	case d.digits() == 0:
		d.pos = start
		return nil, false, d.unexpected("a number")
	}
	if d.at('.') {
		d.pos++
		whole = false
		if d.digits() == 0 {
			return nil, false, d.unexpected("a digit")
		}
	}
	if d.at('e') || d.at('E') {
		d.pos++
		whole = false
		if d.at('+') || d.at('-') {
			d.pos++
		}
		if d.digits() == 0 {
			return nil, false, d.unexpected("a digit")
		}
	}
	return d.data[start:d.pos], whole, nil
}

func (d *Decoder) at(c byte) bool { return d.pos < len(d.data) && d.data[d.pos] == c }

func (d *Decoder) digits() int {
	start := d.pos
	for d.pos < len(d.data) && d.data[d.pos] >= '0' && d.data[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - start
}

// rawString steps over a string. simple strings have no escapes, so that text is
// their value.
func (d *Decoder) rawString() (text []byte, simple bool, err error) {
	if d.peek() != '"' {
		return nil, false, d.unexpected("a string")
	}
	d.pos++
	start := d.pos
	simple = true
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			text = d.data[start:d.pos]
			d.pos++
			return text, simple, nil
		case c == '\\':
			simple = false
			d.pos += 2
		case c < 0x20:
			return nil, false, d.unexpected("no control character in a string")
		default:
			d.pos++
		}
	}
	d.pos = len(d.data)
	return nil, false, d.unexpected("the end of a string")
}

// text reads a string's value. JSON is UTF-8: anything else is refused.
func (d *Decoder) text() (string, error) {
	raw, simple, err := d.rawString()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(raw) {
		return "", shape.Malformed("Invalid UTF-8 in a string")
	}
	if simple {
		return string(raw), nil
	}
	return unescape(raw)
}

func unescape(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++ // rawString took care that a byte follows
		switch c := raw[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(raw[i+1:])
			if !ok {
				return "", shape.Malformed("Bad escape in a string")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(utf8.RuneError)
				if len(raw) > i+2 && raw[i+1] == '\\' && raw[i+2] == 'u' {
					if r2, ok := hex4(raw[i+3:]); ok {
						if low = utf16.DecodeRune(r, r2); low != utf8.RuneError {
							i += 6
						}
					}
				}
				r = low
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", shape.Malformed("Bad escape in a string")
		}
	}
	return string(out), nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// skip steps over any value.
func (d *Decoder) skip() error {
	switch c := d.peek(); {
	case c == '{', c == '[':
		return d.skipNested(c)
	case c == '"':
		_, _, err := d.rawString()
		return err
	case d.literal("true"), d.literal("false"), d.literal("null"):
		return nil
	}
	_, _, err := d.number()
	return err
}

func (d *Decoder) skipNested(open byte) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.leave()
	d.pos++
	end := open + 2 // ] and } stand two after [ and {
	for first := true; ; first = false {
		if d.peek() == end {
			d.pos++
			return nil
		}
		if !first {
			if err := d.expect(','); err != nil {
				return err
			}
		}
		if open == '{' {
			if _, _, err := d.rawString(); err != nil {
				return err
			}
			if err := d.expect(':'); err != nil {
				return err
			}
		}
		if err := d.skip(); err != nil {
			return err
		}
	}
}

func (d *Decoder) enter() error {
	if d.depth++; d.depth > shape.DepthMax {
		return shape.Malformed("Nested deeper than %d", shape.DepthMax)
	}
	return nil
}

func (d *Decoder) leave() { d.depth-- }

package pattern

import (
	"regexp"
	"strconv"
	"strings"
)

// regexesMax is the service's limit of regular expressions in one pattern of
// brackets or braces.
const regexesMax = 2

// regexSymbols may stand in a regular expression beside letters and digits;
// parentheses may not, and neither may bytes beyond ASCII.
const regexSymbols = ":_#=@/;,- " + `^$?[]{}|\*+.`

// cutRegex reads %expression%.
func cutRegex(s string) (*regexp.Regexp, string, error) {
	end := strings.IndexByte(s[1:], '%')
	if end <= 0 {
		return nil, "", errPattern
	}
	source := s[1 : 1+end]
	for i := range len(source) {
		c := source[i]
		escaped := i > 0 && source[i-1] == '\\'
		if c >= 0x80 || !plainByte(c) && !escaped && strings.IndexByte(regexSymbols, c) < 0 {
			return nil, "", errPattern
		}
	}
	// Go's expressions take linear time, so a caller cannot make one hang.
	expression, err := regexp.Compile(source)
	if err != nil {
		return nil, "", errPattern
	}
	return expression, s[2+end:], nil
}

// operand is the right side of a comparison.
type operand struct {
	text   string
	quoted bool
	number float64
	isNum  bool
	regex  *regexp.Regexp
}

func textOperand(text string, quoted bool) operand {
	o := operand{text: text, quoted: quoted}
	if !quoted {
		o.number, o.isNum = parseNumber(text)
	}
	return o
}

// value is the left side: what a message holds.
type value struct {
	text  string
	isNum bool
	num   float64
}

// fieldValue is a column of a space-delimited event: a number if it reads as one.
func fieldValue(text string) value {
	n, ok := parseNumber(text)
	return value{text: text, isNum: ok, num: n}
}

// parseNumber reads a decimal number, with an exponent or without; NaN, Infinity, 0x10 and 1_000, which Go
// reads too, are words.
func parseNumber(text string) (float64, bool) {
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// compare applies =, !=, <, >, <= or >=.
func (o operand) compare(v value, operator string) bool {
	switch operator {
	case "=":
		return o.equal(v)
	case "!=":
		return !o.equal(v)
	}
	if !o.isNum || !v.isNum {
		return false
	}
	switch operator {
	case "<":
		return v.num < o.number
	case ">":
		return v.num > o.number
	case "<=":
		return v.num <= o.number
	default:
		return v.num >= o.number
	}
}

func (o operand) equal(v value) bool {
	switch {
	case o.regex != nil:
		return o.regex.MatchString(v.text)
	case o.isNum && v.isNum:
		return o.number == v.num
	default:
		return wildcard(o.text, v.text)
	}
}

// ordered reports whether the operand can stand after <, >, <= and >=.
func (o operand) ordered() bool { return o.isNum && o.regex == nil }

// wildcard matches s with a pattern in which * stands for any bytes. It goes
// back only to the last *, so it takes no more than len(p)*len(s) steps.
func wildcard(p, s string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i < len(p) && p[i] == s[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// scanner walks over a pattern of brackets or braces.
type scanner struct {
	s       string
	regexes int
}

func (c *scanner) space() { c.s = strings.TrimLeft(c.s, whitespace) }

// take drops token if it comes next.
func (c *scanner) take(token string) bool {
	c.space()
	if !strings.HasPrefix(c.s, token) {
		return false
	}
	c.s = c.s[len(token):]
	return true
}

// operator reads a comparison.
func (c *scanner) operator() (string, bool) {
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if c.take(op) {
			return op, true
		}
	}
	return "", false
}

// operand reads a value: quoted, %regex%, or bare up to one of stop.
func (c *scanner) operand(stop string) (operand, error) {
	c.space()
	if c.s == "" {
		return operand{}, errPattern
	}
	switch c.s[0] {
	case '"':
		text, rest, ok := cutQuoted(c.s)
		if !ok {
			return operand{}, errPattern
		}
		c.s = rest
		return textOperand(text, true), nil
	case '%':
		expression, rest, err := cutRegex(c.s)
		if err != nil {
			return operand{}, err
		}
		if c.regexes++; c.regexes > regexesMax {
			return operand{}, errPattern
		}
		c.s = rest
		return operand{regex: expression}, nil
	}
	word := c.word(stop)
	if word == "" {
		return operand{}, errPattern
	}
	return textOperand(word, false), nil
}

// word reads up to a space or one of stop.
func (c *scanner) word(stop string) string {
	c.space()
	i := strings.IndexAny(c.s, whitespace+stop)
	if i < 0 {
		i = len(c.s)
	}
	word := c.s[:i]
	c.s = c.s[i:]
	return word
}

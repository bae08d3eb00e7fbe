package policy

import (
	"encoding/base64"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// family is the kind of comparison an operator makes.
type family uint8

const (
	famString family = iota
	famStringFold
	famLike
	famNumeric
	famDate
	famBool
	famBinary
	famIP
	famARN
	famNull
)

// order is which outcomes of a comparison satisfy a numeric or date operator.
type order uint8

const (
	orderEqual order = iota
	orderLess
	orderLessEqual
	orderGreater
	orderGreaterEqual
)

type operator struct {
	family family
	order  order
	negate bool
}

// operatorNamed finds an operator of the IAM reference ("IAM JSON policy
// elements: Condition operators"), without its set prefix and IfExists.
func operatorNamed(name string) (operator, bool) {
	switch name {
	case "StringEquals":
		return operator{family: famString}, true
	case "StringNotEquals":
		return operator{family: famString, negate: true}, true
	case "StringEqualsIgnoreCase":
		return operator{family: famStringFold}, true
	case "StringNotEqualsIgnoreCase":
		return operator{family: famStringFold, negate: true}, true
	case "StringLike":
		return operator{family: famLike}, true
	case "StringNotLike":
		return operator{family: famLike, negate: true}, true
	case "NumericEquals":
		return operator{family: famNumeric}, true
	case "NumericNotEquals":
		return operator{family: famNumeric, negate: true}, true
	case "NumericLessThan":
		return operator{family: famNumeric, order: orderLess}, true
	case "NumericLessThanEquals":
		return operator{family: famNumeric, order: orderLessEqual}, true
	case "NumericGreaterThan":
		return operator{family: famNumeric, order: orderGreater}, true
	case "NumericGreaterThanEquals":
		return operator{family: famNumeric, order: orderGreaterEqual}, true
	case "DateEquals":
		return operator{family: famDate}, true
	case "DateNotEquals":
		return operator{family: famDate, negate: true}, true
	case "DateLessThan":
		return operator{family: famDate, order: orderLess}, true
	case "DateLessThanEquals":
		return operator{family: famDate, order: orderLessEqual}, true
	case "DateGreaterThan":
		return operator{family: famDate, order: orderGreater}, true
	case "DateGreaterThanEquals":
		return operator{family: famDate, order: orderGreaterEqual}, true
	case "Bool":
		return operator{family: famBool}, true
	case "BinaryEquals":
		return operator{family: famBinary}, true
	case "IpAddress":
		return operator{family: famIP}, true
	case "NotIpAddress":
		return operator{family: famIP, negate: true}, true
	case "ArnEquals", "ArnLike": // the same since 2018
		return operator{family: famARN}, true
	case "ArnNotEquals", "ArnNotLike":
		return operator{family: famARN, negate: true}, true
	case "Null":
		return operator{family: famNull}, true
	}
	return operator{}, false
}

type quantifier uint8

const (
	quantNone quantifier = iota
	quantAll
	quantAny
)

// condition is one key under one operator.
type condition struct {
	op       operator
	quant    quantifier
	ifExists bool
	key      string   // in lower case: keys know no case
	name     string   // the key as written
	values   []string // as written

	patterns []pattern
	numbers  []float64
	times    []time.Time
	nets     []netip.Prefix
	blobs    []string
	bools    []bool
}

// compileCondition reads one operator with one key. ok is false where the
// operator or a value is not of the language.
func compileCondition(operatorName, key string, values []string, version string) (c condition, ok bool) {
	name := operatorName
	if rest, found := strings.CutPrefix(name, "ForAllValues:"); found {
		name, c.quant = rest, quantAll
	} else if rest, found := strings.CutPrefix(name, "ForAnyValue:"); found {
		name, c.quant = rest, quantAny
	}
	if rest, found := strings.CutSuffix(name, "IfExists"); found {
		name, c.ifExists = rest, true
	}
	if c.op, ok = operatorNamed(name); !ok {
		return c, false
	}
	if c.op.family == famNull && (c.ifExists || c.quant != quantNone) {
		return c, false
	}
	c.key, c.name, c.values = strings.ToLower(key), key, values
	form := patternForm{variables: version == Version2012}
	for _, v := range values {
		if !c.addValue(v, form) {
			return c, false
		}
	}
	return c, true
}

func (c *condition) addValue(v string, form patternForm) bool {
	switch c.op.family {
	case famString:
		c.patterns = append(c.patterns, compilePattern(v, form))
	case famStringFold:
		form.fold = true
		c.patterns = append(c.patterns, compilePattern(v, form))
	case famLike:
		form.wildcards = true
		c.patterns = append(c.patterns, compilePattern(v, form))
	case famARN:
		form.wildcards, form.arn = true, true
		c.patterns = append(c.patterns, compileARN(v, form))
	case famNumeric:
		n, ok := parseNumber(v)
		if !ok {
			return false
		}
		c.numbers = append(c.numbers, n)
	case famDate:
		t, ok := parseDate(v)
		if !ok {
			return false
		}
		c.times = append(c.times, t)
	case famIP:
		p, ok := parseNet(v)
		if !ok {
			return false
		}
		c.nets = append(c.nets, p)
	case famBinary:
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return false
		}
		c.blobs = append(c.blobs, string(b))
	case famBool, famNull:
		b, ok := parseBool(v)
		if !ok {
			return false
		}
		c.bools = append(c.bools, b)
	}
	return true
}

// holds evaluates the condition. How absence, negation and the set operators
// play together is the table of the user guide's "Multivalued context keys"
// and "...IfExists condition operators".
func (c *condition) holds(ctx Context) bool {
	values, present := lookup(ctx, c.key)
	if c.op.family == famNull {
		for _, wantAbsent := range c.bools {
			if wantAbsent != present {
				return true
			}
		}
		return false
	}
	if !present {
		switch {
		case c.ifExists || c.quant == quantAll:
			return true
		case c.quant == quantAny:
			return false
		default:
			return c.op.negate
		}
	}
	switch c.quant {
	case quantAll:
		for _, v := range values {
			if c.matches(v, ctx) == c.op.negate {
				return false
			}
		}
		return true
	case quantAny:
		for _, v := range values {
			if c.matches(v, ctx) != c.op.negate {
				return true
			}
		}
		return false
	}
	// Without a set operator a positive comparison needs one value that
	// matches, a negated one that none does.
	for _, v := range values {
		if c.matches(v, ctx) {
			return !c.op.negate
		}
	}
	return c.op.negate
}

// matches compares one value of the request with all values of the policy, as
// if the operator were not negated.
func (c *condition) matches(v string, ctx Context) bool {
	switch c.op.family {
	case famString, famStringFold, famLike:
		for i := range c.patterns {
			if c.patterns[i].match(v, ctx) {
				return true
			}
		}
	case famARN:
		if strings.HasPrefix(v, "arn:") {
			for i := range c.patterns {
				if c.patterns[i].match(v, ctx) {
					return true
				}
			}
		}
	case famNumeric:
		n, ok := parseNumber(v)
		for _, want := range c.numbers {
			if ok && c.op.order.accepts(compareFloat(n, want)) {
				return true
			}
		}
	case famDate:
		t, ok := parseDate(v)
		for _, want := range c.times {
			if ok && c.op.order.accepts(t.Compare(want)) {
				return true
			}
		}
	case famIP:
		a, err := netip.ParseAddr(v)
		for _, n := range c.nets {
			if err == nil && n.Contains(a.Unmap()) {
				return true
			}
		}
	case famBinary:
		b, err := base64.StdEncoding.DecodeString(v)
		for _, want := range c.blobs {
			if err == nil && string(b) == want {
				return true
			}
		}
	case famBool:
		b, ok := parseBool(v)
		for _, want := range c.bools {
			if ok && b == want {
				return true
			}
		}
	}
	return false
}

func (o order) accepts(cmp int) bool {
	switch o {
	case orderLess:
		return cmp < 0
	case orderLessEqual:
		return cmp <= 0
	case orderGreater:
		return cmp > 0
	case orderGreaterEqual:
		return cmp >= 0
	default:
		return cmp == 0
	}
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func parseNumber(s string) (float64, bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// parseDate reads the W3C profile of ISO 8601, or seconds since the epoch.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range [...]string{
		time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02", "2006-01", "2006",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), true
	}
	return time.Time{}, false
}

func parseNet(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// compileARN completes an ARN with fewer than six parts by wildcards, as IAM
// does.
func compileARN(s string, form patternForm) pattern {
	if s != "*" && strings.Count(s, ":") < 5 && !strings.HasSuffix(s, "*") {
		s = strings.TrimSuffix(s, ":") + ":*"
	}
	return compilePattern(s, form)
}

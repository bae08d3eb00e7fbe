package insights

import (
	"math"
	"strconv"
	"strings"
	"time"
)

type kind int8

const (
	absent kind = iota
	text
	number
	moment // milliseconds since 1970, shown as a time
)

// value is what a field or an expression is. A truth is the number 1 or 0.
type value struct {
	kind kind
	num  float64
	text string
}

func textOf(s string) value       { return value{kind: text, text: s} }
func numberOf(f float64) value    { return value{kind: number, num: f} }
func momentOf(millis int64) value { return value{kind: moment, num: float64(millis)} }

func truthOf(b bool) value {
	if b {
		return numberOf(1)
	}
	return numberOf(0)
}

// momentForm is how Insights shows times.
const momentForm = "2006-01-02 15:04:05.000"

func (v value) String() string {
	switch v.kind {
	case text:
		return v.text
	case number:
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case moment:
		return time.UnixMilli(int64(v.num)).UTC().Format(momentForm)
	}
	return ""
}

// numeric is the value as a number, if it is or reads as one.
func (v value) numeric() (float64, bool) {
	switch v.kind {
	case number, moment:
		return v.num, true
	case text:
		f, err := strconv.ParseFloat(strings.TrimSpace(v.text), 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

func (v value) truth() bool {
	switch v.kind {
	case number, moment:
		return v.num != 0
	case text:
		return v.text != "" && v.text != "0" && !strings.EqualFold(v.text, "false")
	}
	return false
}

// compare orders two values that are there: as numbers where both read as numbers, else as texts.
func compare(a, b value) int {
	x, isNumber := a.numeric()
	y, both := b.numeric()
	switch {
	case !isNumber || !both:
		return strings.Compare(a.String(), b.String())
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// order is compare for sorting: what is absent comes first.
func order(a, b value) int {
	if a.kind == absent || b.kind == absent {
		return int(min(a.kind, 1)) - int(min(b.kind, 1))
	}
	return compare(a, b)
}

// Package timestamp owns the three ways in which AWS protocols write a time. It
// must never import a protocol: they differ in their defaults only.
package timestamp

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// Or is the member's own format, or the default of the place.
func Or(f, byDefault shape.TimestampFormat) shape.TimestampFormat {
	if f == shape.TimestampDefault {
		return byDefault
	}
	return f
}

// Append writes t. Fractions are written to the millisecond, and only where
// there are some: AWS's clocks go no finer.
func Append(dst []byte, t time.Time, f shape.TimestampFormat) []byte {
	t = t.UTC()
	millis := t.Nanosecond() / int(time.Millisecond)
	switch f {
	case shape.TimestampISO8601:
		if millis == 0 {
			return t.AppendFormat(dst, "2006-01-02T15:04:05Z")
		}
		dst = t.AppendFormat(dst, "2006-01-02T15:04:05")
		return append(appendMillis(dst, millis), 'Z')
	case shape.TimestampRFC822:
		if millis == 0 {
			return t.AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
		}
		dst = t.AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05")
		return append(appendMillis(dst, millis), " GMT"...)
	}
	seconds := t.Unix()
	if seconds < 0 && millis > 0 { // -0.5 is second -1 and 500 ms
		seconds++
		millis = 1000 - millis
		if seconds == 0 {
			dst = append(dst, '-')
		}
	}
	dst = strconv.AppendInt(dst, seconds, 10)
	if millis != 0 {
		dst = appendMillis(dst, millis)
	}
	return dst
}

// appendMillis writes .5 for 500: no zeros at the end.
func appendMillis(dst []byte, millis int) []byte {
	dst = append(dst, '.', byte('0'+millis/100), byte('0'+millis/10%10), byte('0'+millis%10))
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// Parse reads a time as text.
func Parse(s string, f shape.TimestampFormat) (time.Time, error) {
	switch f {
	case shape.TimestampISO8601:
		return parseISO8601(s)
	case shape.TimestampRFC822:
		return parseRFC822(s)
	}
	// strconv would take more: only digits, a sign, a point and an exponent are a
	// number here.
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != 'e' && c != 'E' && c != '+' {
			return time.Time{}, malformed(s)
		}
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return time.Time{}, malformed(s)
	}
	return FromSeconds(seconds)
}

// The years that AWS's formats can say.
const (
	secondsMin = -62135596800 // 0001-01-01
	secondsMax = 253402300799 // 9999-12-31
)

// FromSeconds makes a time of seconds since 1970, to the millisecond.
func FromSeconds(seconds float64) (time.Time, error) {
	if math.IsNaN(seconds) || seconds < secondsMin || seconds > secondsMax {
		return time.Time{}, shape.Malformed("a time out of range")
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), nil
}

func parseISO8601(s string) (time.Time, error) {
	// time.Parse takes a comma before the fraction, which RFC 3339 does not have,
	// and hours of one digit.
	if len(s) < len("2006-01-02T15:04:05Z") || s[10] != 'T' || s[13] != ':' || strings.ContainsRune(s, ',') {
		return time.Time{}, malformed(s)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, malformed(s)
	}
	return t.UTC(), nil
}

func parseRFC822(s string) (time.Time, error) {
	if len(s) < len("Mon, 02 Jan 2006 15:04:05 GMT") || strings.ContainsRune(s[5:], ',') || !strings.HasSuffix(s, " GMT") {
		return time.Time{}, malformed(s)
	}
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s) // takes a fraction as well
	if err != nil {
		return time.Time{}, malformed(s)
	}
	return t.UTC(), nil
}

func malformed(s string) error {
	if len(s) > 64 {
		s = s[:64]
	}
	return shape.Malformed("%q is not a valid timestamp", s)
}

package shape

import (
	"math"
	"strconv"
)

// ParseInt reads a whole number as text, within the range of the kind.
func ParseInt(kind Kind, s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, IntBits(kind))
	if err != nil || s[0] == '+' {
		return 0, Malformed("%q is not a valid %s", clip(s), kind)
	}
	return n, nil
}

// IntBits is the size of a whole-number kind.
func IntBits(kind Kind) int {
	switch kind {
	case KindByte:
		return 8
	case KindShort:
		return 16
	case KindInteger:
		return 32
	}
	return 64
}

// CheckInt checks that n fits the kind.
func CheckInt(kind Kind, n int64) error {
	if bits := IntBits(kind); bits < 64 && (n < -1<<(bits-1) || n > 1<<(bits-1)-1) {
		return Malformed("%d is out of the range of a %s", n, kind)
	}
	return nil
}

// ParseFloat reads a decimal number, or one of the words that the protocols have
// for what JSON cannot say.
func ParseFloat(s string) (float64, error) {
	switch s {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if !isDecimal(s) {
		return 0, Malformed("%q is not a number", clip(s))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, Malformed("%q is not a number", clip(s))
	}
	return f, nil
}

// isDecimal keeps out what strconv accepts beyond decimal numbers: hexadecimal,
// underscores, inf.
func isDecimal(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return false
		}
	}
	return true
}

// ParseBool reads the two words; AWS accepts no other spelling.
func ParseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, Malformed("%q is not a boolean", clip(s))
}

// AppendFloat writes a number as text the way the text protocols want it.
func AppendFloat(dst []byte, kind Kind, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	bits := 64
	if kind == KindFloat {
		bits = 32
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, bits)
	}
	dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
	if f == math.Trunc(f) {
		dst = append(dst, ".0"...)
	}
	return dst
}

const clipMax = 64 // of a caller's value in an error's text

func clip(s string) string {
	if len(s) > clipMax {
		return s[:clipMax] + "..."
	}
	return s
}

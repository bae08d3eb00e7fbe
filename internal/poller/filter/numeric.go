package filter

import (
	"encoding/json"
	"fmt"
)

// numericMax bounds what numeric compares, on both sides of zero. Source: EventBridge user
// guide, "Numeric matching".
const numericMax = 5e9

// numberOf is a number that numeric can compare.
func numberOf(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	value, err := n.Float64()
	return value, err == nil && value >= -numericMax && value <= numericMax
}

// numeric matches numbers in a range; nil is no bound.
type numeric struct {
	present
	above, below         *float64
	aboveEqual, belowToo bool
}

func (m numeric) match(v any) bool {
	n, ok := numberOf(v)
	if !ok {
		return false
	}
	if m.above != nil && !(n > *m.above || m.aboveEqual && n == *m.above) {
		return false
	}
	return m.below == nil || n < *m.below || m.belowToo && n == *m.below
}

// compileNumeric reads an operator with a number, or a lower bound and then an upper one.
func compileNumeric(list []any) (matcher, error) {
	if len(list) != 2 && len(list) != 4 {
		return nil, fmt.Errorf("%w: it has one operator and number, or two", ErrPattern)
	}
	var m numeric
	for i := 0; i < len(list); i += 2 {
		operator, _ := list[i].(string)
		n, ok := numberOf(list[i+1])
		if !ok {
			return nil, fmt.Errorf("%w: after %q comes a number between -%.0f and %.0f", ErrPattern, operator, numericMax, numericMax)
		}
		switch {
		case operator == "=" && len(list) == 2:
			m = numeric{above: &n, below: &n, aboveEqual: true, belowToo: true}
		case (operator == ">" || operator == ">=") && i == 0:
			m.above, m.aboveEqual = &n, operator == ">="
		case (operator == "<" || operator == "<=") && m.below == nil && (i == 2 || len(list) == 2):
			m.below, m.belowToo = &n, operator == "<="
		default:
			return nil, fmt.Errorf("%w: %v cannot stand here", ErrPattern, list[i])
		}
	}
	if len(list) == 4 && *m.above >= *m.below {
		return nil, fmt.Errorf("%w: the lower bound must be less than the upper", ErrPattern)
	}
	return m, nil
}

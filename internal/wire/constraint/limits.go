package constraint

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lambdad/lambdad/internal/wire/shape"
)

// failedString lists the constraints that a string does not satisfy.
func failedString(l *shape.Limits, v string) []string {
	if l == nil {
		return nil
	}
	var failed []string
	if l.HasMin || l.HasMax {
		failed = failedLength(l, utf8.RuneCountInString(v)) // Smithy: Unicode scalar values
	}
	if l.Pattern != nil && !l.Pattern.Matches(v) {
		failed = append(failed, patternText(l))
	}
	if len(l.Enum) > 0 && !slices.Contains(l.Enum, v) {
		failed = append(failed, enumText(l))
	}
	return failed
}

func failedLength(l *shape.Limits, n int) []string {
	if l == nil {
		return nil
	}
	var failed []string
	if l.HasMax && float64(n) > l.Max {
		failed = append(failed, lengthMaxText(l))
	}
	if l.HasMin && float64(n) < l.Min {
		failed = append(failed, lengthMinText(l))
	}
	return failed
}

func failedRange(m *shape.Member, v float64) []string {
	l := m.Limits
	if l == nil {
		return nil
	}
	var failed []string
	if l.HasMax && v > l.Max {
		failed = append(failed, rangeMaxText(m))
	}
	if l.HasMin && v < l.Min {
		failed = append(failed, rangeMinText(m))
	}
	return failed
}

func lengthMaxText(l *shape.Limits) string {
	return "Member must have length less than or equal to " + strconv.FormatFloat(l.Max, 'f', -1, 64)
}

func lengthMinText(l *shape.Limits) string {
	return "Member must have length greater than or equal to " + strconv.FormatFloat(l.Min, 'f', -1, 64)
}

func rangeMaxText(m *shape.Member) string {
	return "Member must have value less than or equal to " + bound(m.Kind, m.Limits.Max)
}

func rangeMinText(m *shape.Member) string {
	return "Member must have value greater than or equal to " + bound(m.Kind, m.Limits.Min)
}

func bound(kind shape.Kind, v float64) string {
	if kind == shape.KindFloat || kind == shape.KindDouble {
		return javaFloat(kind, v)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func patternText(l *shape.Limits) string {
	return "Member must satisfy regular expression pattern: " + l.Pattern.Source
}

func enumText(l *shape.Limits) string {
	return "Member must satisfy enum value set: [" + strings.Join(l.Enum, ", ") + "]"
}

// keyTexts are all constraints of a map's key, in the order that was recorded of
// Lambda: length, then pattern.
func keyTexts(m *shape.Member) []string {
	l := m.Limits
	var texts []string
	switch m.Kind {
	case shape.KindString, shape.KindBlob:
		if l.HasMax {
			texts = append(texts, lengthMaxText(l))
		}
		if l.HasMin {
			texts = append(texts, lengthMinText(l))
		}
	default:
		if l.HasMax {
			texts = append(texts, rangeMaxText(m))
		}
		if l.HasMin {
			texts = append(texts, rangeMinText(m))
		}
	}
	if l.Pattern != nil {
		texts = append(texts, patternText(l))
	}
	if len(l.Enum) > 0 {
		texts = append(texts, enumText(l))
	}
	return texts
}

// allTexts are all constraints of an element or of a map's value. Recorded of
// Lambda: enums and numbers must not be null either, strings go without it.
func allTexts(m *shape.Member) []string {
	texts := keyTexts(m)
	if len(m.Limits.Enum) > 0 || m.Kind != shape.KindString {
		texts = append(texts, "Member must not be null")
	}
	return texts
}

package constraint

import (
	"strconv"
	"strings"
)

// Message says violations as AWS's services do. Services that hide values (IAM
// was recorded so) leave them out.
func Message(violations []Violation, hideValues bool) string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(len(violations)))
	if len(violations) == 1 {
		b.WriteString(" validation error detected: ")
	} else {
		b.WriteString(" validation errors detected: ")
	}
	for i, v := range violations {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString("Value ")
		switch {
		case hideValues || v.Sensitive:
		case v.Null:
			b.WriteString("null ")
		default:
			b.WriteString("'" + validText(v.Value) + "' ")
		}
		b.WriteString("at '" + validText(v.Path) + "' failed to satisfy constraint: " + v.Constraint)
	}
	return b.String()
}

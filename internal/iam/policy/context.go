package policy

import "strings"

// Context answers for condition keys. Keys are asked in lower case, because
// the names of condition keys know no case. Absent and present without values
// differ only for callers: both count as absent here.
type Context interface {
	Lookup(key string) (values []string, present bool)
}

// Values is a Context from a map. Make it with NewValues, which lowers the keys.
type Values map[string][]string

// NewValues copies m with its keys in lower case.
func NewValues(m map[string][]string) Values {
	v := make(Values, len(m))
	for k, values := range m {
		v[strings.ToLower(k)] = values
	}
	return v
}

// Lookup implements Context.
func (v Values) Lookup(key string) ([]string, bool) {
	values, ok := v[key]
	return values, ok
}

func lookup(ctx Context, key string) ([]string, bool) {
	if ctx == nil {
		return nil, false
	}
	values, ok := ctx.Lookup(key)
	return values, ok && len(values) > 0
}

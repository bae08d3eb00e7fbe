package policy

import (
	"slices"
	"strings"
)

// ContextKeys returns the context keys that a document asks for, as written and each once: the variables of
// its resources and condition values, and the keys of its conditions.
func (d *Document) ContextKeys() []string {
	var out []string
	add := func(key string) {
		if !slices.ContainsFunc(out, func(have string) bool { return strings.EqualFold(have, key) }) {
			out = append(out, key)
		}
	}
	for i := range d.Statements {
		s := &d.Statements[i]
		if d.Version == Version2012 {
			for _, r := range s.rawResources {
				eachVariable(r, add)
			}
		}
		for j := range s.conditions {
			c := &s.conditions[j]
			add(c.name)
			if d.Version == Version2012 {
				for _, v := range c.values {
					eachVariable(v, add)
				}
			}
		}
	}
	return out
}

// eachVariable calls f with the key of each policy variable in a text; ${*}, ${?} and ${$} are none.
func eachVariable(text string, f func(key string)) {
	for {
		_, rest, found := strings.Cut(text, "${")
		if !found {
			return
		}
		body, after, closed := strings.Cut(rest, "}")
		if !closed {
			return
		}
		key, _, _ := strings.Cut(body, ",")
		if key = strings.TrimSpace(key); strings.Contains(key, ":") {
			f(key)
		}
		text = after
	}
}

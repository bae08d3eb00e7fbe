package filter

import (
	"fmt"
	"slices"
)

// orKey is the name of alternatives: one of several patterns must match.
const orKey = "$or"

// object is what an object of a pattern demands: everything that it names.
type object struct {
	objects map[string]*object
	leaves  map[string]leaf
	or      []*object // nil: no alternatives
}

// leaf is the matchers of one field, of which one must match.
type leaf []matcher

// compileObject's refusals follow AWS's event-ruler, JsonRuleCompiler.
func compileObject(fields map[string]any, depth int) (*object, error) {
	if len(fields) == 0 {
		return nil, fmt.Errorf("%w: an object is empty", ErrPattern)
	}
	if depth > depthMax {
		return nil, fmt.Errorf("%w: it nests deeper than %d", ErrPattern, depthMax)
	}
	o := &object{objects: map[string]*object{}, leaves: map[string]leaf{}}
	for name, v := range fields {
		var err error
		switch v := v.(type) {
		case map[string]any:
			o.objects[name], err = compileObject(v, depth+1)
		case []any:
			if name == orKey && alternatives(v) {
				o.or, err = compileAlternatives(v, depth)
			} else {
				o.leaves[name], err = compileLeaf(v)
			}
		default:
			err = fmt.Errorf("%w: it must be an object or an array", ErrPattern)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return o, nil
}

// alternatives tells whether the value of $or is meant so: two objects or more, none of them a
// match expression. Otherwise $or is a field like any other.
func alternatives(v []any) bool {
	for _, one := range v {
		fields, ok := one.(map[string]any)
		if !ok {
			return false
		}
		for name := range fields {
			if slices.Contains(expressions, name) {
				return false
			}
		}
	}
	return len(v) > 1
}

func compileAlternatives(v []any, depth int) ([]*object, error) {
	var out []*object
	for _, one := range v {
		o, err := compileObject(one.(map[string]any), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func compileLeaf(v []any) (leaf, error) {
	if len(v) == 0 {
		return nil, fmt.Errorf("%w: an array is empty", ErrPattern)
	}
	var out leaf
	for _, one := range v {
		m, err := compileMatcher(one)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// match looks at a value that should be an object. In an array one element must match as a
// whole; what is no object has none of the fields.
func (o *object) match(v any) bool {
	if elements, ok := v.([]any); ok {
		found := false
		for _, element := range elements {
			switch element.(type) {
			case map[string]any, []any:
				found = true
				if o.match(element) {
					return true
				}
			}
		}
		if found {
			return false
		}
	}
	fields, _ := v.(map[string]any)
	for name, sub := range o.objects {
		if !sub.match(fields[name]) {
			return false
		}
	}
	for name, l := range o.leaves {
		v, there := fields[name]
		if !l.match(v, there) {
			return false
		}
	}
	if o.or == nil {
		return true
	}
	return slices.ContainsFunc(o.or, func(one *object) bool { return one.match(fields) })
}

// match looks at the scalars of a field: itself, or those of its array. A field that has none
// is not there, so that exists looks at leaves only, as AWS documents it.
func (l leaf) match(v any, there bool) bool {
	scalars := 0
	if there && l.any(v, &scalars) {
		return true
	}
	return scalars == 0 && slices.ContainsFunc(l, func(m matcher) bool { return m.absent() })
}

func (l leaf) any(v any, scalars *int) bool {
	switch v := v.(type) {
	case map[string]any:
		return false
	case []any:
		for _, element := range v {
			if l.any(element, scalars) {
				return true
			}
		}
		return false
	}
	*scalars++
	return slices.ContainsFunc(l, func(m matcher) bool { return m.match(v) })
}

package pattern

import (
	"strconv"
	"strings"
)

// foundMax bounds what a selector with wildcards finds in one message.
const foundMax = 1 << 12

// selector is $.a.b[0]["c d"].*: a way to properties of a JSON event.
type selector struct {
	source string
	steps  []step
}

// step goes one level down: to a property, an array's element, or all of either.
type step struct {
	name  string
	index int // used where name is ""
	all   bool
}

// selector reads a selector.
func (p *jsonParser) selector() (selector, error) {
	p.space()
	start := p.s
	if !strings.HasPrefix(p.s, "$") {
		return selector{}, errPattern
	}
	p.s = p.s[1:]
	var steps []step
	for {
		var next step
		var err error
		switch {
		case strings.HasPrefix(p.s, "."):
			next, err = p.property()
		case strings.HasPrefix(p.s, "["):
			next, err = p.element()
		default:
			if len(steps) == 0 {
				return selector{}, errPattern
			}
			return selector{source: start[:len(start)-len(p.s)], steps: steps}, nil
		}
		if err != nil {
			return selector{}, err
		}
		steps = append(steps, next)
	}
}

func (p *jsonParser) property() (step, error) {
	p.s = p.s[1:]
	end := 0
	for end < len(p.s) && (plainByte(p.s[end]) || strings.IndexByte("-@/:#$", p.s[end]) >= 0) {
		end++
	}
	if end == 0 && strings.HasPrefix(p.s, "*") {
		p.s = p.s[1:]
		return step{all: true}, nil
	}
	if end == 0 {
		return step{}, errPattern
	}
	name := p.s[:end]
	p.s = p.s[end:]
	return step{name: name}, nil
}

func (p *jsonParser) element() (step, error) {
	p.s = p.s[1:]
	if strings.HasPrefix(p.s, `"`) || strings.HasPrefix(p.s, "'") {
		quote := p.s[:1]
		end := strings.Index(p.s[1:], quote+"]")
		if end <= 0 {
			return step{}, errPattern
		}
		name := p.s[1 : 1+end]
		p.s = p.s[1+end+2:]
		return step{name: name}, nil
	}
	end := strings.IndexByte(p.s, ']')
	if end <= 0 {
		return step{}, errPattern
	}
	inside := strings.TrimSpace(p.s[:end])
	p.s = p.s[end+1:]
	if inside == "*" {
		return step{all: true}, nil
	}
	n, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return step{}, errPattern
	}
	return step{index: int(n)}, nil
}

// find returns what the selector leads to; nil values included, absent ones not.
func (sel selector) find(event any) []any {
	level := []any{event}
	for _, st := range sel.steps {
		var next []any
		for _, v := range level {
			next = st.down(v, next)
			if len(next) > foundMax {
				next = next[:foundMax]
				break
			}
		}
		level = next
	}
	return level
}

func (st step) down(v any, found []any) []any {
	switch v := v.(type) {
	case map[string]any:
		if st.all {
			for _, child := range v {
				found = append(found, child)
			}
		} else if child, ok := v[st.name]; ok && st.name != "" {
			found = append(found, child)
		}
	case []any:
		if st.all {
			found = append(found, v...)
		} else if st.name == "" && st.index < len(v) {
			found = append(found, v[st.index])
		}
	}
	return found
}

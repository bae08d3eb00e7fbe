package pattern

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

const (
	// jsonStop ends a bare word of a JSON pattern.
	jsonStop = `=!<>()&|}"%`
	// nestingMax bounds parentheses in a pattern.
	nestingMax = 32
)

// condition is a compiled part of a JSON pattern.
type condition func(event any) bool

type jsonParser struct {
	scanner
	depth     int
	selectors []selector
}

// compileJSON compiles { $.a = "x" && ($.b[0] > 3 || $.c NOT EXISTS) }.
func compileJSON(s string) (*Pattern, error) {
	p := &jsonParser{scanner: scanner{s: s[1:]}}
	test, err := p.any()
	if err != nil {
		return nil, err
	}
	if !p.take("}") {
		return nil, errPattern
	}
	if p.space(); p.s != "" {
		return nil, errPattern
	}
	return &Pattern{
		match: func(message string) bool {
			event, ok := decodeEvent(message)
			return ok && test(event)
		},
		extract: func(message string) map[string]string {
			values := make(map[string]string)
			event, ok := decodeEvent(message)
			if !ok {
				return values
			}
			for _, sel := range p.selectors {
				if found := sel.find(event); len(found) > 0 {
					if v, ok := scalar(found[0]); ok {
						values[sel.source] = v.text
					}
				}
			}
			return values
		},
	}, nil
}

// decodeEvent reads a message that is a JSON object. Numbers keep their digits.
func decodeEvent(message string) (any, bool) {
	trimmed := strings.TrimSpace(message)
	if trimmed == "" || trimmed[0] != '{' {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader([]byte(trimmed)))
	d.UseNumber()
	var event any
	if d.Decode(&event) != nil || d.More() {
		return nil, false
	}
	return event, true
}

func (p *jsonParser) any() (condition, error) {
	left, err := p.all()
	if err != nil {
		return nil, err
	}
	for p.take("||") {
		a := left
		b, err := p.all()
		if err != nil {
			return nil, err
		}
		left = func(e any) bool { return a(e) || b(e) }
	}
	return left, nil
}

func (p *jsonParser) all() (condition, error) {
	left, err := p.one()
	if err != nil {
		return nil, err
	}
	for p.take("&&") {
		a := left
		b, err := p.one()
		if err != nil {
			return nil, err
		}
		left = func(e any) bool { return a(e) && b(e) }
	}
	return left, nil
}

func (p *jsonParser) one() (condition, error) {
	if p.take("(") {
		if p.depth++; p.depth > nestingMax {
			return nil, errPattern
		}
		inner, err := p.any()
		if err != nil {
			return nil, err
		}
		p.depth--
		if !p.take(")") {
			return nil, errPattern
		}
		return inner, nil
	}
	sel, err := p.selector()
	if err != nil {
		return nil, err
	}
	p.selectors = append(p.selectors, sel)
	if operator, ok := p.operator(); ok {
		return p.comparison(sel, operator)
	}
	return p.state(sel)
}

func (p *jsonParser) comparison(sel selector, operator string) (condition, error) {
	o, err := p.operand(`=!<>()&|}"`)
	if err != nil {
		return nil, err
	}
	if operator != "=" && operator != "!=" && !o.ordered() {
		return nil, errPattern
	}
	return func(event any) bool {
		for _, found := range sel.find(event) {
			if v, ok := scalar(found); ok && o.compare(v, operator) {
				return true
			}
		}
		return false
	}, nil
}

// state reads IS NULL, IS TRUE, IS FALSE, EXISTS and NOT EXISTS.
func (p *jsonParser) state(sel selector) (condition, error) {
	switch strings.ToUpper(p.word(jsonStop)) {
	case "IS":
		var want any
		switch strings.ToUpper(p.word(jsonStop)) {
		case "NULL":
		case "TRUE":
			want = true
		case "FALSE":
			want = false
		default:
			return nil, errPattern
		}
		return func(event any) bool {
			for _, found := range sel.find(event) {
				// Only nil and booleans are compared: both are comparable.
				switch found.(type) {
				case nil, bool:
					if found == want {
						return true
					}
				}
			}
			return false
		}, nil
	case "EXISTS":
		return func(event any) bool { return len(sel.find(event)) > 0 }, nil
	case "NOT":
		if strings.ToUpper(p.word(jsonStop)) != "EXISTS" {
			return nil, errPattern
		}
		return func(event any) bool { return len(sel.find(event)) == 0 }, nil
	default:
		return nil, errPattern
	}
}

// scalar is what a property compares as: strings, numbers and booleans.
func scalar(v any) (value, bool) {
	switch v := v.(type) {
	case string:
		return value{text: v}, true
	case json.Number:
		n, err := v.Float64()
		return value{text: v.String(), isNum: err == nil, num: n}, true
	case bool:
		return value{text: strconv.FormatBool(v)}, true
	default:
		return value{}, false
	}
}

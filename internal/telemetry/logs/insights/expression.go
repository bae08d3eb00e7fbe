package insights

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// expression is a value that is made of a row.
type expression func(r *row) value

// parser reads a query. In stats, functions over groups are collected.
type parser struct {
	scanner
	depth     int
	functions *[]aggregate // nil outside of stats
	query     *Query
}

// Source of the operators' order: User Guide, "Comparison and Boolean operators"; arithmetic as usual.

func (p *parser) expression() expression {
	if p.depth++; p.depth > depthMax {
		p.fail(p.token, "the query is nested too deeply: %d levels are the most", depthMax)
	}
	defer func() { p.depth-- }()
	left := p.conjunction()
	for p.accept("or", "||") {
		a, b := left, p.conjunction()
		left = func(r *row) value { return truthOf(a(r).truth() || b(r).truth()) }
	}
	return left
}

func (p *parser) conjunction() expression {
	left := p.negation()
	for p.accept("and", "&&") {
		a, b := left, p.negation()
		left = func(r *row) value { return truthOf(a(r).truth() && b(r).truth()) }
	}
	return left
}

func (p *parser) negation() expression {
	nots := 0
	for p.accept("not") {
		nots++
	}
	e := p.comparison()
	switch {
	case nots == 0:
		return e
	case nots%2 == 0:
		return func(r *row) value { return truthOf(e(r).truth()) }
	}
	return func(r *row) value { return truthOf(!e(r).truth()) }
}

// comparisons of two values that are both there.
var comparisons = map[string]func(int) bool{
	"=":  func(c int) bool { return c == 0 },
	"!=": func(c int) bool { return c != 0 },
	"<":  func(c int) bool { return c < 0 },
	"<=": func(c int) bool { return c <= 0 },
	">":  func(c int) bool { return c > 0 },
	">=": func(c int) bool { return c >= 0 },
}

func (p *parser) comparison() expression {
	left := p.sum()
	if op := p.token.text; p.token.kind == tokenSymbol && comparisons[op] != nil {
		p.next()
		holds, right := comparisons[op], p.sum()
		return func(r *row) value {
			a, b := left(r), right(r)
			if a.kind == absent || b.kind == absent {
				return truthOf(op == "!=" && a.kind != b.kind)
			}
			return truthOf(holds(compare(a, b)))
		}
	}
	wanted := true
	if p.is("not") {
		p.next()
		wanted = false
		if !p.is("like") && !p.is("in") {
			p.unexpected(p.token)
		}
	}
	switch {
	case p.accept("=~"):
		return p.matching(left, wanted)
	case p.accept("like"):
		if p.token.kind == tokenText {
			part := p.token.text
			p.next()
			return func(r *row) value {
				v := left(r)
				return truthOf((v.kind != absent && strings.Contains(v.String(), part)) == wanted)
			}
		}
		return p.matching(left, wanted)
	case p.accept("in"):
		return p.within(left, wanted)
	}
	return left
}

func (p *parser) matching(left expression, wanted bool) expression {
	re := p.regexp()
	return func(r *row) value {
		v := left(r)
		return truthOf((v.kind != absent && re.MatchString(v.String())) == wanted)
	}
}

// regexp compiles the pattern that comes next. It is of RE2, so that no query can take forever.
func (p *parser) regexp() *regexp.Regexp {
	source, at := p.pattern()
	re, err := regexp.Compile(source)
	if err != nil {
		p.fail(at, "invalid regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re
}

func (p *parser) within(left expression, wanted bool) expression {
	p.expect("[")
	var all []expression
	for !p.is("]") {
		if len(all) > 0 {
			p.expect(",")
		}
		all = append(all, p.sum())
	}
	p.next()
	return func(r *row) value {
		v, found := left(r), false
		for _, e := range all {
			o := e(r)
			found = found || v.kind != absent && o.kind != absent && compare(v, o) == 0
		}
		return truthOf(found == wanted)
	}
}

func (p *parser) sum() expression {
	left := p.product()
	for p.is("+") || p.is("-") {
		left = p.arithmetic(left, p.product)
	}
	return left
}

func (p *parser) product() expression {
	left := p.power()
	for p.is("*") || p.is("/") || p.is("%") {
		left = p.arithmetic(left, p.power)
	}
	return left
}

func (p *parser) power() expression {
	left := p.sign()
	if p.is("^") {
		if p.depth++; p.depth > depthMax {
			p.fail(p.token, "the query is nested too deeply: %d levels are the most", depthMax)
		}
		defer func() { p.depth-- }()
		return p.arithmetic(left, p.power)
	}
	return left
}

var operations = map[string]func(a, b float64) float64{
	"+": func(a, b float64) float64 { return a + b },
	"-": func(a, b float64) float64 { return a - b },
	"*": func(a, b float64) float64 { return a * b },
	"/": func(a, b float64) float64 { return a / b },
	"%": math.Mod,
	"^": math.Pow,
}

// arithmetic applies the operator that comes next. What is no number makes nothing.
func (p *parser) arithmetic(left expression, operand func() expression) expression {
	do := operations[p.token.text]
	p.next()
	right := operand()
	return func(r *row) value {
		a, isA := left(r).numeric()
		b, isB := right(r).numeric()
		if !isA || !isB {
			return value{}
		}
		return finite(do(a, b))
	}
}

// finite has no value for what is no number, such as a division by zero.
func finite(f float64) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{}
	}
	return numberOf(f)
}

func (p *parser) sign() expression {
	minus := false
	for p.is("-") {
		p.next()
		minus = !minus
	}
	e := p.primary()
	if !minus {
		return e
	}
	return func(r *row) value {
		if f, ok := e(r).numeric(); ok {
			return numberOf(-f)
		}
		return value{}
	}
}

func (p *parser) primary() expression {
	t := p.token
	switch t.kind {
	case tokenNumber:
		p.next()
		f, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.fail(t, "invalid number %s", t.text)
		}
		return constant(numberOf(f))
	case tokenText:
		p.next()
		return constant(textOf(t.text))
	case tokenQuoted:
		p.next()
		return func(r *row) value { return r.get(t.text) }
	case tokenName:
		p.next()
		if p.is("(") {
			return p.call(t)
		}
		if lower := strings.ToLower(t.text); lower == "true" || lower == "false" {
			return constant(textOf(lower))
		}
		return func(r *row) value { return r.get(t.text) }
	}
	if p.accept("(") {
		e := p.expression()
		p.expect(")")
		return e
	}
	p.unexpected(t)
	return nil
}

func constant(v value) expression { return func(*row) value { return v } }

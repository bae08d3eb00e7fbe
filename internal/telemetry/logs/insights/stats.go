package insights

import (
	"math"
	"slices"
	"strings"
)

// aggregate is a function over a group's rows.
type aggregate struct {
	argument expression // nil for count(*)
	percent  float64
	collect  func() collector
}

// collector takes a group's values, and tells how many bytes it has come to hold.
type collector interface {
	add(v value, at float64) (held int)
	result(percent float64) value
}

// collectors by the functions' names in small letters. Source: User Guide, "stats".
var collectors = map[string]func() collector{
	"avg":            func() collector { return &sum{mean: true} },
	"sum":            func() collector { return &sum{} },
	"count":          func() collector { return &count{} },
	"count_distinct": func() collector { return &distinct{seen: map[string]bool{}} },
	"max":            func() collector { return &extreme{sign: 1} },
	"min":            func() collector { return &extreme{sign: -1} },
	"sortslast":      func() collector { return &extreme{sign: 1} },
	"sortsfirst":     func() collector { return &extreme{sign: -1} },
	"earliest":       func() collector { return &dated{sign: -1} },
	"latest":         func() collector { return &dated{sign: 1} },
	"stddev":         func() collector { return &spread{} },
	"pct":            func() collector { return &quantile{} },
}

// aggregate parses a function over groups; its name has been read.
func (p *parser) aggregate(name token, collect func() collector) expression {
	if p.functions == nil {
		p.fail(name, "the function %s is for stats alone", name.text)
	}
	a := aggregate{collect: collect}
	outer := p.functions
	p.functions = nil // they are not nested
	p.next()
	switch {
	case strings.EqualFold(name.text, "count") && (p.accept("*") || p.is(")")):
	default:
		a.argument = p.expression()
	}
	if strings.EqualFold(name.text, "pct") {
		p.expect(",")
		t := p.token
		v, ok := p.primary()(&row{}).numeric()
		if !ok || v < 0 || v > 100 {
			p.fail(t, "a percentile is a number from 0 to 100")
		}
		a.percent = v
	}
	p.expect(")")
	p.functions = outer
	i := len(*outer)
	*outer = append(*outer, a)
	return func(r *row) value { return r.results[i] }
}

type count struct{ n float64 }

func (c *count) add(v value, _ float64) int {
	if v.kind != absent {
		c.n++
	}
	return 0
}
func (c *count) result(float64) value { return numberOf(c.n) }

type distinct struct{ seen map[string]bool }

func (c *distinct) add(v value, _ float64) int {
	s := v.String()
	if v.kind == absent || c.seen[s] {
		return 0
	}
	c.seen[s] = true
	return len(s) + 64
}
func (c *distinct) result(float64) value { return numberOf(float64(len(c.seen))) }

type sum struct {
	n, total float64
	mean     bool
}

func (c *sum) add(v value, _ float64) int {
	if f, ok := v.numeric(); ok {
		c.n++
		c.total += f
	}
	return 0
}

func (c *sum) result(float64) value {
	switch {
	case c.n == 0:
		return value{}
	case c.mean:
		return finite(c.total / c.n)
	}
	return finite(c.total)
}

type extreme struct {
	best value
	sign int
}

func (c *extreme) add(v value, _ float64) int {
	if v.kind != absent && (c.best.kind == absent || compare(v, c.best)*c.sign > 0) {
		c.best = v
	}
	return 0
}
func (c *extreme) result(float64) value { return c.best }

// dated is the value of the earliest or the latest row that has one.
type dated struct {
	value value
	at    float64
	sign  float64
}

func (c *dated) add(v value, at float64) int {
	if v.kind != absent && (c.value.kind == absent || (at-c.at)*c.sign > 0) {
		c.value, c.at = v, at
	}
	return 0
}
func (c *dated) result(float64) value { return c.value }

// spread is Welford's running standard deviation, of a sample.
type spread struct{ n, mean, squares float64 }

func (c *spread) add(v value, _ float64) int {
	if f, ok := v.numeric(); ok {
		c.n++
		d := f - c.mean
		c.mean += d / c.n
		c.squares += d * (f - c.mean)
	}
	return 0
}

func (c *spread) result(float64) value {
	switch {
	case c.n == 0:
		return value{}
	case c.n == 1:
		return numberOf(0)
	}
	return finite(math.Sqrt(c.squares / (c.n - 1)))
}

type quantile struct{ all []float64 }

func (c *quantile) add(v value, _ float64) int {
	f, ok := v.numeric()
	if !ok {
		return 0
	}
	c.all = append(c.all, f)
	return 16
}

// result is the smallest value that percent of the values are not greater than.
func (c *quantile) result(percent float64) value {
	if len(c.all) == 0 {
		return value{}
	}
	slices.Sort(c.all)
	rank := int(math.Ceil(percent / 100 * float64(len(c.all))))
	return numberOf(c.all[max(rank, 1)-1])
}

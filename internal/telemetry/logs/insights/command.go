package insights

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// command is one part of a query, between two bars.
type command interface{ isCommand() }

// column is an expression with its name in the answer.
type column struct {
	name string
	of   expression
	bare bool // it is only a field, under its own name
}

type (
	fieldsCommand struct {
		columns []column
		display bool
	}
	filterCommand struct{ of expression }
	parseCommand  struct {
		of    expression
		re    *regexp.Regexp
		names []string // by the expression's groups; "" for none
	}
	statsCommand struct {
		columns   []column
		by        []column
		functions []aggregate
	}
	sortCommand struct {
		keys []sortKey
	}
	dedupCommand struct{ keys []expression }
	limitCommand struct{ most int }
)

type sortKey struct {
	of      expression
	falling bool
}

func (fieldsCommand) isCommand() {}
func (filterCommand) isCommand() {}
func (parseCommand) isCommand()  {}
func (statsCommand) isCommand()  {}
func (sortCommand) isCommand()   {}
func (dedupCommand) isCommand()  {}
func (limitCommand) isCommand()  {}

func limitTo(most int) command { return limitCommand{most} }

// Parse reads a query. The error is a *SyntaxError.
func Parse(text string) (q *Query, err error) {
	defer func() {
		if r := recover(); r != nil {
			syntax, ok := r.(*SyntaxError)
			if !ok {
				panic(r)
			}
			q, err = nil, syntax
		}
	}()
	if !utf8.ValidString(text) {
		return nil, &SyntaxError{Text: "the query is not UTF-8", End: len(text)}
	}
	q = &Query{}
	p := &parser{scanner: scanner{query: text}, query: q}
	p.next()
	for {
		q.commands = append(q.commands, p.command())
		if p.token.kind == tokenEnd {
			return q, nil
		}
		p.expect("|")
	}
}

func (p *parser) command() command {
	t := p.token
	if t.kind != tokenName {
		p.unexpected(t)
	}
	p.next()
	switch strings.ToLower(t.text) {
	case "fields":
		return fieldsCommand{columns: p.columns()}
	case "display":
		return fieldsCommand{columns: p.columns(), display: true}
	case "filter":
		return filterCommand{p.expression()}
	case "parse":
		return p.parse()
	case "stats":
		return p.stats()
	case "sort":
		return p.sort()
	case "dedup":
		var c dedupCommand
		for _, column := range p.columns() {
			c.keys = append(c.keys, column.of)
		}
		return c
	case "limit":
		n, err := strconv.Atoi(p.token.text)
		if p.token.kind != tokenNumber || err != nil {
			p.unexpected(p.token)
		}
		if n < 1 || n > LimitMax {
			p.fail(p.token, "the limit must be between 1 and %d", LimitMax)
		}
		p.next()
		p.query.limited = true
		return limitCommand{n}
	case "pattern", "diff", "anomaly", "unmask", "unnest", "lookup", "filterindex", "source", "join", "append", "subquery":
		p.fail(t, "the command %s is not supported here", t.text)
	}
	p.unexpected(t)
	return nil
}

// columns are expressions with commas between them.
func (p *parser) columns() (all []column) {
	for len(all) == 0 || p.accept(",") {
		all = append(all, p.column())
	}
	return all
}

// column is an expression, named by as or by its own text.
func (p *parser) column() column {
	first := p.token
	c := column{of: p.expression()}
	c.name = p.scanner.query[first.start:p.last]
	c.bare = first.kind == tokenName && c.name == first.text
	if first.kind == tokenQuoted && c.name == "`"+first.text+"`" {
		c.name, c.bare = first.text, true
	}
	if p.accept("as") {
		c.name, c.bare = p.name(), false
	}
	return c
}

func (p *parser) name() string {
	t := p.token
	if t.kind != tokenName && t.kind != tokenQuoted {
		p.unexpected(t)
	}
	p.next()
	return t.text
}

func (p *parser) stats() command {
	c := statsCommand{}
	p.functions = &c.functions
	c.columns = p.columns()
	p.functions = nil
	if p.accept("by") {
		c.by = p.columns()
	}
	for _, column := range c.columns {
		if column.bare {
			p.fail(p.token, "stats needs functions over groups: %s is a field", column.name)
		}
	}
	return c
}

func (p *parser) sort() command {
	c := sortCommand{}
	for len(c.keys) == 0 || p.accept(",") {
		k := sortKey{of: p.sum()}
		if !p.accept("asc") {
			k.falling = p.accept("desc")
		}
		c.keys = append(c.keys, k)
	}
	return c
}

// parse takes parts of a field by a regular expression with named groups, or by a text with stars. Without a field it
// is the message.
func (p *parser) parse() command {
	c := parseCommand{of: func(r *row) value { return r.get("@message") }}
	if p.token.kind != tokenText && !p.is("/") {
		c.of = p.sign()
	}
	at := p.token
	glob := at.kind == tokenText
	if glob {
		p.next()
		c.re = globRegexp(at.text)
	} else {
		c.re = p.regexp()
		c.names = c.re.SubexpNames()[1:]
	}
	if p.accept("as") {
		var names []string
		for len(names) == 0 || p.accept(",") {
			names = append(names, p.name())
		}
		if c.re.NumSubexp() != len(names) {
			p.fail(at, "the pattern has %d parts, and as names %d", c.re.NumSubexp(), len(names))
		}
		c.names = names
	} else if glob {
		p.unexpected(p.token)
	}
	if !slices.ContainsFunc(c.names, func(n string) bool { return n != "" }) {
		p.fail(at, "the pattern names no field")
	}
	return c
}

// globRegexp makes a regular expression of a text whose stars stand for the parts to take.
func globRegexp(glob string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("(?s)")
	parts := strings.Split(glob, "*")
	for i, part := range parts {
		if i > 0 {
			take := "(.*?)"
			if i == len(parts)-1 && part == "" {
				take = "(.*)" // to the end
			}
			b.WriteString(take)
		}
		b.WriteString(regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(b.String())
}

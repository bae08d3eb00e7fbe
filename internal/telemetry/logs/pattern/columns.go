package pattern

import (
	"strconv"
	"strings"
)

// columnStop ends a bare word of a space-delimited pattern.
const columnStop = `=!<>,]"%&|()`

// column is one place of a space-delimited pattern. condition is nil where
// anything may stand.
type column struct {
	name      string
	condition func(value) bool
}

// compileColumns compiles [a, b = 5, ..., c != x*]. One ellipsis stands for any
// number of columns that have no name.
func compileColumns(s string) (*Pattern, error) {
	if strings.TrimLeft(s[1:], whitespace) == "]" {
		return &Pattern{match: func(string) bool { return true }, extract: nothing}, nil // no columns: anything
	}
	c := &scanner{s: s[1:]}
	var before, after []column
	ellipsis := false
	for {
		if c.take("...") {
			if ellipsis {
				return nil, errPattern
			}
			ellipsis = true
		} else {
			col, err := c.column()
			if err != nil {
				return nil, err
			}
			if ellipsis {
				after = append(after, col)
			} else {
				before = append(before, col)
			}
		}
		if c.take(",") {
			continue
		}
		if c.take("]") {
			break
		}
		return nil, errPattern
	}
	if c.space(); c.s != "" {
		return nil, errPattern
	}
	t := table{before: before, after: after, ellipsis: ellipsis}
	return &Pattern{match: t.match, extract: t.extract}, nil
}

// column reads NAME, NAME OPERATOR VALUE, or several of the latter with && and ||.
func (c *scanner) column() (column, error) {
	c.space()
	grouped := c.take("(")
	name := c.word(columnStop)
	if name == "" && strings.IndexAny(c.s, ",]") == 0 && !grouped {
		return column{}, nil // an empty column stands for any
	}
	if name == "" {
		return column{}, errPattern
	}
	operator, ok := c.operator()
	if !ok {
		if grouped {
			return column{}, errPattern
		}
		return column{name: name}, nil
	}
	condition, err := c.columnAny(name, operator)
	if err != nil {
		return column{}, err
	}
	if grouped && !c.take(")") {
		return column{}, errPattern
	}
	return column{name: name, condition: condition}, nil
}

// columnAny reads comparisons joined by ||, of which && binds tighter. The first
// one's name and operator have been read.
func (c *scanner) columnAny(name, operator string) (func(value) bool, error) {
	all, err := c.columnAll(name, operator)
	if err != nil {
		return nil, err
	}
	for c.take("||") {
		if operator, err = c.sameColumn(name); err != nil {
			return nil, err
		}
		left := all
		right, err := c.columnAll(name, operator)
		if err != nil {
			return nil, err
		}
		all = func(v value) bool { return left(v) || right(v) }
	}
	return all, nil
}

func (c *scanner) columnAll(name, operator string) (func(value) bool, error) {
	test, err := c.columnTest(operator)
	if err != nil {
		return nil, err
	}
	for c.take("&&") {
		if operator, err = c.sameColumn(name); err != nil {
			return nil, err
		}
		left := test
		right, err := c.columnTest(operator)
		if err != nil {
			return nil, err
		}
		test = func(v value) bool { return left(v) && right(v) }
	}
	return test, nil
}

// sameColumn reads the name again, which must not change within a column.
func (c *scanner) sameColumn(name string) (operator string, err error) {
	if c.word(columnStop) != name {
		return "", errPattern
	}
	operator, ok := c.operator()
	if !ok {
		return "", errPattern
	}
	return operator, nil
}

func (c *scanner) columnTest(operator string) (func(value) bool, error) {
	o, err := c.operand(",]&|)(\"")
	if err != nil {
		return nil, err
	}
	if operator != "=" && operator != "!=" && !o.ordered() {
		return nil, errPattern
	}
	return func(v value) bool { return o.compare(v, operator) }, nil
}

// table is a compiled space-delimited pattern.
type table struct {
	before, after []column
	ellipsis      bool
}

func (t table) match(message string) bool {
	fields := splitFields(message)
	head, tail, ok := t.lay(fields)
	if !ok {
		return false
	}
	return columnsMatch(t.before, head) && columnsMatch(t.after, tail)
}

// lay tells which fields lie under the columns before and after the ellipsis.
func (t table) lay(fields []string) (head, tail []string, ok bool) {
	n := len(t.before) + len(t.after)
	if len(fields) < n || len(fields) > n && !t.ellipsis {
		return nil, nil, false
	}
	return fields[:len(t.before)], fields[len(fields)-len(t.after):], true
}

func columnsMatch(columns []column, fields []string) bool {
	for i, c := range columns {
		if c.condition != nil && !c.condition(fieldValue(fields[i])) {
			return false
		}
	}
	return true
}

func (t table) extract(message string) map[string]string {
	fields := splitFields(message)
	head, tail, ok := t.lay(fields)
	if !ok {
		return map[string]string{}
	}
	values := make(map[string]string)
	name := func(columns []column, fields []string, first int) {
		for i, c := range columns {
			key := c.name
			if key == "" {
				key = strconv.Itoa(first + i + 1)
			}
			values["$"+strings.TrimPrefix(key, "$")] = fields[i]
		}
	}
	name(t.before, head, 0)
	name(t.after, tail, len(fields)-len(tail))
	for i := len(head); i < len(fields)-len(tail); i++ {
		values["$"+strconv.Itoa(i+1)] = fields[i]
	}
	return values
}

// splitFields cuts a message at spaces; what stands in double quotes or square
// brackets is one field, without them.
func splitFields(message string) []string {
	var fields []string
	open := map[byte]bool{} // closing bytes that come no more, so that looking for them takes one walk
	for s := strings.TrimLeft(message, whitespace); s != ""; s = strings.TrimLeft(s, whitespace) {
		if end := closingAt(s, open); end > 0 {
			fields, s = append(fields, s[1:end]), s[end+1:]
			continue
		}
		field := firstWord(s)
		fields, s = append(fields, field), s[len(field):]
	}
	return fields
}

// closingAt finds where the quotes or brackets that s begins with end, 0 if
// there are none or they do not end.
func closingAt(s string, open map[byte]bool) int {
	closing := byte('"')
	if s[0] == '[' {
		closing = ']'
	} else if s[0] != '"' {
		return 0
	}
	if open[closing] {
		return 0
	}
	end := strings.IndexByte(s[1:], closing)
	if end < 0 {
		open[closing] = true
		return 0
	}
	return end + 1
}

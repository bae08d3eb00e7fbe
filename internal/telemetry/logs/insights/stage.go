package insights

import (
	"cmp"
	"slices"
	"strings"
)

// stage is a step of a run. It hands on what it has when it can, the rest when it is flushed.
type stage interface {
	push(in *row, out func(*row) error) error
	flush(out func(*row) error) error
}

// plan makes the stages of the commands and the columns of the answer.
func (r *Run) plan(commands []command) {
	var shown []string // by fields
	var displayed []string
	sorted, counting := false, false
	count := func() { // what comes so far is what the query matches
		if !counting {
			r.stages, counting = append(r.stages, counted{r}), true
		}
	}
	for i, c := range commands {
		switch c := c.(type) {
		case fieldsCommand:
			r.stages = append(r.stages, define{c.columns})
			for _, column := range c.columns {
				if c.display {
					displayed = append(displayed, column.name)
				} else {
					shown = append(shown, column.name)
				}
			}
		case filterCommand:
			r.stages = append(r.stages, filter{c.of})
		case parseCommand:
			r.stages = append(r.stages, take{c})
			if len(shown) == 0 && !r.grouped {
				shown = []string{"@timestamp", "@message"}
			}
			for _, name := range c.names {
				if name != "" {
					shown = append(shown, name)
				}
			}
		case statsCommand:
			count()
			r.stages = append(r.stages, &group{run: r, stats: c, groups: map[string]*grouped{}})
			r.grouped, sorted = true, true
			shown, displayed = nil, nil
			for _, column := range slices.Concat(c.by, c.columns) {
				shown = append(shown, column.name)
			}
		case sortCommand:
			count()
			r.stages = append(r.stages, &ordered{run: r, keys: c.keys, most: keeps(commands[i+1:])})
			sorted = true
		case dedupCommand:
			count()
			if !sorted {
				r.stages = append(r.stages, newestFirst(r, 0))
				sorted = true
			}
			r.stages = append(r.stages, &dedup{run: r, keys: c.keys, seen: map[string]bool{}})
		case limitCommand:
			count()
			if !sorted {
				r.stages = append(r.stages, newestFirst(r, c.most))
				sorted = true
			}
			r.stages = append(r.stages, &limit{left: c.most})
		}
	}
	r.columns = shown
	if len(displayed) > 0 {
		r.columns = displayed
	}
	if len(r.columns) == 0 {
		r.columns = []string{"@timestamp", "@message"}
	}
	r.columns = unique(r.columns)
}

func unique(names []string) (out []string) {
	for _, name := range names {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// keeps is how many rows the commands behind a sorting can need: 0 for all.
func keeps(behind []command) int {
	for _, c := range behind {
		switch c := c.(type) {
		case limitCommand:
			return c.most
		case fieldsCommand, parseCommand:
		default:
			return 0
		}
	}
	return 0
}

// newestFirst is the order of what is not sorted.
func newestFirst(r *Run, most int) stage {
	return &ordered{run: r, most: most, keys: []sortKey{{of: func(in *row) value { return in.get("@timestamp") }, falling: true}}}
}

type define struct{ columns []column }

func (s define) push(in *row, out func(*row) error) error {
	for _, c := range s.columns {
		if !c.bare {
			in.with(c.name, c.of(in))
		}
	}
	return out(in)
}
func (define) flush(func(*row) error) error { return nil }

type filter struct{ of expression }

func (s filter) push(in *row, out func(*row) error) error {
	if !s.of(in).truth() {
		return nil
	}
	return out(in)
}
func (filter) flush(func(*row) error) error { return nil }

// take sets the parts of a field that matches.
type take struct{ parseCommand }

func (s take) push(in *row, out func(*row) error) error {
	source := s.of(in).String()
	if m := s.re.FindStringSubmatchIndex(source); m != nil {
		for i, name := range s.names {
			if from, to := m[2*i+2], m[2*i+3]; name != "" && from >= 0 {
				in.with(name, textOf(source[from:to]))
			}
		}
	}
	return out(in)
}
func (take) flush(func(*row) error) error { return nil }

// counted counts the rows that pass.
type counted struct{ run *Run }

func (s counted) push(in *row, out func(*row) error) error {
	s.run.Matched++
	return out(in)
}
func (counted) flush(func(*row) error) error { return nil }

type limit struct{ left int }

func (s *limit) push(in *row, out func(*row) error) error {
	if s.left == 0 {
		return nil
	}
	s.left--
	return out(in)
}
func (*limit) flush(func(*row) error) error { return nil }

// ordered holds the rows, or the first of them, and hands them on in order.
type ordered struct {
	run  *Run
	keys []sortKey
	most int // 0: all
	rows []keyed
}

type keyed struct {
	row  *row
	keys []value
}

func (s *ordered) push(in *row, _ func(*row) error) error {
	k := keyed{row: in, keys: make([]value, len(s.keys))}
	for i, key := range s.keys {
		k.keys[i] = key.of(in)
	}
	s.rows = append(s.rows, k)
	err := s.run.hold(in.bytes())
	if s.most > 0 && (err != nil || len(s.rows) >= 2*s.most+64) {
		s.sort()
		return s.run.hold(0)
	}
	return err
}

// sort leaves the first rows. Events of one time are told apart by nothing but the order in which they came, the newest last.
func (s *ordered) sort() {
	slices.SortStableFunc(s.rows, func(a, b keyed) int {
		for i, key := range s.keys {
			if c := order(a.keys[i], b.keys[i]); c != 0 {
				if key.falling {
					return -c
				}
				return c
			}
		}
		return 0
	})
	if s.most > 0 && len(s.rows) > s.most {
		for _, k := range s.rows[s.most:] {
			s.run.held -= k.row.bytes()
		}
		clear(s.rows[s.most:])
		s.rows = s.rows[:s.most]
	}
}

func (s *ordered) flush(out func(*row) error) error {
	s.sort()
	for _, k := range s.rows {
		if err := out(k.row); err != nil {
			return err
		}
	}
	s.rows = nil
	return nil
}

// keyOf is a text that only equal values share.
func keyOf(in *row, of []expression) string {
	var b strings.Builder
	for _, e := range of {
		v := e(in)
		b.WriteByte('0' + byte(min(v.kind, 1)))
		b.WriteString(strings.ReplaceAll(v.String(), "\x00", "\x00\x00"))
		b.WriteString("\x00\x01")
	}
	return b.String()
}

// dedup lets the first row of each combination of values through.
type dedup struct {
	run  *Run
	keys []expression
	seen map[string]bool
}

func (s *dedup) push(in *row, out func(*row) error) error {
	key := keyOf(in, s.keys)
	if s.seen[key] {
		return nil
	}
	s.seen[key] = true
	if err := s.run.hold(len(key) + 64); err != nil {
		return err
	}
	return out(in)
}
func (*dedup) flush(func(*row) error) error { return nil }

// group makes one row of all that have the same values.
type group struct {
	run    *Run
	stats  statsCommand
	groups map[string]*grouped
	order  []*grouped
}

type grouped struct {
	by         []value
	collectors []collector
}

func (s *group) push(in *row, _ func(*row) error) error {
	by := make([]expression, len(s.stats.by))
	for i, c := range s.stats.by {
		by[i] = c.of
	}
	key := keyOf(in, by)
	g := s.groups[key]
	if g == nil {
		if err := s.run.hold(2*len(key) + rowBytes*(1+len(s.stats.functions))); err != nil {
			return err
		}
		g = &grouped{}
		for _, of := range by {
			g.by = append(g.by, of(in))
		}
		for _, f := range s.stats.functions {
			g.collectors = append(g.collectors, f.collect())
		}
		s.groups[key] = g
		s.order = append(s.order, g)
	}
	at, _ := in.get("@timestamp").numeric()
	for i, f := range s.stats.functions {
		v := numberOf(1) // of count(*)
		if f.argument != nil {
			v = f.argument(in)
		}
		if err := s.run.hold(g.collectors[i].add(v, at)); err != nil {
			return err
		}
	}
	return nil
}

// flush hands the groups on: in the order of times where they are by time, the newest first.
func (s *group) flush(out func(*row) error) error {
	slices.SortStableFunc(s.order, func(a, b *grouped) int {
		for i := range a.by {
			if a.by[i].kind == moment && b.by[i].kind == moment {
				if c := cmp.Compare(b.by[i].num, a.by[i].num); c != 0 {
					return c
				}
			}
		}
		return 0
	})
	for _, g := range s.order {
		in := &row{set: map[string]value{}}
		for i, c := range s.stats.by {
			in.set[c.name] = g.by[i]
		}
		for i, f := range s.stats.functions {
			in.results = append(in.results, g.collectors[i].result(f.percent))
		}
		for _, c := range s.stats.columns {
			in.set[c.name] = c.of(in)
		}
		if err := out(in); err != nil {
			return err
		}
	}
	return nil
}

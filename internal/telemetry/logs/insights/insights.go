// Package insights owns the query language of CloudWatch Logs Insights: it parses a query's text, and runs it over
// log events that it is given, one after the other. It is pure. It must never import another room: where events
// come from and what becomes of an answer is their reader's.
//
// Source of the language: CloudWatch Logs User Guide, "CloudWatch Logs Insights language query syntax".
package insights

import (
	"errors"
	"fmt"
)

// Bounds of one run.
const (
	// LimitMax is how many rows a query answers at most, LimitDefault where nothing says so. Source: API reference, StartQuery.
	LimitMax     = 100_000
	LimitDefault = 10_000
	// heldMax bounds the bytes of what sorting, grouping and deduplicating hold.
	heldMax = 64 << 20
	// rowBytes is what a held row costs beside its text.
	rowBytes = 256
)

// ErrTooMuch means that a query holds more than a run may.
var ErrTooMuch = errors.New("insights: the query holds too many rows, groups or values at once")

// SyntaxError is a query that cannot be understood.
type SyntaxError struct {
	Text       string
	Start, End int // bytes of the query, from 0
}

func (e *SyntaxError) Error() string { return e.Text }

// Event is a log event with where it stands. Times are milliseconds since 1970.
type Event struct {
	Log      string // account:group
	Stream   string
	Message  string
	Time     int64
	Ingested int64
	Pointer  string // what finds it again
}

// Field is a column's value in one row.
type Field struct{ Name, Value string }

// Query is a parsed query. It can be run any number of times, also at once.
type Query struct {
	commands []command
	limited  bool // it has a limit of its own
}

// Run is one pass of a query over events.
type Run struct {
	stages  []stage
	columns []string
	grouped bool
	held    int
	rows    [][]Field

	// Matched counts the events that reached the first command that groups, sorts or limits.
	Matched int
}

// Start begins a run that answers limit rows at most, where the query does not say less.
func (q *Query) Start(limit int) *Run {
	r := &Run{}
	commands := q.commands
	if !q.limited {
		commands = append(commands[:len(commands):len(commands)], limitTo(limit))
	}
	r.plan(commands)
	return r
}

// Add takes the next event. ErrTooMuch.
func (r *Run) Add(e Event) error { return r.push(0, &row{event: &e}) }

// End returns the rows: each has its columns in order, without those that have no value in it. ErrTooMuch.
func (r *Run) End() ([][]Field, error) {
	for i, s := range r.stages {
		if err := s.flush(func(out *row) error { return r.push(i+1, out) }); err != nil {
			return nil, err
		}
	}
	return r.rows, nil
}

// push hands a row to the stage i and what comes out of it to the next.
func (r *Run) push(i int, in *row) error {
	if i == len(r.stages) {
		r.emit(in)
		return nil
	}
	return r.stages[i].push(in, func(out *row) error { return r.push(i+1, out) })
}

func (r *Run) emit(in *row) {
	if len(r.rows) >= LimitMax {
		return
	}
	out := []Field{}
	for _, name := range r.columns {
		if v := in.get(name); v.kind != absent {
			out = append(out, Field{name, v.String()})
		}
	}
	if !r.grouped {
		out = append(out, Field{"@ptr", in.event.Pointer})
	}
	r.rows = append(r.rows, out)
}

// hold counts what a stage keeps.
func (r *Run) hold(bytes int) error {
	if r.held += bytes; r.held > heldMax {
		return fmt.Errorf("%d MiB are the most: %w", heldMax>>20, ErrTooMuch)
	}
	return nil
}

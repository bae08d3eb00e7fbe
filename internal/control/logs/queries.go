package logs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs/insights"
)

// States of a query. Source: the model.
const (
	queryScheduled = "Scheduled"
	queryRunning   = "Running"
	queryComplete  = "Complete"
	queryFailed    = "Failed"
	queryCancelled = "Cancelled"
	queryTimeout   = "Timeout"
)

const (
	// queriesAtOnce run beside each other on this machine, so that invokes keep its cores; the others are scheduled.
	queriesAtOnce = 2
	// queriesMax of an account may be scheduled or running. Source: User Guide, "CloudWatch Logs quotas".
	queriesMax = 30
	// queryMax ends a query. Source: the same.
	queryMax = 60 * time.Minute
	// Of ended queries the newest are kept, as far as they fit; AWS keeps them for seven days. A restart forgets them.
	queriesKept  = 1000
	resultsBytes = 64 << 20
	// queryPage is how many events are read at once.
	queryPage = 10_000
)

// queries are those of everybody, ended ones too.
type queries struct {
	logs  *logs.Logs
	now   func() time.Time
	slots chan struct{}

	mu  sync.Mutex
	all []*query // the newest last
}

// query is one that was started. What comes of it is under queries.mu.
type query struct {
	id         string
	scope      logs.Scope
	groups     []string
	text       string
	start, end int64 // milliseconds, both belong to it
	created    time.Time
	parsed     *insights.Query
	limit      int
	cancel     context.CancelFunc

	status  string
	results [][]insights.Field
	bytes   int // of the results
	scan    scan
}

// scan is what a query has read.
type scan struct{ matched, records, bytes int }

func newQueries(l *logs.Logs, now func() time.Time) *queries {
	return &queries{logs: l, now: now, slots: make(chan struct{}, queriesAtOnce)}
}

// active tells whether it is scheduled or running. Needs mu.
func (q *query) active() bool { return q.status == queryScheduled || q.status == queryRunning }

var errTooManyQueries = errors.New("logs: too many queries at once")

// begin starts a query, or refuses it with errTooManyQueries.
func (qs *queries) begin(q *query) error {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	active := 0
	for _, other := range qs.all {
		if other.scope.Account == q.scope.Account && other.active() {
			active++
		}
	}
	if active >= queriesMax {
		return errTooManyQueries
	}
	q.id, q.created, q.status = string(aws.NewRequestID()), qs.now(), queryScheduled
	ctx, cancel := context.WithTimeout(context.Background(), queryMax)
	q.cancel = cancel
	qs.all = append(qs.all, q)
	qs.forget()
	qs.logs.Go(func(closing context.Context) {
		defer cancel()
		defer context.AfterFunc(closing, cancel)()
		qs.run(ctx, q)
	})
	return nil
}

// run waits for a slot, runs the query and keeps what came of it.
func (qs *queries) run(ctx context.Context, q *query) {
	select {
	case qs.slots <- struct{}{}:
		defer func() { <-qs.slots }()
	case <-ctx.Done():
	}
	qs.change(q, queryRunning, nil, scan{})
	results, read, err := qs.search(ctx, q)
	status := queryComplete
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		status = queryTimeout
	case err != nil:
		status = queryFailed
	}
	qs.change(q, status, results, read)
}

// change sets a query's state, but for one that was cancelled.
func (qs *queries) change(q *query, status string, results [][]insights.Field, read scan) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if !q.active() {
		return
	}
	q.status, q.results, q.scan = status, results, read
	for _, row := range results {
		for _, f := range row {
			q.bytes += len(f.Name) + len(f.Value) + 32
		}
	}
	qs.forget()
}

// forget drops the oldest ended queries that are too many. Needs mu.
func (qs *queries) forget() {
	bytes := 0
	for _, q := range qs.all {
		bytes += q.bytes
	}
	left, newest := len(qs.all), qs.all[len(qs.all)-1]
	qs.all = slices.DeleteFunc(qs.all, func(q *query) bool {
		if q.active() || q == newest || left <= queriesKept && bytes <= resultsBytes {
			return false
		}
		left--
		bytes -= q.bytes
		return true
	})
}

// search runs a query over the events of its groups.
func (qs *queries) search(ctx context.Context, q *query) (results [][]insights.Field, read scan, err error) {
	run := q.parsed.Start(q.limit)
	for _, group := range q.groups {
		search := logs.Search{Start: q.start, End: q.end + 1, Limit: queryPage}
		for {
			if err := ctx.Err(); err != nil {
				return nil, read, err
			}
			found, next, err := qs.logs.Search(ctx, q.scope, group, search)
			if err != nil {
				return nil, read, err
			}
			for _, f := range found {
				read.records++
				read.bytes += len(f.Message)
				if err := run.Add(eventOf(q.scope, group, f)); err != nil {
					return nil, read, err
				}
			}
			if search.Token = next; next == "" {
				break
			}
		}
	}
	results, err = run.End()
	read.matched = run.Matched
	return results, read, err
}

func eventOf(s logs.Scope, group string, f logs.Found) insights.Event {
	return insights.Event{
		Log: string(s.Account) + ":" + group, Stream: f.Stream, Message: f.Message,
		Time: f.Time, Ingested: f.Ingested, Pointer: pointerTo(group, f),
	}
}

// find returns a query of the scope as it is, false for none.
func (qs *queries) find(s logs.Scope, id string) (query, bool) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.all {
		if q.id == id && q.scope == s {
			return *q, true
		}
	}
	return query{}, false
}

// stop cancels a query: false where it is not active any more.
func (qs *queries) stop(s logs.Scope, id string) (stopped, found bool) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.all {
		if q.id == id && q.scope == s {
			if stopped = q.active(); stopped {
				q.status = queryCancelled
				q.cancel()
			}
			return stopped, true
		}
	}
	return false, false
}

// list returns the scope's queries that match says yes to, the newest first.
func (qs *queries) list(s logs.Scope, match func(*query) bool) (out []query) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range slices.Backward(qs.all) {
		if q.scope == s && match(q) {
			out = append(out, *q)
		}
	}
	return out
}

package streampoller

import (
	"context"
	"errors"
	"time"

	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

const (
	// setupPause is how long a mapping waits whose places or function cannot be read, and
	// refreshEvery how often what its record does not tell is read again.
	setupPause   = 2 * time.Second
	refreshEvery = 10 * time.Second
	// readsMax bounds the reads of one mapping that wait for an answer at once.
	readsMax = 64
	// idleKinesis and idleTable are the pauses between reads that bring nothing. Source: Lambda developer
	// guide, "Polling and batching streams": once, and four times, a second.
	idleKinesis = time.Second
	idleTable   = 250 * time.Millisecond
)

// loop is the shell of one mapping's core: it owns time, and does what the core says.
type loop struct {
	poller    *Poller
	key       record.Scoped
	mapping   *record.Mapping
	filters   filter.Set
	retention time.Duration
	core      *Core
	restored  bool
	events    chan any
	changes   chan *record.Mapping // nil: the mapping ends
	places    chan struct{}        // for reads
	ended     bool
}

func newLoop(p *Poller, key record.Scoped, m *record.Mapping) *loop {
	return &loop{
		poller: p, key: key, mapping: m, core: NewCore(), events: make(chan any), changes: make(chan *record.Mapping, 1),
		places: make(chan struct{}, readsMax),
	}
}

// Change and End tell the loop of the newest mapping; what it has not taken yet is out of date.
func (l *loop) Change(m *record.Mapping) { l.tell(m) }
func (l *loop) End()                     { l.tell(nil) }

func (l *loop) tell(m *record.Mapping) {
	select {
	case <-l.changes:
	default:
	}
	l.changes <- m
}

// Run polls until the mapping ends or polling does, and then until its batches have ended and its
// places are kept.
func (l *loop) Run(polling, life context.Context) {
	reading, stop := context.WithCancel(life)
	defer stop()
	halt := func() []any { stop(); return l.step(life, reading, Stopped{}) }
	setup := time.NewTimer(0)
	defer setup.Stop()
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	done := polling.Done()
	for {
		var effects []any
		select {
		case <-done:
			done, l.ended = nil, true
			effects = halt()
		case m := <-l.changes:
			if m == nil {
				l.ended = true
				effects = halt()
				break
			}
			l.mapping = m
			setup.Reset(0)
		case <-setup.C:
			if l.ended {
				break
			}
			event, err := l.setup(life)
			if err != nil {
				l.poller.opts.Log.Warn("an event source mapping waits and is tried again", "mapping", l.key.Name, "source", l.mapping.Source, "error", err)
				setup.Reset(setupPause)
				break
			}
			effects = l.step(life, reading, event)
			if _, first := event.(Restored); first {
				setup.Reset(0)
			} else {
				setup.Reset(refreshEvery)
			}
		case e := <-l.events:
			effects = l.step(life, reading, e)
		case <-tick.C:
			effects = l.step(life, reading, Tick{})
		case <-life.Done():
			return
		}
		for _, e := range effects {
			if w, ok := e.(Wake); ok {
				tick.Reset(max(time.Until(w.At), 0))
			}
		}
		if l.ended && l.core.Idle() {
			return
		}
	}
}

// setup is what the core must know first, and then what has changed.
func (l *loop) setup(ctx context.Context) (any, error) {
	if !l.restored {
		out := Restored{Shards: map[string]record.StreamShard{}}
		held, err := record.StreamProgresses.Get(ctx, l.poller.opts.Records, l.key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			out.Progress = *held.Value
		}
		err = record.StreamShards.Each(ctx, l.poller.opts.Records, record.OfStreamMapping(l.key), func(h record.Held[record.Scoped, record.StreamShard]) {
			out.Shards[h.Key.Name[len(l.key.Name)+1:]] = *h.Value
		})
		l.restored = err == nil
		return out, err
	}
	m := l.mapping
	filters, err := filter.CompileSet(m.Filters)
	if err != nil {
		return nil, err
	}
	if _, ok := l.function(); !ok {
		return nil, errors.New("the function is not there")
	}
	l.filters = filters
	s := m.Stream
	c := Config{
		Start:   record.StreamShard{Position: s.StartingPosition, Since: s.StartingTime},
		ReadMax: readMax, IdlePause: idleKinesis,
		BatchSize: int(m.BatchSize), Window: time.Duration(m.WindowS) * time.Second, Lanes: max(1, int(s.Parallelization)),
		Tumbling: time.Duration(s.TumblingS) * time.Second, MaxRetries: int(s.MaxRetries), Bisect: s.Bisect, ReportFailures: m.ReportFailures,
		MaxAge: l.retention, // what has expired in the stream is not run any more
	}
	if isTable(m.Source) {
		c.ReadMax, c.IdlePause = tableReadMax, idleTable
	}
	if age := time.Duration(s.MaxAgeS) * time.Second; age > 0 && (c.MaxAge == 0 || age < c.MaxAge) {
		c.MaxAge = age
	}
	return Configured{c}, nil
}

// function is the one that the mapping invokes, or, of an alias, the function itself: they
// share what is read here, or nearly so.
func (l *loop) function() (*record.Function, bool) {
	n := l.mapping.Function
	if record.IsVersionNumber(n.Qualifier) {
		return l.poller.opts.Functions.Function(n.ID, n.Qualifier)
	}
	return l.poller.opts.Functions.Function(n.ID, record.Latest)
}

// retained is what a listing told beside the shards.
type retained struct {
	listed    Listed
	retention time.Duration
}

// step lets the core decide and begins what it says.
func (l *loop) step(life, reading context.Context, event any) []any {
	if r, ok := event.(retained); ok {
		l.retention, event = r.retention, r.listed
	}
	effects := l.core.Step(time.Now(), event)
	f, _ := l.function()
	role := ""
	if f != nil {
		role = f.Role
	}
	w := &work{poller: l.poller, key: l.key, mapping: l.mapping, role: role, filters: l.filters}
	begin := func(do func() any) {
		go func() {
			e := do()
			select {
			case l.events <- e:
			case <-life.Done():
			}
		}()
	}
	for _, e := range effects {
		switch e := e.(type) {
		case List:
			begin(func() any { return w.list(reading) })
		case ReadShard:
			begin(func() any {
				select {
				case l.places <- struct{}{}:
				case <-reading.Done():
					return Read{Shard: e.Shard, Outcome: ReadFailed}
				}
				defer func() { <-l.places }()
				return w.read(reading, e)
			})
		case Invoke:
			begin(func() any { return w.invoke(life, e.Batch) })
		case Report:
			begin(func() any { return w.report(life, &e) })
		case Save:
			begin(func() any { return w.save(life, &e) })
		}
	}
	return effects
}

package sqspoller

import (
	"context"
	"errors"
	"sync"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	// settleTries and settlePause bound how often a removal is tried; after that the queue
	// delivers the messages again.
	settleTries = 3
	settlePause = 200 * time.Millisecond
	// setupPause is how long a mapping waits whose queue or function cannot be read.
	setupPause = 2 * time.Second
)

// loop is the shell of one mapping's core: it owns time, and does what the core says.
type loop struct {
	poller  *Poller
	key     record.Scoped
	mapping *record.Mapping
	filters filter.Set
	core    *Core
	events  chan any
	changes chan *record.Mapping // nil: the mapping ends
	ended   bool
	// settling are the messages that the queue is being told of.
	settling sync.WaitGroup
}

func newLoop(p *Poller, key record.Scoped, m *record.Mapping) *loop {
	return &loop{poller: p, key: key, mapping: m, core: NewCore(), events: make(chan any), changes: make(chan *record.Mapping, 1)}
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

// Run polls until the mapping ends or polling does, and then until its batches have ended.
func (l *loop) Run(polling, life context.Context) {
	receiving, stop := context.WithCancel(life)
	defer l.settling.Wait()
	defer stop()
	halt := func() { stop(); l.step(life, receiving, Stopped{}) }
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
			halt()
		case m := <-l.changes:
			if m == nil {
				l.ended = true
				halt()
				break
			}
			l.mapping = m
			setup.Reset(0)
		case <-setup.C:
			if l.ended {
				break
			}
			config, err := l.configure(life)
			if err != nil {
				l.poller.opts.Log.Warn("the source of an event source mapping cannot be read and is tried again", "mapping", l.key.Name, "source", l.mapping.Source, "error", err)
				setup.Reset(setupPause)
				break
			}
			effects = l.step(life, receiving, Configured{config})
			setup.Reset(refreshEvery) // the queue's and the function's timeouts change by themselves
		case e := <-l.events:
			effects = l.step(life, receiving, e)
		case <-tick.C:
			effects = l.step(life, receiving, Tick{})
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

// refreshEvery is how often what the mapping's record does not tell is read again.
const refreshEvery = 10 * time.Second

// configure reads what the core must know.
func (l *loop) configure(ctx context.Context) (Config, error) {
	m := l.mapping
	filters, err := filter.CompileSet(m.Filters)
	if err != nil {
		return Config{}, err
	}
	f, ok := l.function()
	if !ok {
		return Config{}, errors.New("the function is not there")
	}
	visibility, err := l.poller.opts.Queues.Visibility(ctx, f.Role, m.Source)
	if err != nil {
		return Config{}, err
	}
	l.filters = filters
	return Config{
		FIFO: isFIFO(m.Source), BatchSize: int(m.BatchSize), Window: time.Duration(m.WindowS) * time.Second, Concurrency: int(m.Concurrency),
		ReportFailures: m.ReportFailures, Patience: max(0, visibility-time.Duration(f.TimeoutS)*time.Second),
	}, nil
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

// step lets the core decide and begins what it says.
func (l *loop) step(life, receiving context.Context, event any) []any {
	effects := l.core.Step(time.Now(), event)
	f, _ := l.function()
	role := ""
	if f != nil {
		role = f.Role
	}
	m, filters := l.mapping, l.filters
	answer := func(e any) {
		select {
		case l.events <- e:
		case <-life.Done():
		}
	}
	for _, e := range effects {
		switch e := e.(type) {
		case Receive:
			go func() { answer(l.receive(receiving, role, m, filters, e.Max)) }()
		case Invoke:
			go func() { answer(l.invoke(life, m, e.Batch)) }()
		case Delete:
			l.settling.Go(func() {
				l.settle(life, e.Messages, "delete", func(receipts []string) error { return l.poller.opts.Queues.Delete(life, role, m.Source, receipts) })
			})
		case Release:
			l.settling.Go(func() {
				l.settle(life, e.Messages, "release", func(receipts []string) error { return l.poller.opts.Queues.Release(life, role, m.Source, receipts) })
			})
		}
	}
	return effects
}

func (l *loop) receive(ctx context.Context, role string, m *record.Mapping, filters filter.Set, most int) Received {
	got, err := l.poller.opts.Queues.Receive(ctx, role, m.Source, most)
	if err != nil {
		if ctx.Err() == nil {
			l.poller.opts.Log.Warn("an event source cannot be read and is read again later", "mapping", l.key.Name, "source", m.Source, "error", err)
		}
		return Received{Asked: most, Failed: true}
	}
	out := Received{Asked: most}
	for i := range got {
		r, err := encodeRecord(&got[i], m.Source, l.key.Region, m.WindowS > 0)
		if err != nil { // left to the queue
			l.poller.opts.Log.Error("a message cannot be told to a function", "mapping", l.key.Name, "message", got[i].MessageID, "error", err)
			continue
		}
		out.Messages = append(out.Messages, Message{
			Receipt: got[i].Receipt, ID: got[i].MessageID, Group: got[i].Group, Bytes: len(r) + 1, Passes: passes(filters, r), Record: r, Trace: got[i].Trace,
		})
	}
	return out
}

// invoke runs the function with a batch.
func (l *loop) invoke(ctx context.Context, m *record.Mapping, b *Batch) Invoked {
	out := Invoked{Number: b.Number}
	answer, err := l.poller.opts.Invoke(ctx, &frontend.Request{
		Name: m.Function, RequestID: aws.NewRequestID(), Payload: encodeEvent(b), TraceID: b.Messages[0].Trace, Received: time.Now(),
	})
	if err != nil {
		out.Outcome = l.outcomeOf(err)
		return out
	}
	if answer.FunctionError != "" {
		out.Outcome = Failed
		return out
	}
	if m.ReportFailures {
		places, ok := rejected(answer.Payload, b)
		if out.Rejected = places; !ok {
			out.Outcome = Failed
		}
	}
	return out
}

// outcomeOf reads why the function did not run.
func (l *loop) outcomeOf(err error) Outcome {
	var throttle *api.TooManyRequestsException
	var missing *api.ResourceNotFoundException
	var fault wire.Fault
	switch {
	case errors.As(err, &throttle):
		return Throttled
	case errors.As(err, &missing):
		return Unavailable
	case errors.As(err, &fault) && fault.FaultStatus() < 500 && fault.FaultStatus() != 409:
		// It will not take this event: the queue's redrive policy says how often it is tried.
		l.poller.opts.Log.Warn("a function does not take a batch", "mapping", l.key.Name, "error", err)
		return Failed
	}
	l.poller.opts.Log.Error("a batch could not be run and is tried again", "mapping", l.key.Name, "error", err)
	return Unavailable
}

// settle tells the queue what became of messages; what does not reach it is delivered again.
func (l *loop) settle(ctx context.Context, messages []Message, what string, tell func([]string) error) {
	receipts := make([]string, len(messages))
	for i, m := range messages {
		receipts[i] = m.Receipt
	}
	var err error
	for try := range settleTries {
		if try > 0 {
			select {
			case <-time.After(settlePause << try):
			case <-ctx.Done():
				return
			}
		}
		if err = tell(receipts); err == nil {
			return
		}
	}
	l.poller.opts.Log.Warn("messages come again", "could not", what, "mapping", l.key.Name, "messages", len(messages), "error", err)
}

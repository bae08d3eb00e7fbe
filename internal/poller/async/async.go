// Package async owns the queue of asynchronous invokes: it writes each event to disk before
// it is acknowledged, has it run by the frontend, tries again after failures, and sends the
// record of what came of it where the function's configuration says. It must never run
// anything itself nor know a service's protocol: a poller decides when, other rooms do it.
package async

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// Functions is the view of function records.
type Functions interface {
	Function(id record.FunctionID, version string) (*record.Function, bool)
}

// Configs is the view of the configurations of asynchronous invokes.
type Configs interface {
	Get(key record.Qualified) (*record.EventInvokeConfig, bool)
}

// Reserved is the view of reserved concurrency.
type Reserved interface {
	Get(key record.Qualified) (*record.Concurrency, bool)
}

// Sender takes records to destinations and events to dead-letter queues.
type Sender interface {
	// Send delivers for a function of the given role, or says why it could not: then it is
	// called again a few times.
	Send(ctx context.Context, m *Delivery) error
}

// Delivery is one message for a destination.
type Delivery struct {
	From        record.FunctionID
	FunctionARN string // with the qualifier, as records have it
	Role        string // of the function
	Destination string // ARN
	RequestID   aws.RequestID
	TraceID     string
	// Success tells which of the two records it is; a dead letter is a failure.
	Success bool
	// Body is the invocation record, or, of a dead letter, the event itself.
	Body []byte
	// DeadLetter is nil for invocation records.
	DeadLetter *DeadLetter
	// ObjectKey is where in a bucket the record lies; "" is the form of asynchronous invokes.
	ObjectKey string
}

// DeadLetter is what a dead-letter queue is told beside the event. Source: Lambda developer
// guide, "Adding a dead-letter queue", message attributes.
type DeadLetter struct {
	ErrorCode    int // HTTP status
	ErrorMessage string
}

// Options of New. All doors must be given.
type Options struct {
	Queues    store.Queues
	Functions Functions
	Configs   Configs
	Reserved  Reserved
	Sender    Sender
	// Invoke is frontend.Frontend's Run.
	Invoke func(context.Context, *frontend.Request) (frontend.Answer, error)
	// TimeScale stretches the pauses between attempts; 0 is 1. Tests take less.
	TimeScale float64
	// Idle says whether the machine has cores with nothing to do; nil: it always has.
	Idle func() bool
	Now  func() time.Time
	Log  *slog.Logger
}

// Queue keeps and runs asynchronous invokes.
type Queue struct {
	opts   Options
	shards [shardCount]*shard
}

// New makes a queue. Accept works at once; Run empties it.
func New(o Options) (*Queue, error) {
	if o.Queues == nil || o.Functions == nil || o.Configs == nil || o.Reserved == nil || o.Sender == nil || o.Invoke == nil {
		return nil, errors.New("async: a door is missing in the options")
	}
	if o.TimeScale == 0 {
		o.TimeScale = 1
	}
	if o.Idle == nil {
		o.Idle = func() bool { return true }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{opts: o}
	for i := range q.shards {
		q.shards[i] = newShard(q, i)
	}
	return q, nil
}

// Accept implements frontend.Events.
func (q *Queue) Accept(ctx context.Context, e *frontend.Event) error {
	err := q.shardOf(e.Name.ID).enqueue(ctx, &event{
		Name: e.Name, RequestID: e.RequestID, ClientContext: e.ClientContext, TenantID: e.TenantID, TraceID: e.TraceID, Received: e.Received, payload: e.Payload,
	}, 0)
	if err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// Run empties the queue until leasing ends; then it waits for what it has begun, but not
// longer than life.
func (q *Queue) Run(leasing, life context.Context) error {
	var shards sync.WaitGroup
	for _, s := range q.shards {
		shards.Go(func() { s.run(leasing, life) })
	}
	done := make(chan struct{})
	go func() { shards.Wait(); close(done) }()
	select {
	case <-done:
		return leasing.Err()
	case <-life.Done():
		return life.Err()
	}
}

// scaled is a pause on the queue's clock.
func (q *Queue) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * q.opts.TimeScale)
}

// Package logs owns log groups, log streams and log events at rest: writing them
// in chunks so that functions may log at high rates, reading them in order of
// time, and letting them expire. It implements telemetry.LogSink. It must never
// import a room above level 1 nor know an AWS wire shape: what a client is
// told, control/logs decides.
//
// Times are milliseconds since 1970, as in the service's API.
package logs

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/telemetry"
)

const (
	flushEveryDefault = 50 * time.Millisecond
	sweepEveryDefault = time.Hour
)

// Error kinds; match with errors.Is.
var (
	ErrGroupNotFound  = errors.New("logs: log group not found")
	ErrGroupExists    = errors.New("logs: log group exists")
	ErrStreamNotFound = errors.New("logs: log stream not found")
	ErrStreamExists   = errors.New("logs: log stream exists")
	ErrFilterNotFound = errors.New("logs: metric filter not found")
	ErrTooManyFilters = errors.New("logs: too many metric filters")

	ErrSubscriptionNotFound = errors.New("logs: subscription filter not found")
	ErrTooManySubscriptions = errors.New("logs: too many subscription filters")

	ErrPolicyNotFound  = errors.New("logs: resource policy not found")
	ErrTooManyPolicies = errors.New("logs: too many resource policies")

	ErrDefinitionNotFound = errors.New("logs: query definition not found")
	ErrTooManyDefinitions = errors.New("logs: too many query definitions")

	ErrBadToken = errors.New("logs: token was not given out by this query")
	// ErrBusy means that others changed the same record again and again.
	ErrBusy = errors.New("logs: record is being changed by others")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("logs: closed")
)

// conflictRetriesMax bounds how often a change is tried again because another
// writer came first: then ErrBusy.
const conflictRetriesMax = 16

// turnsMax bounds how many streams are written at once by Put; more share a turn.
const turnsMax = 256

// Options changes what Open does by default.
type Options struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log is told what the background work cannot tell anybody else; nil is slog.Default().
	Log *slog.Logger
	// FlushEvery is how long appended events may wait; 0 is the default.
	FlushEvery time.Duration
	// SweepEvery is how often expired events are removed; 0 is the default.
	SweepEvery time.Duration
}

// Logs is everybody's logs in one store.
type Logs struct {
	store store.Store
	now   func() time.Time
	log   *slog.Logger

	sequence atomic.Uint64 // of the newest chunk
	sink     *sink

	seed  maphash.Seed
	turns [turnsMax]sync.Mutex // of those who write to one stream, by its key's hash

	policing sync.Mutex // of those who change resource policies

	subscribed  atomic.Pointer[subscribers] // nil until they are needed
	subscribing sync.Mutex                  // of those who change them
	outgoing    chan struct{}               // there is something to deliver

	background context.Context // ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup
}

var _ telemetry.LogSink = (*Logs)(nil)

// Open starts the background writer and the sweeper; Close ends them.
func Open(s store.Store, o Options) *Logs {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = flushEveryDefault
	}
	if o.SweepEvery <= 0 {
		o.SweepEvery = sweepEveryDefault
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Logs{store: s, now: o.Now, log: o.Log, seed: maphash.MakeSeed(), outgoing: make(chan struct{}, 1), background: ctx, stop: stop}
	l.sink = newSink(l, o.FlushEvery)
	l.running.Go(func() { l.sink.run(ctx) })
	l.running.Go(func() { l.sweepOften(ctx, o.SweepEvery) })
	return l
}

// Close makes what was appended durable, for as long as ctx lives, and stops.
func (l *Logs) Close(ctx context.Context) error {
	err := l.Flush(ctx)
	l.sink.close()
	l.stop()
	l.running.Wait()
	return err
}

// Go runs f beside everything else; Close ends its context and waits for it.
func (l *Logs) Go(f func(ctx context.Context)) {
	l.running.Go(func() { f(l.background) })
}

// Scope is whose logs, and where.
type Scope struct {
	Account aws.AccountID
	Region  aws.Region
}

func (s Scope) key() string { return string(s.Account) + "/" + string(s.Region) + "/" }

func (l *Logs) millis() int64 { return l.now().UnixMilli() }

// nextSequence orders chunks of one stream that begin at the same time. It goes
// on over restarts because it follows the clock.
func (l *Logs) nextSequence() uint64 {
	for {
		last := l.sequence.Load()
		next := max(last+1, uint64(l.now().UnixNano()))
		if l.sequence.CompareAndSwap(last, next) {
			return next
		}
	}
}

// retryConflicts runs a change again while others come first.
func retryConflicts(change func() error) error {
	for range conflictRetriesMax {
		err := change()
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return ErrBusy
}

// each calls do for every record with the prefix whose key is greater than after.
func (l *Logs) each(ctx context.Context, prefix, after string, do func(store.Record) (more bool, err error)) error {
	for {
		page, more, err := l.store.List(ctx, prefix, after, store.ListLimitMax)
		if err != nil {
			return fmt.Errorf("list %s: %w", prefix, err)
		}
		for _, r := range page {
			after = r.Key
			if on, err := do(r); err != nil || !on {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

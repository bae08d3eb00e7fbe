// Package sqs owns the embedded Amazon SQS: its queues, their messages at rest
// and the operations of its API. The order in which messages are delivered is
// decided in sqs/flow. It must never import a room that runs functions, nor
// another service: it is a neighbour of Lambda and knows nothing of it.
package sqs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Authorizer decides whether a caller may do something to a queue.
type Authorizer interface {
	AuthorizeAccess(ctx context.Context, call *wire.Call, access iam.Access) error
}

// Options of a Service. Records must be given.
type Options struct {
	Records store.Records
	// Authorizer is nil when nobody checks permissions (--auth=none).
	Authorizer Authorizer
	Region     aws.Region       // of queues in the Go API's answers
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: silence
}

// Service is the queues of one node. It is safe for concurrent use. A store must not
// have two: what is in flight, and the order of a group, is in this process's memory.
type Service struct {
	records   store.Records
	authorize Authorizer
	now       func() time.Time
	log       *slog.Logger
	receipts  receiptKey
	vault     vault

	stop context.CancelFunc
	ctx  context.Context
	done sync.WaitGroup
	// polls ends when receives are to wait no more.
	polls    context.Context
	endPolls context.CancelFunc

	states stateWriter

	mu      sync.RWMutex
	queues  map[Name]*queue
	deleted map[Name]time.Time // for a minute after
	moves   map[string]*moveTask
}

// Open reads the queues and begins to look after them, until Close.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		records: o.Records, authorize: o.Authorizer, now: o.Now, log: o.Log,
		queues: map[Name]*queue{}, deleted: map[Name]time.Time{}, moves: map[string]*moveTask{},
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.polls, s.endPolls = context.WithCancel(s.ctx)
	s.states.init(s)
	if err := s.loadKeys(ctx); err != nil {
		return nil, err
	}
	if err := s.loadQueues(ctx); err != nil {
		return nil, err
	}
	if err := s.loadMoves(ctx); err != nil {
		return nil, err
	}
	s.spawn(s.states.run)
	s.spawn(s.sweep)
	return s, nil
}

// Drain lets receives answer that do nothing but wait, so that a server can end.
func (s *Service) Drain() { s.endPolls() }

// Close ends what waits, and saves what is known of deliveries.
func (s *Service) Close() error {
	s.stop()
	s.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.states.flush(ctx)
}

// closeTimeout bounds the last write of Close.
const closeTimeout = 5 * time.Second

func (s *Service) spawn(f func()) {
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		f()
	}()
}

func (s *Service) instant() flow.Instant { return flow.Instant(s.now().UnixMilli()) }

// find returns a queue that is there.
func (s *Service) find(name Name) (*queue, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	return nil, ErrNoQueue
}

// ErrNoQueue: the queue does not exist. The edge words it (faults.go).
var ErrNoQueue = errors.New("sqs: the queue does not exist")

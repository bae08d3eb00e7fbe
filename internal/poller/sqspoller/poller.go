// Package sqspoller owns the polling of SQS queues for event source mappings: it receives,
// filters, batches, has the frontend run the function, and deletes what is done. What it
// decides is a pure machine (Core); what it holds is forgotten in a crash, and the queue
// delivers it again. It must never reach a queue but through its door, nor run a function but
// through frontend's: neither is its own.
package sqspoller

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/follow"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/services/sqs"
)

// Queues is the door to queues. Each call is made as the execution role, by the queue's ARN.
type Queues interface {
	// Visibility is the queue's visibility timeout.
	Visibility(ctx context.Context, role, queue string) (time.Duration, error)
	// Receive takes messages and waits for them up to the queue's longest wait.
	Receive(ctx context.Context, role, queue string, most int) ([]sqs.Received, error)
	Delete(ctx context.Context, role, queue string, receipts []string) error
	// Release makes messages visible at once.
	Release(ctx context.Context, role, queue string, receipts []string) error
}

// Functions is the view of function records.
type Functions interface {
	Function(id record.FunctionID, version string) (*record.Function, bool)
}

// Options of New. All doors must be given.
type Options struct {
	Mappings  *record.View[record.Scoped, record.Mapping]
	Functions Functions
	Queues    Queues
	// Invoke is frontend.Frontend's Run.
	Invoke func(context.Context, *frontend.Request) (frontend.Answer, error)
	Log    *slog.Logger // nil: silence
}

// Poller polls all queues that have mappings.
type Poller struct {
	opts Options
}

// New makes a poller. Run polls.
func New(o Options) (*Poller, error) {
	if o.Mappings == nil || o.Functions == nil || o.Queues == nil || o.Invoke == nil {
		return nil, errors.New("sqspoller: a door is missing in the options")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Poller{opts: o}, nil
}

// Run follows the mappings and polls until polling ends; then it waits for the batches that
// run, but not longer than life.
func (p *Poller) Run(polling, life context.Context) error {
	f := follow.Follower{Mappings: p.opts.Mappings, Wanted: isQueue, Begin: func(key record.Scoped, m *record.Mapping) follow.Loop { return newLoop(p, key, m) }}
	return f.Run(polling, life)
}

func isQueue(m *record.Mapping) bool {
	arn, err := aws.ParseARN(m.Source)
	return err == nil && arn.Service == "sqs"
}

func isFIFO(queue string) bool { return strings.HasSuffix(queue, ".fifo") }

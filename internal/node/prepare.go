package node

import (
	"context"

	"github.com/lambdad/lambdad/internal/record"
)

// prepareQueueMax bounds functions whose runtime waits to be prepared. When it is full
// their first invoke does without.
const prepareQueueMax = 256

// preparer parks a sandbox for a function's runtime when the function becomes Active, so
// that its first invoke finds one.
type preparer struct {
	queue chan *record.Function
}

func newPreparer() *preparer { return &preparer{queue: make(chan *record.Function, prepareQueueMax)} }

// functionChanged is for record.Functions.Subscribe; it does not wait.
func (p *preparer) functionChanged(c record.Change) {
	if c.After == nil || c.After.State != record.StateActive || c.Before != nil && c.Before.State == record.StateActive {
		return
	}
	select {
	case p.queue <- c.After:
	default:
	}
}

// run prepares until ctx ends.
func (p *preparer) run(ctx context.Context, prepare func(context.Context, *record.Function) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case fn := <-p.queue:
			// A runtime that cannot be prepared is told to whoever invokes the function.
			_ = prepare(ctx, fn)
		}
	}
}

func (n *node) prepareRuntime(ctx context.Context, fn *record.Function) error {
	return n.worker.Prepare(ctx, fn, n.isolation.of(fn))
}

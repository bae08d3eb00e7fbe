package microvm

import (
	"context"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// Freeze implements sandbox.Sandbox: the machine's processors stop.
func (b *box) Freeze(ctx context.Context) error { return b.freeze(ctx, true) }

// Thaw implements sandbox.Sandbox.
func (b *box) Thaw(ctx context.Context) error {
	if err := b.freeze(ctx, false); err != nil {
		return err
	}
	b.mu.Lock()
	pending := b.pending
	b.pending = nil
	b.mu.Unlock()
	for _, s := range pending {
		// One that has ended meanwhile needs none.
		_ = b.signal(s)
	}
	return nil
}

func (b *box) freeze(ctx context.Context, frozen bool) error {
	l, err := b.alive()
	if err != nil || l == nil {
		return err
	}
	l.freezing.Lock()
	defer l.freezing.Unlock()
	b.mu.Lock()
	same := b.frozen == frozen
	b.mu.Unlock()
	if same {
		return nil
	}
	if frozen {
		if _, err := b.Usage(ctx); err != nil { // for who asks while it stands still
			return err
		}
		err = l.machine.pause(ctx)
	} else {
		err = l.machine.unpause(ctx)
	}
	if err != nil {
		if _, gone := b.alive(); gone != nil {
			return gone
		}
		select {
		case <-l.machine.ended():
			err = nil // nothing of it runs
		default:
			return err
		}
	}
	b.mu.Lock()
	b.frozen = frozen
	b.mu.Unlock()
	return err
}

// LimitCPU implements sandbox.CPULimiter.
func (b *box) LimitCPU(ctx context.Context, milli int) error {
	l, err := b.alive()
	if err != nil {
		return err
	}
	if err := b.limit(sandbox.Limits{CPUMilli: milli}); err != nil {
		return err
	}
	_, err = l.call(ctx, line.Request{Limit: &line.Limits{CPUMilli: milli}})
	return err
}

// Usage implements sandbox.Sandbox. It is what the guest's kernel measures of
// the program; the monitor's own share is lambdad's, not the function's.
func (b *box) Usage(ctx context.Context) (sandbox.Usage, error) {
	l, err := b.alive()
	if err != nil {
		return sandbox.Usage{}, err
	}
	b.mu.Lock()
	p, frozen, usage := b.program, b.frozen, b.last
	b.mu.Unlock()
	if p != nil && !p.Ended() && !frozen {
		ctx, cancel := context.WithTimeout(ctx, askMax)
		defer cancel()
		reply, err := l.call(ctx, line.Request{Measure: true})
		if err != nil {
			if _, gone := b.alive(); gone != nil {
				return sandbox.Usage{}, gone
			}
			select {
			case <-l.machine.ended(): // what was known last is all there is
			default:
				return sandbox.Usage{}, err
			}
		} else if reply.Usage != nil {
			usage = *reply.Usage
			b.mu.Lock()
			b.last = usage
			b.mu.Unlock()
		}
	}
	return sandbox.Usage{
		MemoryBytes: usage.Memory, MemoryPeakBytes: max(usage.Peak, usage.Memory), CPU: max(0, usage.CPU-b.base), OOMKills: usage.OOMKills,
		Unenforced: b.driver.tmps.unenforced(),
	}, nil
}

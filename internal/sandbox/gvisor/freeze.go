package gvisor

import (
	"context"
	"slices"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
)

// Freeze implements sandbox.Sandbox. The whole sentry stands still, which costs
// less than asking it to stop its tasks.
func (b *box) Freeze(ctx context.Context) error {
	if err := b.Alive(); err != nil {
		return err
	}
	return b.Told("freeze", b.group.Freeze(ctx))
}

// Thaw implements sandbox.Sandbox.
func (b *box) Thaw(context.Context) error {
	if err := b.Alive(); err != nil {
		return err
	}
	return b.Told("thaw", b.group.Thaw())
}

// LimitCPU implements sandbox.CPULimiter.
func (b *box) LimitCPU(_ context.Context, milli int) error {
	if err := b.Alive(); err != nil {
		return err
	}
	return b.Told("limit cpu", b.group.Limit(cgroup.Limits{CPUMilli: milli}))
}

// Usage implements sandbox.Sandbox. What the sentry took before it had a program
// is not the program's.
func (b *box) Usage(context.Context) (sandbox.Usage, error) {
	if err := b.Alive(); err != nil {
		return sandbox.Usage{}, err
	}
	u, err := b.group.Usage()
	if err != nil {
		return sandbox.Usage{}, b.Told("usage", err)
	}
	b.mu.Lock()
	own, begun := cgroup.Usage{}, b.begun
	if b.own != nil {
		own = *b.own
	}
	b.mu.Unlock()
	memory := max(u.MemoryBytes-own.MemoryBytes, 0)
	return sandbox.Usage{
		MemoryBytes:     memory,
		MemoryPeakBytes: max(u.MemoryPeakBytes-own.MemoryBytes, memory),
		CPU:             u.CPU - begun.CPU,
		OOMKills:        u.OOMKills,
		Unenforced:      slices.Clone(b.driver.unenforced),
	}, nil
}

var _ interface {
	sandbox.Sandbox
	sandbox.CPULimiter
	sandbox.Preloader
} = (*box)(nil)

package container

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

// Freeze implements sandbox.Sandbox.
func (b *box) Freeze(ctx context.Context) error {
	if err := b.Alive(); err != nil {
		return err
	}
	err := b.group.Freeze(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		err = b.signalAll(ctx, syscall.SIGSTOP)
	}
	return b.Told("freeze", err)
}

// Thaw implements sandbox.Sandbox.
func (b *box) Thaw(ctx context.Context) error {
	if err := b.Alive(); err != nil {
		return err
	}
	err := b.group.Thaw()
	if errors.Is(err, errors.ErrUnsupported) {
		err = b.signalAll(ctx, syscall.SIGCONT)
	}
	return b.Told("thaw", err)
}

// signalAll stands in for the freezer where no group is ours: process 1 stops
// or continues everything but itself. Unlike the freezer it is visible inside.
func (b *box) signalAll(ctx context.Context, signal syscall.Signal) error {
	b.stopping.Lock()
	defer b.stopping.Unlock()
	b.mu.Lock()
	running := b.program != nil
	b.mu.Unlock()
	if !running || b.stopped == (signal == syscall.SIGSTOP) {
		return nil
	}
	if err := b.send(pid1.Order{Signal: int32(signal)}.Encode(), nil); err != nil {
		return err
	}
	r, err := b.await(ctx, pid1.ReplyObeyed)
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return syscall.Errno(r.Code)
	}
	b.stopped = signal == syscall.SIGSTOP
	return nil
}

// LimitCPU implements sandbox.CPULimiter.
func (b *box) LimitCPU(_ context.Context, milli int) error {
	if err := b.Alive(); err != nil {
		return err
	}
	return b.Told("limit cpu", b.group.Limit(cgroup.Limits{CPUMilli: milli}))
}

// Usage implements sandbox.Sandbox.
func (b *box) Usage(context.Context) (sandbox.Usage, error) {
	if err := b.Alive(); err != nil {
		return sandbox.Usage{}, err
	}
	u, err := b.group.Usage()
	if err != nil {
		return sandbox.Usage{}, b.Told("usage", err)
	}
	if memory, cpu := b.group.Meters(); !memory || !cpu {
		r := b.metered(readProcesses(b.process.pid))
		if !memory {
			u.MemoryBytes, u.MemoryPeakBytes = r.memory, r.peak
		}
		if !cpu {
			u.CPU = r.cpu
		}
	}
	return sandbox.Usage{
		MemoryBytes:     u.MemoryBytes,
		MemoryPeakBytes: u.MemoryPeakBytes,
		CPU:             u.CPU,
		OOMKills:        u.OOMKills,
		Unenforced:      slices.Clone(b.driver.unenforced),
	}, nil
}

var _ interface {
	sandbox.Sandbox
	sandbox.CPULimiter
	sandbox.Preloader
	sandbox.Dialer
} = (*box)(nil)

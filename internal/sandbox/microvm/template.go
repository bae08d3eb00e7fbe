package microvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// template is a machine at rest whose program has finished its INIT.
type template struct {
	driver *Driver
	saved  *saved
	tmp    *os.File // what /tmp held; nil if it is in memory
	owner  sandbox.StartSpec

	mu     sync.Mutex
	closed bool
}

// Template implements sandbox.Templater.
func (d *Driver) Template(ctx context.Context, s sandbox.Sandbox) (sandbox.Template, error) {
	b, ok := s.(*box)
	if !ok || b.driver != d {
		return nil, errors.New("microvm: not a sandbox of this driver")
	}
	l, err := b.alive()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	p, clonable := b.program, b.clonable
	b.mu.Unlock()
	if p == nil || !clonable {
		return nil, fmt.Errorf("microvm: %s was not started for a template: %w", b.ID(), sandbox.ErrUnsupported)
	}
	select {
	case <-p.Done():
		return nil, &sandbox.UnclonableError{Reason: "it has ended"}
	default:
	}
	if err := b.Thaw(ctx); err != nil {
		return nil, err
	}
	if _, err := b.Usage(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := watch(ctx, saveMax, l.machine)
	defer cancel()
	made, err := l.saveNow(ctx)
	if err != nil {
		// It may go on: its connections break, which it must stand anyway.
		select {
		case <-l.machine.ended():
		default:
			err = errors.Join(err, l.machine.unpause(ctx), l.renew(ctx, &line.Limits{}))
		}
		return nil, fmt.Errorf("microvm: template of %s: %w", b.ID(), err)
	}
	t := &template{driver: d, saved: made, owner: b.spec}
	b.mu.Lock()
	l.memory = nil
	for _, one := range b.disks {
		if one.number == tmpDisk {
			t.tmp = one.file
		}
	}
	made.owned = b.disks // and they go with the template
	made.usedCPU = b.last.CPU
	b.disks = nil
	// The images of the root are the origin's: it must stay.
	made.below = b.origin
	b.origin = nil
	b.mu.Unlock()
	return t, b.Destroy(ctx)
}

// Park implements sandbox.Template: a machine that stands still until its Start.
func (t *template) Park(ctx context.Context, id sandbox.ID) (sandbox.Sandbox, error) {
	t.mu.Lock()
	held := !t.closed && t.saved.hold()
	t.mu.Unlock()
	if !held {
		return nil, fmt.Errorf("microvm: the template is closed: %w", sandbox.ErrDestroyed)
	}
	b, err := t.driver.newBox(id)
	if err != nil {
		t.saved.drop()
		return nil, err
	}
	b.template = t
	if err := b.parkCopy(ctx, t); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: park %s: %w", id, err), b.Destroy(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *box) parkCopy(ctx context.Context, t *template) error {
	b.base = t.saved.usedCPU
	disks := slices.Clone(t.saved.config.disks)
	if t.tmp != nil {
		tmp, err := b.driver.tmps.copy(t.tmp)
		if err != nil {
			return err
		}
		b.disks = []disk{{number: tmpDisk, file: tmp, writable: true}}
		for i := range disks {
			if disks[i].number == tmpDisk {
				disks[i].file = tmp
			}
		}
	}
	b.mu.Lock()
	b.frozen = true
	b.mu.Unlock()
	return b.resume(ctx, t.saved, resumption{disks: disks, paused: true})
}

// startCopy lets the copy run.
func (b *box) startCopy(ctx context.Context, spec sandbox.StartSpec) error {
	if of := b.template.owner; spec.Owner != of.Owner || spec.CodeDir != of.CodeDir || !slices.Equal(spec.LayerDirs, of.LayerDirs) {
		return errors.New("the template is another's")
	}
	if err := b.limit(spec.Limits); err != nil {
		return err
	}
	if err := b.Thaw(ctx); err != nil {
		return err
	}
	l, err := b.alive()
	if err != nil {
		return err
	}
	limits := guestLimits(spec.Limits)
	ctx, cancel := watch(ctx, hangMax, l.machine)
	defer cancel()
	return l.renew(ctx, &limits)
}

// MemoryBytes implements sandbox.Template.
func (t *template) MemoryBytes() int64 { return sizeOf(t.saved.memory) }

// Close implements sandbox.Template.
func (t *template) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		t.saved.drop()
	}
	return nil
}

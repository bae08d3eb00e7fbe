package microvm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

const (
	killMax  = 20 * time.Second
	startMax = 5 * time.Minute // all tries together, on a host that is too busy
	askMax   = 10 * time.Second
	// machineTries: one that hangs is ended, and another made.
	machineTries = 3
	// vmmProcesses bounds the threads of a monitor.
	vmmProcesses = 256
	// vmmMiB is what a monitor takes beside its guest's memory: the emulator's translations, buffers.
	vmmMiB = 256
	// vmmMilli is a monitor's share of a core beside its guest's.
	vmmMilli = 500
)

// box is one sandbox.
type box struct {
	isolate.Life
	driver *Driver
	group  *cgroup.Group
	rootfs sandbox.Rootfs
	size   size

	runtimeAPI, endpoint *listener

	mu       sync.Mutex
	link     *link
	program  *program
	template *template // that it is a copy of
	started  bool
	settled  bool // its Start has succeeded
	clonable bool // its machine can be saved
	frozen   bool
	pending  []syscall.Signal // for when it is thawed
	disks    []disk           // its own, beside those of its origin
	origin   *saved
	spec     sandbox.StartSpec
	last     line.Usage
	base     time.Duration // CPU time that its template had used
}

func (d *Driver) newBox(id sandbox.ID) (*box, error) {
	b := &box{driver: d, size: parkedSize(), runtimeAPI: newListener(guest.Ports[0]), endpoint: newListener(guest.Ports[1])}
	b.Life = isolate.NewLife("microvm", id, &b.mu)
	if err := d.boxes.Add(id, b); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	return b, nil
}

// Park implements sandbox.Driver.
func (d *Driver) Park(ctx context.Context, spec sandbox.ParkSpec) (sandbox.Sandbox, error) {
	b, err := d.newBox(spec.ID)
	if err != nil {
		return nil, err
	}
	b.rootfs = spec.Rootfs
	if err := b.park(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: park %s: %w", b.ID(), err), b.Destroy(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *box) park(ctx context.Context) error { return b.machine(ctx, b.size, false) }

// machine gives the box one that has the root and waits. Its own memory is what a
// machine needs that is to be saved.
func (b *box) machine(ctx context.Context, s size, own bool) error {
	if b.driver.alone {
		return b.boot(ctx, s)
	}
	origin, err := b.driver.origins.get(ctx, s, b.rootfs)
	if err != nil {
		return err
	}
	b.mu.Lock()
	old := b.origin
	b.origin, b.size, b.clonable = origin, s, own
	b.mu.Unlock()
	if old != nil {
		old.drop()
	}
	return b.resume(ctx, origin, resumption{disks: origin.config.disks, own: own})
}

// boot makes a machine that shares nothing.
func (b *box) boot(ctx context.Context, s size) error {
	park, disks, err := b.driver.origins.rootDisks(ctx, b.rootfs)
	if err != nil {
		return err
	}
	b.mu.Lock()
	old := b.disks
	b.disks, b.size, b.clonable = disks, s, true
	b.mu.Unlock()
	closeDisks(old)
	return b.make(ctx, bootMax, func(ctx context.Context, events guestEvents) (*link, error) {
		monitor, err := b.driver.host.choose(ctx)
		if err != nil {
			return nil, err
		}
		memory, err := newMemory(s.memoryMiB)
		if err != nil {
			return nil, err
		}
		l, err := bootOnce(ctx, monitor, config{memoryMiB: s.memoryMiB, cpus: s.cpus, memory: memory, group: b.group}, events)
		if err != nil {
			return nil, err
		}
		if err := l.furnish(ctx, park, disks); err != nil {
			l.end()
			return nil, err
		}
		return l, nil
	})
}

// resume makes the box's machine from one at rest.
func (b *box) resume(ctx context.Context, from *saved, r resumption) error {
	return b.make(ctx, resumeMax, func(ctx context.Context, events guestEvents) (*link, error) {
		r.group, r.events = b.group, events
		return b.driver.resume(ctx, from, r)
	})
}

// make makes the box's machine in its control group, again if it hangs.
func (b *box) make(ctx context.Context, limit time.Duration, try func(context.Context, guestEvents) (*link, error)) error {
	made, err := b.driver.boxes.Making(ctx)
	if err != nil {
		return err
	}
	defer made()
	if err := b.Alive(); err != nil { // while it waited
		return err
	}
	if b.group == nil {
		var err error
		if b.group, err = b.driver.groups.Make(string(b.ID())); err != nil {
			return err
		}
		if err := b.group.Limit(cgroup.Limits{Processes: vmmProcesses}); err != nil {
			return err
		}
	}
	l, err := watched(ctx, limit, machineTries, func(ctx context.Context) (*link, error) {
		own := &events{box: b}
		l, err := try(ctx, guestEvents{opened: own.opened, exited: own.exited})
		if err == nil {
			go own.watch(l)
		}
		return l, err
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	destroyed := b.Over()
	if !destroyed {
		b.link = l
	}
	b.mu.Unlock()
	if destroyed {
		l.end()
		return sandbox.ErrDestroyed
	}
	return nil
}

// events are those of one of the box's machines, of which it may have had several.
type events struct{ box *box }

func (e *events) opened(s *line.Stream) {
	b := e.box
	switch s.Port() {
	case b.runtimeAPI.port:
		b.runtimeAPI.deliver(s)
	case b.endpoint.port:
		b.endpoint.deliver(s)
	case line.Output:
		if p := b.running(); p != nil {
			p.output.connect(s)
			return
		}
		s.Close()
	default:
		s.Close()
	}
}

func (e *events) exited(x line.Exit) {
	b := e.box
	b.mu.Lock()
	p := b.program
	b.last = x.Usage
	b.mu.Unlock()
	if p == nil {
		return
	}
	p.End(sandbox.Exit{Code: x.Code, Signal: syscall.Signal(x.Signal), Ended: time.Now(),
		OOM: syscall.Signal(x.Signal) == syscall.SIGKILL && x.Usage.OOMKills > 0})
}

// watch ends the program with its machine.
func (e *events) watch(l *link) {
	<-l.machine.ended()
	b := e.box
	b.mu.Lock()
	p, current := b.program, b.link == l && b.settled
	b.mu.Unlock()
	if p == nil || !current {
		return
	}
	b.lost(p)
}

// lost ends a program whose machine has ended.
func (b *box) lost(p *program) {
	exit := sandbox.Exit{Signal: syscall.SIGKILL, Ended: time.Now()}
	if usage, err := b.group.Usage(); err == nil {
		exit.OOM = usage.OOMKills > 0 // the host ended the monitor for it
	}
	p.End(exit)
	p.output.end()
}

func (b *box) running() *program {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.program
}

// RuntimeAPI implements sandbox.Sandbox.
func (b *box) RuntimeAPI() net.Listener { return b.runtimeAPI }

// Endpoint implements sandbox.Sandbox.
func (b *box) Endpoint() net.Listener { return b.endpoint }

// alive returns the machine, or ErrDestroyed.
func (b *box) alive() (*link, error) {
	if err := b.Alive(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.link, nil
}

// Destroy implements sandbox.Sandbox. Whoever calls second waits for the first.
func (b *box) Destroy(ctx context.Context) error { return b.End(ctx, b.destroy) }

// destroy takes the sandbox apart.
func (b *box) destroy() error {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	var errs []error
	for _, l := range []*listener{b.runtimeAPI, b.endpoint} {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	b.mu.Lock()
	l, p, disks, origin, t := b.link, b.program, b.disks, b.origin, b.template
	b.disks, b.origin, b.template = nil, nil, nil
	b.mu.Unlock()
	if l != nil {
		l.end()
	}
	if p != nil {
		p.End(sandbox.Exit{Signal: syscall.SIGKILL, Ended: time.Now()})
		p.output.end()
	}
	for _, d := range disks {
		errs = append(errs, d.file.Close())
	}
	if origin != nil {
		origin.drop()
	}
	if t != nil {
		t.saved.drop()
	}
	if b.group != nil {
		errs = append(errs, b.group.Kill(ctx), b.group.Remove())
	}
	b.driver.boxes.Remove(b.ID())
	return errors.Join(errs...)
}

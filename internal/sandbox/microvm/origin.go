package microvm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// originsMax bounds the machines at rest that sandboxes are copied from. Each
// holds some 100 MiB; the one that was not used for longest is given up.
const originsMax = 8

// sizes are the memories of machines: a sandbox gets the least that is enough,
// and the guest's control group holds its program to what it may have.
var sizes = []int{640, 1280, 2560, 5120, 11264}

// guestMiB is what the guest's kernel and process 1 take of a machine's memory.
const guestMiB = 112

// size is what a machine is made with.
type size struct{ memoryMiB, cpus int }

// parkedSize holds functions of up to 528 MiB; a larger one gets another machine at its Start.
func parkedSize() size { return size{sizes[0], min(2, runtime.NumCPU())} }

func sizeFor(l sandbox.Limits, tmpInMemory bool) (size, error) {
	s := parkedSize()
	need := l.MemoryMiB + guestMiB
	if tmpInMemory {
		need += l.TmpMiB
	}
	i := slices.IndexFunc(sizes, func(mib int) bool { return mib >= need })
	if i < 0 {
		return s, fmt.Errorf("microvm: %d MiB are more than a machine can have: %w", need, sandbox.ErrUnsupported)
	}
	s.memoryMiB = sizes[i]
	if cpus := (l.CPUMilli + 999) / 1000; cpus > s.cpus {
		s.cpus = min(cpus, runtime.NumCPU())
	}
	return s, nil
}

// origins are machines at rest, by their size and root filesystem.
type origins struct {
	driver *Driver
	stop   context.CancelFunc
	ctx    context.Context

	mu     sync.Mutex
	list   map[originKey]*origin
	groups map[string]bool // of machines that are being made
	wait   sync.WaitGroup
	closed bool
}

type originKey struct {
	size
	root string // "" before it has one
}

type origin struct {
	done  chan struct{}
	saved *saved
	err   error
	used  time.Time
}

func newOrigins(d *Driver) *origins {
	o := &origins{driver: d, list: map[originKey]*origin{}, groups: map[string]bool{}}
	o.ctx, o.stop = context.WithCancel(context.Background())
	return o
}

func (o *origins) has(group string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.groups[group]
}

// get returns a machine at rest with this root; the caller drops it. It is made
// if there is none, and that goes on when ctx ends.
func (o *origins) get(ctx context.Context, s size, rootfs sandbox.Rootfs) (*saved, error) {
	key := originKey{s, rootKey(rootfs)}
	return o.obtain(ctx, key, func(ctx context.Context) (*saved, error) { return o.withRoot(ctx, s, rootfs) })
}

func (o *origins) obtain(ctx context.Context, key originKey, produce func(context.Context) (*saved, error)) (*saved, error) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil, fmt.Errorf("microvm: driver closed: %w", sandbox.ErrDestroyed)
	}
	one := o.list[key]
	if one == nil {
		one = &origin{done: make(chan struct{})}
		o.list[key] = one
		o.wait.Go(func() {
			saved, err := produce(o.ctx)
			o.mu.Lock()
			one.saved, one.err = saved, err
			if err != nil {
				delete(o.list, key)
			}
			o.trim()
			o.mu.Unlock()
			close(one.done)
		})
	}
	one.used = time.Now()
	o.mu.Unlock()
	select {
	case <-one.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("microvm: the first machine of its kind is still being made: %w", ctx.Err())
	}
	if one.err != nil {
		return nil, one.err
	}
	if !one.saved.hold() { // given up in this moment
		return o.obtain(ctx, key, produce)
	}
	return one.saved, nil
}

// trim is called with the lock held.
func (o *origins) trim() {
	for len(o.list) > originsMax {
		var oldest originKey
		for key, one := range o.list {
			if one.saved != nil && (o.list[oldest] == nil || one.used.Before(o.list[oldest].used)) {
				oldest = key
			}
		}
		one := o.list[oldest]
		if one == nil {
			return
		}
		delete(o.list, oldest)
		one.saved.drop()
	}
}

func (o *origins) close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.stop()
	o.wait.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, one := range o.list {
		if one.saved != nil {
			one.saved.drop()
		}
	}
	o.list = map[originKey]*origin{}
	return nil
}

func rootKey(r sandbox.Rootfs) string {
	var key strings.Builder
	fmt.Fprintf(&key, "%q", r.Base)
	for _, m := range r.Mounts {
		fmt.Fprintf(&key, " %q=%q", m.Target, m.Source)
	}
	return key.String()
}

// inGroup makes a control group for a machine that is being made.
func (o *origins) inGroup(use func(*cgroup.Group) (*saved, error)) (*saved, error) {
	name := "origin-" + strings.ToLower(rand.Text()[:12])
	o.mu.Lock()
	o.groups[name] = true
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.groups, name)
		o.mu.Unlock()
	}()
	group, err := o.driver.groups.Make(name)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	s, err := use(group)
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	if err := errors.Join(group.Kill(ctx), group.Remove()); err != nil {
		o.driver.log.Warn("a machine monitor's control group stays", "error", err)
	}
	return s, err
}

// booted is a machine that has booted and waits, with nothing of anybody.
func (o *origins) booted(ctx context.Context, s size) (*saved, error) {
	return o.obtain(ctx, originKey{size: s}, func(ctx context.Context) (*saved, error) {
		monitor, err := o.driver.host.choose(ctx)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		made, err := watched(ctx, bootMax, bootTries, func(ctx context.Context) (*saved, error) {
			return o.inGroup(func(group *cgroup.Group) (*saved, error) {
				memory, err := newMemory(s.memoryMiB)
				if err != nil {
					return nil, err
				}
				l, err := bootOnce(ctx, monitor, config{memoryMiB: s.memoryMiB, cpus: s.cpus, memory: memory, group: group}, guestEvents{})
				if err != nil {
					return nil, err
				}
				return l.rest(ctx)
			})
		})
		if err == nil {
			o.driver.log.Info("a virtual machine has booted; others are copied from it", "memory_mib", s.memoryMiB, "cpus", s.cpus, "took", time.Since(begin))
		}
		return made, err
	})
}

// withRoot is a booted machine that has its root filesystem.
func (o *origins) withRoot(ctx context.Context, s size, rootfs sandbox.Rootfs) (*saved, error) {
	park, disks, err := o.rootDisks(ctx, rootfs)
	if err != nil {
		return nil, err
	}
	plain, err := o.booted(ctx, s)
	if err != nil {
		closeDisks(disks)
		return nil, err
	}
	defer plain.drop()
	made, err := watched(ctx, bootMax, bootTries, func(ctx context.Context) (*saved, error) {
		return o.inGroup(func(group *cgroup.Group) (*saved, error) {
			l, err := o.driver.resume(ctx, plain, resumption{group: group, own: true, disks: plain.config.disks})
			if err != nil {
				return nil, err
			}
			if err := l.furnish(ctx, park, disks); err != nil {
				l.end()
				return nil, err
			}
			return l.rest(ctx)
		})
	})
	if err != nil {
		closeDisks(disks)
		return nil, err
	}
	made.owned = disks
	return made, nil
}

// rootDisks makes the disks of a root filesystem, and says how they make the root.
func (o *origins) rootDisks(ctx context.Context, rootfs sandbox.Rootfs) (line.Park, []disk, error) {
	plan, err := planRoot(rootfs)
	if err != nil {
		return line.Park{}, nil, fmt.Errorf("microvm: %w", err)
	}
	var disks []disk
	for i, spec := range plan.images {
		f, err := o.driver.images.Get(ctx, spec)
		if err != nil {
			closeDisks(disks)
			return line.Park{}, nil, err
		}
		disks = append(disks, disk{number: rootDisk + i, file: f})
	}
	return plan.park, disks, nil
}

// closeDisks is for disks that were only read.
func closeDisks(disks []disk) {
	for _, d := range disks {
		_ = d.file.Close()
	}
}

// furnish gives a booted machine its root filesystem.
func (l *link) furnish(ctx context.Context, park line.Park, disks []disk) error {
	for _, d := range disks {
		if err := l.machine.attach(ctx, d); err != nil {
			return err
		}
	}
	_, err := l.call(ctx, line.Request{Park: &park})
	return err
}

// resumption says how a copy of a machine at rest is made.
type resumption struct {
	group  *cgroup.Group
	own    bool // its memory is to be its own, so that it can be saved again
	disks  []disk
	events guestEvents
	paused bool // leave it so
}

// resume makes a copy. Whoever hangs is ended; the caller may try again.
func (d *Driver) resume(ctx context.Context, s *saved, r resumption) (*link, error) {
	c := s.config
	c.group = r.group
	c.disks = slices.Clone(r.disks)
	if r.own {
		memory, err := newMemory(c.memoryMiB)
		if err != nil {
			return nil, err
		}
		if err := copySparse(memory, s.memory); err != nil {
			return nil, errors.Join(fmt.Errorf("microvm: %w", err), memory.Close())
		}
		c.memory = memory
	}
	monitor, err := d.host.choose(ctx)
	if err != nil {
		return nil, errors.Join(err, closeFile(c.memory))
	}
	m, err := monitor.resume(ctx, c, s)
	if err != nil {
		return nil, errors.Join(err, closeFile(c.memory))
	}
	l := newLink(m, r.events)
	l.memory = c.memory
	if r.paused {
		return l, nil
	}
	if err := m.unpause(ctx); err != nil {
		l.end()
		return nil, err
	}
	if err := l.renew(ctx, nil); err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// rest has the guest hold still, and saves the machine, which then ends. So it
// does on an error.
func (l *link) rest(ctx context.Context) (*saved, error) {
	s, err := l.saveNow(ctx)
	if err != nil {
		l.end()
		return nil, err
	}
	l.memory = nil // it is the saved machine's now
	l.end()
	return s, nil
}

func (l *link) saveNow(ctx context.Context) (*saved, error) {
	if _, err := l.call(ctx, line.Request{Hold: true}); err != nil {
		return nil, err
	}
	if err := l.machine.pause(ctx); err != nil {
		return nil, err
	}
	s, err := l.machine.save(ctx)
	if err != nil {
		return nil, err
	}
	s.refs.Store(1)
	return s, nil
}

package gvisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// box is one sandbox.
type box struct {
	isolate.Life
	driver *Driver
	group  *cgroup.Group

	network *network
	link    *egress.Link // nil without egress

	bench string   // its directory in the workshop
	root  *os.Root // the sandbox's root filesystem
	shelf *os.Root // what Start lays down for process 1

	requests *os.File      // process 1's standard input
	answers  *os.File      // its standard output
	replies  chan reply    // closed when process 1 has ended
	over     chan struct{} // closed then, too
	output   *os.File      // what the program will have written to

	parked   sandbox.ParkSpec
	spec     sandbox.StartSpec
	shelved  []shelved // what is on the shelf
	points   []point   // what was made in the root for further mounts
	template *template // that it was restored from

	mu        sync.Mutex
	taken     bool     // it became a template
	tmp       *os.File // the scratch filesystem made ahead, until Start takes it
	laid      int      // how many mounts the shelf has had
	orphans   []int    // the sentry, its gofer, and what they started, once runsc has left them
	listening bool     // replies are read until their end
	preloaded bool
	started   bool
	program   *program
	own       *cgroup.Usage // what the sentry took before it had a program
	begun     cgroup.Usage  // what was taken when the program got its owner
}

type reply = inside.Reply

// shelved is one mount on the shelf.
type shelved struct {
	name      string
	file, tmp bool
}

// point is a mount point in the root.
type point struct {
	name string
	file bool
}

// Park implements sandbox.Driver.
func (d *Driver) Park(ctx context.Context, spec sandbox.ParkSpec) (sandbox.Sandbox, error) {
	b, err := d.park(ctx, spec.ID, func(ctx context.Context, b *box) error { return b.park(ctx, spec) })
	if err != nil {
		return nil, err
	}
	return b, nil
}

// park makes a sandbox by a way of making one, or takes away what was made so far.
func (d *Driver) park(ctx context.Context, id sandbox.ID, way func(context.Context, *box) error) (*box, error) {
	made, err := d.boxes.Making(ctx)
	if err != nil {
		return nil, err
	}
	defer made()
	ctx, cancel := context.WithTimeout(ctx, parkMax)
	defer cancel()
	b := &box{driver: d, replies: make(chan reply, 2), over: make(chan struct{})}
	b.Life = isolate.NewLife("gvisor", id, &b.mu)
	if err := d.boxes.Add(id, b); err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	if err := way(ctx, b); err != nil {
		// What was made so far goes, however little of ctx is left.
		return nil, errors.Join(fmt.Errorf("gvisor: park %s: %w", id, err), b.Destroy(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *box) park(ctx context.Context, spec sandbox.ParkSpec) error {
	b.parked = spec
	tmp := b.makeTmp(ctx)
	err := b.furnish(ctx, spec)
	if err == nil {
		err = b.boot(ctx, "run", "-detach", "-bundle", b.bench)
	}
	if err == nil {
		_, err = b.await(ctx, func(r reply) bool { return r.Parked })
	}
	return errors.Join(err, <-tmp)
}

// furnish makes what the sentry needs around it: a group, a network, a root.
func (b *box) furnish(ctx context.Context, spec sandbox.ParkSpec) error {
	var err error
	if b.group, err = b.driver.groups.Make(string(b.ID())); err != nil {
		return err
	}
	if err := b.group.Limit(cgroup.Limits{Processes: hostProcessesMax}); err != nil {
		return err
	}
	var gateway *egress.Gateway
	if spec.Network == sandbox.NetworkEgress {
		gateway, _ = b.driver.egress.Open() // told once, by Egress
	}
	if b.network, err = newNetwork(gateway != nil); err != nil {
		return err
	}
	if gateway != nil {
		if err := b.attachEgress(ctx, gateway); err != nil {
			return err
		}
	}
	if b.bench, err = b.driver.workshop.bench(string(b.ID())); err != nil {
		return fmt.Errorf("workshop: %w", err)
	}
	if err := b.buildRoot(spec.Rootfs); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	netns := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.network.namespace.Fd())
	config, err := newBundle(filepath.Join(b.bench, "root"), filepath.Join(b.bench, "shelf"), netns).encode()
	if err != nil {
		return err
	}
	return b.driver.workshop.do(func() error { return os.WriteFile(filepath.Join(b.bench, "config.json"), config, 0o600) })
}

// buildRoot puts the root filesystem together in the workshop.
func (b *box) buildRoot(rootfs sandbox.Rootfs) error {
	w := b.driver.workshop
	if err := w.do(func() error {
		return errors.Join(os.Mkdir(filepath.Join(b.bench, "root"), 0o755), os.Mkdir(filepath.Join(b.bench, "shelf"), 0o700))
	}); err != nil {
		return err
	}
	if rootfs.Base != "" {
		if err := b.layBase(rootfs.Base); err != nil {
			return err
		}
	}
	var err error
	if b.root, err = w.openRoot(filepath.Join(b.bench, "root")); err != nil {
		return err
	}
	if b.shelf, err = w.openRoot(filepath.Join(b.bench, "shelf")); err != nil {
		return err
	}
	if err := furnish(b.root, rootfs); err != nil {
		return err
	}
	if err := b.shelf.WriteFile(inside.FilterFile, b.driver.filter, 0o600); err != nil {
		return err
	}
	places, err := b.places(append([]sandbox.Mount{}, rootfs.Mounts...))
	if err != nil {
		return err
	}
	fd, _, err := clone(b.driver.init)
	if err != nil {
		return errors.Join(err, closePlaces(places))
	}
	return w.put(append(places, place{fd: fd, file: true, root: b.shelf, name: inside.Name}))
}

// layBase covers the root with a base that stays as it is.
func (b *box) layBase(base string) error {
	info, err := os.Stat(base)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("base %s: %w", base, syscall.ENOTDIR)
	}
	// Its mount in the workshop, where the upper directory is.
	fd, _, err := clone(base)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return b.driver.workshop.do(func() error {
		for _, name := range []string{"base", "upper", "work"} {
			if err := os.Mkdir(filepath.Join(b.bench, name), 0o755); err != nil {
				return err
			}
		}
		lower := filepath.Join(b.bench, "base")
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, lower, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return err
		}
		union, err := overlay([]string{lower}, filepath.Join(b.bench, "upper"), filepath.Join(b.bench, "work"))
		if err != nil {
			return err
		}
		defer unix.Close(union)
		return unix.MoveMount(union, "", unix.AT_FDCWD, filepath.Join(b.bench, "root"), unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
}

// places clones mounts that are to be in the root.
func (b *box) places(mounts []sandbox.Mount) ([]place, error) {
	var list []place
	for _, m := range mounts {
		if err := isolate.CheckMount(m); err != nil {
			return nil, errors.Join(err, closePlaces(list))
		}
		fd, file, err := clone(m.Source)
		if err != nil {
			return nil, errors.Join(err, closePlaces(list))
		}
		list = append(list, place{fd: fd, file: file, root: b.root, name: m.Target[1:]})
	}
	return list, nil
}

func closePlaces(list []place) error {
	var errs []error
	for _, p := range list {
		errs = append(errs, unix.Close(p.fd))
	}
	return errors.Join(errs...)
}

// await takes the next reply, which must be the one that was wanted.
func (b *box) await(ctx context.Context, wanted func(reply) bool) (reply, error) {
	select {
	case r, ok := <-b.replies:
		switch {
		case !ok:
			return r, errors.New("process 1 ended unexpectedly")
		case r.Refused != nil:
			return r, &sandbox.ExecError{Path: r.Refused.Text, Err: syscall.Errno(r.Refused.Errno)}
		case r.Failed != nil:
			return r, fmt.Errorf("process 1: %s", r.Failed.Text)
		case !wanted(r):
			return r, fmt.Errorf("process 1 answered %+v", r)
		}
		return r, nil
	case <-ctx.Done():
		return reply{}, fmt.Errorf("process 1 does not answer: %w", ctx.Err())
	}
}

// listen passes on the replies until the sentry has ended.
func (b *box) listen() {
	defer close(b.replies)
	from := bufio.NewReader(b.answers)
	for {
		var r reply
		if err := inside.Read(from, &r); err != nil {
			break
		}
		if r.Exited != nil {
			b.ended(sandbox.Exit{Code: r.Exited.Code, Signal: syscall.Signal(r.Exited.Signal)})
			continue
		}
		select {
		case b.replies <- r:
			continue
		default: // it speaks without being asked: nothing more is believed
		}
		b.driver.log.Error("process 1 sends what nobody asked for", "sandbox", b.ID())
		break
	}
	close(b.over)
	b.ended(sandbox.Exit{Signal: syscall.SIGKILL})
}

// ended records how the program ended; only the first report counts.
func (b *box) ended(exit sandbox.Exit) {
	b.mu.Lock()
	p, taken := b.program, b.taken && !b.Over()
	b.mu.Unlock()
	if p == nil || taken {
		return
	}
	exit.Ended = time.Now()
	if exit.Signal == syscall.SIGKILL {
		usage, err := b.group.Usage()
		if err != nil && b.Alive() == nil { // else its group may be gone already
			b.driver.log.Warn("cannot tell whether memory ran out", "sandbox", b.ID(), "error", err)
		}
		exit.OOM = usage.OOMKills > 0
	}
	p.End(exit)
}

// RuntimeAPI implements sandbox.Sandbox.
func (b *box) RuntimeAPI() net.Listener { return b.network.runtimeAPI }

// Endpoint implements sandbox.Sandbox.
func (b *box) Endpoint() net.Listener { return b.network.endpoint }

// Destroy implements sandbox.Sandbox. Whoever calls second waits for the first.
func (b *box) Destroy(ctx context.Context) error { return b.End(ctx, b.destroy) }

// destroy takes the sandbox apart.
func (b *box) destroy() error {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	var errs []error
	if b.group != nil {
		errs = append(errs, b.group.Kill(ctx))
		b.reap()
	}
	if b.link != nil {
		errs = append(errs, b.link.Close()) // and the sockets for names with it
	}
	if b.network != nil {
		errs = append(errs, b.network.close())
	}
	// The sentry is gone, and with it its end.
	if b.listening {
		for range b.replies { // what it had still to say
		}
	}
	b.ended(sandbox.Exit{Signal: syscall.SIGKILL}) // of a template only now
	b.mu.Lock()
	output, tmp := b.output, b.tmp
	b.tmp = nil
	if b.program != nil {
		output = nil // whoever reads it closes it
	}
	b.mu.Unlock()
	for _, f := range []*os.File{b.requests, b.answers, output, tmp} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	for _, r := range []*os.Root{b.root, b.shelf} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	if b.bench != "" {
		errs = append(errs, b.driver.workshop.clear(b.bench))
	}
	errs = append(errs, os.RemoveAll(b.runDir()))
	if b.group != nil {
		errs = append(errs, b.group.Remove())
	}
	b.driver.boxes.Remove(b.ID())
	return errors.Join(errs...)
}

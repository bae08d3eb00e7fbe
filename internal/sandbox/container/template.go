package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/clone"
)

// template is a sandbox whose program stands still for good. The sandboxes of its
// copies are made within its user and pid namespaces, which is what lets a copy in.
type template struct {
	driver    *Driver
	box       *box
	around    *os.File // pidfd of its process 1
	original  *clone.Original
	candidate *candidate

	mu     sync.Mutex
	copies int
	closed bool
}

// Template implements sandbox.Templater.
func (d *Driver) Template(_ context.Context, s sandbox.Sandbox) (sandbox.Template, error) {
	b, ok := s.(*box)
	if !ok || d.rootless {
		return nil, fmt.Errorf("container: a template of this: %w", sandbox.ErrUnsupported)
	}
	if err := b.Alive(); err != nil {
		return nil, err
	}
	t, err := b.template()
	if err != nil {
		return nil, b.Told("template", err)
	}
	return t, nil
}

func (b *box) template() (*template, error) {
	b.mu.Lock()
	p, threads := b.program, b.threads
	b.mu.Unlock()
	if p == nil {
		return nil, errors.New("it has no program")
	}
	pipe, err := p.pipeInode()
	if err != nil {
		return nil, err
	}
	programs := children("/proc/" + strconv.Itoa(b.process.pid))
	if len(programs) == 0 {
		return nil, os.ErrProcessDone
	}
	pid := programs[0] // the first that process 1 started
	if err := b.group.Thaw(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	original, err := clone.Seize(pid)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	c, err := inspect(b.process.pid, pid, pipe, threads)
	if err != nil {
		return nil, errors.Join(err, original.Release())
	}
	t := &template{driver: b.driver, box: b, original: original, candidate: c}
	if t.around, err = b.process.duplicate(); err == nil {
		err = original.Prepare(c.timers...)
	}
	if err != nil {
		return nil, errors.Join(err, t.release())
	}
	b.mu.Lock()
	gone := b.Over()
	if !gone {
		b.made = t
	}
	b.mu.Unlock()
	if gone {
		return nil, errors.Join(sandbox.ErrDestroyed, t.release())
	}
	return t, nil
}

// release lets go of the program, which ends.
func (t *template) release() error {
	err := t.original.Close()
	if t.around != nil {
		err = errors.Join(err, t.around.Close())
	}
	return err
}

// Park implements sandbox.Template.
func (t *template) Park(ctx context.Context, id sandbox.ID) (sandbox.Sandbox, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, fmt.Errorf("container: template %s: %w", t.box.ID(), sandbox.ErrDestroyed)
	}
	t.copies++
	t.mu.Unlock()
	spec := t.box.spec
	spec.ID = id
	b, err := t.driver.parkWithin(ctx, spec, surroundings{
		process: t.around, root: t.box.rootID(),
		// Libraries compare pids to learn that they must reseed in a child. Who has timers
		// (Ruby does) compares them to learn whether they are there, and finds all as it was.
		skipPIDs: len(t.candidate.timers) == 0,
	})
	if err == nil {
		c := &copied{box: b, template: t}
		b.left = func() error { return errors.Join(c.closeNamespaces(), t.left()) }
		if err = c.openNamespaces(); err == nil {
			return c, nil
		}
		return nil, errors.Join(err, b.Destroy(context.WithoutCancel(ctx)))
	}
	return nil, errors.Join(err, t.left())
}

// left counts a copy that is gone; with the last one a closed template goes.
func (t *template) left() error {
	t.mu.Lock()
	t.copies--
	last := t.closed && t.copies == 0
	t.mu.Unlock()
	if !last {
		return nil
	}
	return t.box.Destroy(context.Background())
}

// MemoryBytes implements sandbox.Template.
func (t *template) MemoryBytes() int64 {
	usage, err := t.box.Usage(context.Background())
	if err != nil {
		return 0
	}
	return usage.MemoryBytes
}

// Close implements sandbox.Template. The copies' pid namespaces lie within the
// template's, so that ends with the last of them.
func (t *template) Close() error {
	t.mu.Lock()
	closed := t.closed
	t.closed = true
	last := t.copies == 0
	t.mu.Unlock()
	if closed || !last {
		return nil
	}
	return t.box.Destroy(context.Background())
}

// copied is a sandbox in which a copy of a template's program runs.
type copied struct {
	*box
	template   *template
	namespaces []clone.Namespace
}

// openNamespaces does so ahead of Start.
func (c *copied) openNamespaces() error {
	for _, k := range kinds {
		f, err := os.Open("/proc/" + strconv.Itoa(c.process.pid) + "/ns/" + k.name)
		if err != nil {
			return errors.Join(err, c.closeNamespaces())
		}
		c.namespaces = append(c.namespaces, clone.Namespace{File: f, Kind: k.flag})
	}
	return nil
}

func (c *copied) closeNamespaces() error {
	c.mu.Lock()
	open := c.namespaces
	c.namespaces = nil
	c.mu.Unlock()
	var errs []error
	for _, n := range open {
		errs = append(errs, n.File.Close())
	}
	return errors.Join(errs...)
}

// Start implements sandbox.Sandbox.
func (c *copied) Start(ctx context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	if err := c.adopt(ctx, spec); err != nil {
		return nil, err
	}
	p, err := c.enter()
	// The copy is in them: they would be a third of the descriptors that it costs.
	if err = errors.Join(err, c.closeNamespaces()); err != nil {
		return nil, c.Told("start a copy in", err)
	}
	return p, nil
}

// enter makes the copy, in the sandbox that is furnished.
func (c *copied) enter() (*program, error) {
	reader, writer, err := c.outputPipe()
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	at := c.template.candidate
	list, made, err := at.replacements(writer)
	defer func() {
		for _, f := range made {
			f.Close()
		}
	}()
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	process, err := c.template.original.Copy(clone.Spec{
		Namespaces: c.namespaces,
		Replaced:   list,
		Reopened:   at.reopened,
		Kept:       at.kept,
		Dir:        at.workDir,
		Attach:     func(pid int) error { return c.group.Attach(pid, false) },
	})
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	p := newProgram(reader)
	watched, err := newProcess(process.PID, process.PIDFD)
	if err != nil { // who cannot be watched must not run
		return nil, errors.Join(err, c.process.kill(), reader.Close())
	}
	if p.pidfd, err = unix.FcntlInt(uintptr(process.PIDFD), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		err = errors.Join(err, c.process.kill())
	}
	c.mu.Lock()
	c.program = p
	c.mu.Unlock()
	go c.watch(process, watched)
	return p, err
}

// watch reaps the copy when it has ended, and ends its sandbox, as process 1
// does for a program of its own.
func (c *copied) watch(process clone.Process, watched *process) {
	err := watched.wait()
	status, reaped := c.template.original.Reap(process)
	exit := sandbox.Exit{Code: status.ExitStatus()}
	switch {
	case err != nil || reaped != nil: // the template is gone, and with it everything
		exit = sandbox.Exit{Signal: unix.SIGKILL}
	case status.Signaled():
		exit = sandbox.Exit{Signal: status.Signal()}
	}
	c.ended(exit)
	if err := c.process.kill(); err != nil {
		c.driver.log.Error("process 1 cannot be killed", "sandbox", c.ID(), "error", err)
	}
}

var (
	_ sandbox.Templater  = (*Driver)(nil)
	_ sandbox.CPULimiter = (*copied)(nil)
)

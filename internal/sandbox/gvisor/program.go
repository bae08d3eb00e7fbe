package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
)

const (
	codeDir = "/var/task"
	// tmpParkedMiB is the size of the /tmp that a parked sandbox has ready:
	// Lambda's default.
	tmpParkedMiB = 512
	// tmpInMemory is unenforced where /tmp is a tmpfs: what it holds counts
	// towards the memory limit.
	tmpInMemory = "tmp apart from memory"
	// inodesPerMiB bounds the files in /tmp as ext4 does by default: one for 16 KiB.
	inodesPerMiB = 64
	// stringMax bounds one argument or variable, as Linux does; the sentry's own
	// bound is another. Source: execve(2), MAX_ARG_STRLEN.
	stringMax = 128 << 10
)

// program is what runs in a box.
type program struct {
	box    *box
	output io.Reader
	done   chan struct{}
	once   sync.Once
	exit   sandbox.Exit
}

// Start implements sandbox.Sandbox.
func (b *box) Start(ctx context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	b.mu.Lock()
	if b.preloaded || b.template != nil { // the program is there already
		spec.Argv, spec.Env, spec.Dir = nil, nil, ""
	} else if err := validProgram(spec.Argv); err != nil {
		b.mu.Unlock()
		return nil, err
	}
	b.mu.Unlock()
	if err := validStart(spec); err != nil {
		return nil, err
	}
	if missing := b.unenforced(spec.Limits); spec.Limits.Strict && len(missing) > 0 {
		return nil, fmt.Errorf("gvisor: %s cannot be limited on this host: %w", strings.Join(missing, ", "), sandbox.ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	p := &program{box: b, done: make(chan struct{})}
	b.mu.Lock()
	var err error
	switch {
	case b.destroyed != nil:
		err = fmt.Errorf("gvisor: %s: %w", b.id, sandbox.ErrDestroyed)
	case b.started:
		err = fmt.Errorf("gvisor: %s was started before", b.id)
	}
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	p.output = &output{file: b.output}
	b.started, b.program = true, p
	b.mu.Unlock()
	select {
	case <-b.over:
		b.ended(sandbox.Exit{Signal: syscall.SIGKILL}) // a copy that ended before
	default:
	}
	if err := b.start(ctx, spec); err != nil {
		b.output.Close()
		if gone := b.alive(); gone != nil {
			return nil, gone
		}
		return nil, fmt.Errorf("gvisor: start %s: %w", b.id, err)
	}
	return p, nil
}

func (b *box) start(ctx context.Context, spec sandbox.StartSpec) error {
	if b.template != nil {
		return b.startCopy(spec)
	}
	b.spec = spec
	message := inside.Start{Last: true, Argv: spec.Argv, Env: spec.Env, Dir: spec.Dir}
	if message.Dir == "" {
		message.Dir = codeDir
	}
	b.mu.Lock()
	preloaded := b.preloaded
	b.mu.Unlock()
	if preloaded {
		message.Argv, message.Env, message.Dir = nil, nil, ""
	}
	load := &load{box: b}
	if err := load.fill(ctx, spec); err != nil {
		return errors.Join(err, closePlaces(load.places))
	}
	message.Binds = load.binds
	if err := b.driver.workshop.put(load.places); err != nil {
		return err
	}
	if err := b.limit(spec.Limits); err != nil {
		return err
	}
	return b.order(ctx, message)
}

// order has process 1 furnish the sandbox or start the program.
func (b *box) order(ctx context.Context, message inside.Start) error {
	if err := inside.Write(b.requests, inside.Request{Start: &message}); err != nil {
		return err
	}
	_, err := b.await(ctx, func(r reply) bool { return r.Started })
	return err
}

// limit sets what the program may take on top of what its sentry takes already.
func (b *box) limit(l sandbox.Limits) error {
	now, err := b.group.Usage()
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.begun = now
	if b.own == nil {
		b.own = &now
	}
	own := b.own.MemoryBytes
	b.mu.Unlock()
	limits := cgroup.Limits{CPUMilli: l.CPUMilli}
	if l.MemoryMiB > 0 {
		limits.MemoryBytes = own + int64(l.MemoryMiB)<<20
	}
	return errors.Join(b.group.Limit(limits), b.group.ResetPeak())
}

// Preload implements sandbox.Preloader.
func (b *box) Preload(ctx context.Context, spec sandbox.PreloadSpec) error {
	if err := errors.Join(validProgram(spec.Argv), validStart(sandbox.StartSpec{Argv: spec.Argv, Env: spec.Env})); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	b.mu.Lock()
	var err error
	switch {
	case b.destroyed != nil:
		err = sandbox.ErrDestroyed
	case b.started || b.preloaded:
		err = errors.New("started before")
	}
	b.preloaded = true
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("gvisor: preload %s: %w", b.id, err)
	}
	return b.told("preload", b.preload(ctx, spec))
}

func (b *box) preload(ctx context.Context, spec sandbox.PreloadSpec) error {
	load := &load{box: b}
	if err := load.mounts(spec.Mounts); err != nil {
		return errors.Join(err, closePlaces(load.places))
	}
	if err := b.driver.workshop.put(load.places); err != nil {
		return err
	}
	own, err := b.group.Usage()
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.own = &own
	b.mu.Unlock()
	return b.order(ctx, inside.Start{Binds: load.binds, Argv: spec.Argv, Env: spec.Env, Dir: "/"})
}

func validProgram(argv []string) error {
	if len(argv) == 0 || !path.IsAbs(argv[0]) {
		return errors.New("gvisor: the program must be an absolute path")
	}
	return nil
}

// validStart refuses what a kernel would refuse or misunderstand.
func validStart(spec sandbox.StartSpec) error {
	switch {
	case spec.Dir != "" && !path.IsAbs(spec.Dir):
		return errors.New("gvisor: the working directory must be an absolute path")
	case spec.Limits.MemoryMiB < 0 || spec.Limits.CPUMilli < 0 || spec.Limits.TmpMiB < 0:
		return errors.New("gvisor: a limit is negative")
	}
	for _, list := range [][]string{spec.Argv, spec.Env, {spec.Dir}} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return errors.New("gvisor: an argument or variable contains a zero byte")
			}
			if len(s) >= stringMax {
				return fmt.Errorf("gvisor: an argument or variable is too long: %w", syscall.E2BIG)
			}
		}
	}
	return nil
}

// unenforced names the requested limits that cannot be kept.
func (b *box) unenforced(l sandbox.Limits) []string {
	return slices.DeleteFunc(slices.Clone(b.driver.unenforced), func(name string) bool { // not asked for
		return (name == "memory" && l.MemoryMiB == 0) || (name == "cpu" && l.CPUMilli == 0) || (name == tmpInMemory && l.TmpMiB == 0)
	})
}

// output closes the pipe when it has been read to its end.
type output struct{ file *os.File }

func (o *output) Read(p []byte) (int, error) {
	n, err := o.file.Read(p)
	if errors.Is(err, os.ErrClosed) {
		return n, io.EOF
	}
	if err != nil {
		if closed := o.file.Close(); closed != nil && err == io.EOF {
			err = closed
		}
	}
	return n, err
}

// SyscallConn lets the reader ask the pipe without waiting.
func (o *output) SyscallConn() (syscall.RawConn, error) { return o.file.SyscallConn() }

// end records the exit; only the first one counts.
func (p *program) end(exit sandbox.Exit) {
	p.once.Do(func() {
		p.exit = exit
		close(p.done)
	})
}

// Output implements sandbox.Program.
func (p *program) Output() io.Reader { return p.output }

// Done implements sandbox.Program.
func (p *program) Done() <-chan struct{} { return p.done }

// Exit implements sandbox.Program.
func (p *program) Exit() sandbox.Exit {
	select {
	case <-p.done:
		return p.exit
	default:
		return sandbox.Exit{}
	}
}

// Signal implements sandbox.Program.
func (p *program) Signal(signal syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
	}
	if err := inside.Write(p.box.requests, inside.Request{Signal: int(signal)}); err != nil {
		return fmt.Errorf("gvisor: signal: %w", err)
	}
	return nil
}

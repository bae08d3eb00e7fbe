package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// stringMax bounds one argument or variable, as Linux does; the sentry's own
// bound is another. Source: execve(2), MAX_ARG_STRLEN.
const stringMax = 128 << 10

// program is what runs in a box.
type program struct {
	*isolate.Ending
	box    *box
	output io.Reader
}

// Start implements sandbox.Sandbox.
func (b *box) Start(ctx context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	b.mu.Lock()
	there := b.preloaded || b.template != nil
	b.mu.Unlock()
	if there {
		spec.Argv, spec.Env, spec.Dir = nil, nil, ""
	} else if err := checkProgram(spec.Argv, spec.Env, spec.Dir); err != nil {
		return nil, err
	}
	if err := isolate.CheckLimits(spec.Limits, b.driver.unenforced); err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	p := &program{box: b, Ending: isolate.NewEnding()}
	b.mu.Lock()
	var err error
	switch {
	case b.Over():
		err = fmt.Errorf("gvisor: %s: %w", b.ID(), sandbox.ErrDestroyed)
	case b.started:
		err = fmt.Errorf("gvisor: %s was started before", b.ID())
	}
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	p.output = &isolate.Output{File: b.output}
	b.started, b.program = true, p
	b.mu.Unlock()
	select {
	case <-b.over:
		b.ended(sandbox.Exit{Signal: syscall.SIGKILL}) // a copy that ended before
	default:
	}
	if err := b.start(ctx, spec); err != nil {
		b.output.Close()
		if gone := b.Alive(); gone != nil {
			return nil, gone
		}
		return nil, fmt.Errorf("gvisor: start %s: %w", b.ID(), err)
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
		message.Dir = isolate.CodeDir
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
	if err := checkProgram(spec.Argv, spec.Env, ""); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	b.mu.Lock()
	var err error
	switch {
	case b.Over():
		err = sandbox.ErrDestroyed
	case b.started || b.preloaded:
		err = errors.New("started before")
	}
	b.preloaded = true
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("gvisor: preload %s: %w", b.ID(), err)
	}
	return b.Told("preload", b.preload(ctx, spec))
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

// checkProgram refuses what a kernel would refuse or misunderstand.
func checkProgram(argv, env []string, dir string) error {
	if err := isolate.CheckProgram(argv, env, dir); err != nil {
		return fmt.Errorf("gvisor: %w", err)
	}
	for _, list := range [][]string{argv, env, {dir}} {
		for _, s := range list {
			if len(s) >= stringMax {
				return fmt.Errorf("gvisor: an argument or variable is too long: %w", syscall.E2BIG)
			}
		}
	}
	return nil
}

// Output implements sandbox.Program.
func (p *program) Output() io.Reader { return p.output }

// Signal implements sandbox.Program.
func (p *program) Signal(signal syscall.Signal) error {
	if p.Ended() {
		return os.ErrProcessDone
	}
	if err := inside.Write(p.box.requests, inside.Request{Signal: int(signal)}); err != nil {
		return fmt.Errorf("gvisor: signal: %w", err)
	}
	return nil
}

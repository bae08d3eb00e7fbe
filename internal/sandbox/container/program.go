package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// initMiB is what process 1 itself takes of a sandbox's memory; the
// function's own limit lies on top of it.
const initMiB = 2

// program is what runs in a box.
type program struct {
	*isolate.Ending
	output *isolate.Output

	mu    sync.Mutex
	pidfd int // -1 once the program ended
}

func newProgram(output *os.File) *program {
	return &program{Ending: isolate.NewEnding(), output: &isolate.Output{File: output}, pidfd: -1}
}

// Start implements sandbox.Sandbox.
func (b *box) Start(ctx context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	b.mu.Lock()
	p := b.program // by Preload
	b.threads = spec.Threads
	b.mu.Unlock()
	if p != nil {
		spec.Argv, spec.Env, spec.Dir = nil, nil, ""
	} else if err := isolate.CheckProgram(spec.Argv, spec.Env, spec.Dir); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	if err := b.give(ctx, spec); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.program, nil
}

// Preload implements sandbox.Preloader. The program's directory is the root: what is
// at /var/task later is not there yet.
func (b *box) Preload(ctx context.Context, spec sandbox.PreloadSpec) error {
	if err := isolate.CheckProgram(spec.Argv, spec.Env, ""); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	mounts := b.trees()
	defer mounts.close()
	p, err := b.launch(mounts, &b.preloaded)
	if err != nil {
		return b.Told("preload", err)
	}
	message := pid1.Preload{Filter: b.driver.filter, Argv: spec.Argv, Env: spec.Env, Dir: "/"}
	if message.Mounts, err = mounts.bindAll(spec.Mounts); err == nil {
		err = b.begin(ctx, message.Encode(), mounts, p)
	}
	if err != nil {
		return b.Told("preload", errors.Join(err, p.drop()))
	}
	return nil
}

// adopt is Start for a sandbox whose program comes from outside: process 1 furnishes
// it, then only reaps and obeys.
func (b *box) adopt(ctx context.Context, spec sandbox.StartSpec) error {
	spec.Argv, spec.Env, spec.Dir = nil, nil, ""
	return b.give(ctx, spec)
}

// give places what is the owner's, sets the limits, and starts the program if the
// sandbox shall have one of its own and has none yet.
func (b *box) give(ctx context.Context, spec sandbox.StartSpec) error {
	if err := isolate.CheckLimits(spec.Limits, b.driver.unenforced); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	mounts := b.trees()
	defer mounts.close()
	var p *program
	var err error
	if len(spec.Argv) > 0 {
		p, err = b.launch(mounts, &b.started)
	} else {
		err = b.once(&b.started, nil)
	}
	if err != nil {
		return b.Told("start", err)
	}
	if err := b.start(ctx, spec, mounts, p); err != nil {
		if p != nil {
			err = errors.Join(err, p.drop())
		}
		return b.Told("start", err)
	}
	return nil
}

// launch makes the output of a program that process 1 is about to start: the
// message's first descriptor.
func (b *box) launch(mounts *trees, done *bool) (*program, error) {
	reader, writer, err := b.outputPipe()
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	p := newProgram(reader)
	out, err := unix.FcntlInt(writer.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		mounts.fds = append(mounts.fds, out)
		err = b.once(done, p)
	}
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return p, nil
}

// once begins what a sandbox does once in its life; p becomes its program.
func (b *box) once(done *bool, p *program) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.Over():
		return sandbox.ErrDestroyed
	case *done, b.started:
		return errors.New("was started before")
	}
	*done = true
	if p != nil {
		b.program = p
	}
	return nil
}

func (b *box) start(ctx context.Context, spec sandbox.StartSpec, mounts *trees, p *program) error {
	message, err := b.startMessage(ctx, spec, mounts)
	if err != nil {
		return err
	}
	limits := cgroup.Limits{MemoryBytes: int64(spec.Limits.MemoryMiB+initMiB) << 20, CPUMilli: spec.Limits.CPUMilli}
	if spec.Limits.MemoryMiB == 0 {
		limits.MemoryBytes = 0
	}
	if err := b.group.Limit(limits); err != nil {
		return err
	}
	if err := b.group.ResetPeak(); err != nil {
		return err
	}
	return b.begin(ctx, message.Encode(), mounts, p)
}

// begin sends a message that starts p, or, if there is none, starts nothing.
func (b *box) begin(ctx context.Context, message []byte, mounts *trees, p *program) error {
	if err := b.send(message, mounts.fds); err != nil {
		return err
	}
	r, err := b.await(ctx, pid1.ReplyStarted)
	if err != nil {
		return err
	}
	if p == nil && len(r.fds) == 0 {
		return nil
	}
	if p == nil || len(r.fds) != 1 {
		for _, fd := range r.fds {
			unix.Close(fd)
		}
		return fmt.Errorf("process 1 sent %d descriptors of programs", len(r.fds))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Ended() { // already
		return unix.Close(r.fds[0])
	}
	p.pidfd = r.fds[0]
	return nil
}

func (b *box) startMessage(ctx context.Context, spec sandbox.StartSpec, mounts *trees) (pid1.Start, error) {
	m := pid1.Start{
		TmpMiB:    int32(spec.Limits.TmpMiB),
		TmpInodes: int32(spec.Limits.TmpMiB * isolate.InodesPerMiB),
		Filter:    b.driver.filter,
		Template:  spec.Template,
		Argv:      spec.Argv,
		Env:       spec.Env,
		Dir:       spec.Dir,
	}
	if m.Dir == "" {
		m.Dir = isolate.CodeDir
	}
	wanted := spec.Mounts
	if spec.CodeDir != "" {
		wanted = append([]sandbox.Mount{{Source: spec.CodeDir, Target: isolate.CodeDir}}, wanted...)
	}
	var err error
	if m.Mounts, err = mounts.bindAll(wanted); err != nil {
		return m, err
	}
	for _, dir := range spec.LayerDirs {
		bound, err := mounts.bind(sandbox.Mount{Source: dir, Target: "/opt"}, false)
		if err != nil {
			return m, err
		}
		m.Layers = append(m.Layers, bound)
	}
	if b.driver.disks != nil && spec.Limits.TmpMiB > 0 {
		m.TmpMiB = 0 // no tmpfs
		tmp, err := b.takeTmp(ctx, spec.Limits.TmpMiB, mounts)
		if err != nil {
			return m, err
		}
		m.Mounts = append(m.Mounts, tmp)
	}
	return m, nil
}

// takeTmp gives the sandbox the disk that was made ahead, or one of the size
// that it wants.
func (b *box) takeTmp(ctx context.Context, mib int, mounts *trees) (pid1.Mount, error) {
	b.mu.Lock()
	tmp := b.tmp
	if mib == isolate.TmpParkedMiB {
		b.tmp = nil
	}
	b.mu.Unlock()
	if tmp == nil || mib != isolate.TmpParkedMiB {
		var err error
		if tmp, err = b.newTmp(ctx, mib); err != nil {
			return pid1.Mount{}, err
		}
	}
	defer tmp.Close()
	fd, err := unix.FcntlInt(tmp.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return pid1.Mount{}, err
	}
	return mounts.carry(pid1.Mount{Target: "/tmp", Writable: true}, fd)
}

// outputPipe is one pipe for stdout and stderr, which keeps their order.
func (b *box) outputPipe() (reader, writer *os.File, err error) {
	if reader, writer, err = os.Pipe(); err != nil {
		return nil, nil, err
	}
	if err := writer.Chown(b.outputOwner()); err != nil {
		return nil, nil, errors.Join(err, reader.Close(), writer.Close())
	}
	// Blocking again: os.Pipe's writer is shared with the program, which
	// does not expect EAGAIN.
	if err := unix.SetNonblock(int(writer.Fd()), false); err != nil {
		return nil, nil, errors.Join(err, reader.Close(), writer.Close())
	}
	return reader, writer, nil
}

// end records the exit; only the first one counts.
func (p *program) end(exit sandbox.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.End(exit)
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
		p.pidfd = -1
	}
}

// drop gives up the output of a program that was not started.
func (p *program) drop() error { return p.output.File.Close() }

// Output implements sandbox.Program.
func (p *program) Output() io.Reader { return p.output }

// Signal implements sandbox.Program.
func (p *program) Signal(signal syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd < 0 {
		return os.ErrProcessDone
	}
	err := unix.PidfdSendSignal(p.pidfd, signal, nil, 0)
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("container: signal: %w", err)
	}
	return nil
}

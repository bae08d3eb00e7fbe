package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

const (
	codeDir = "/var/task"
	// initMiB is what process 1 itself takes of a sandbox's memory; the
	// function's own limit lies on top of it.
	initMiB = 2
	// tmpParkedMiB is the size of the /tmp that a parked sandbox has ready:
	// Lambda's default.
	tmpParkedMiB = 512
	// tmpInMemory is unenforced where /tmp is a tmpfs: what it holds counts
	// towards the memory limit.
	tmpInMemory = "tmp apart from memory"
	// inodesPerMiB bounds the files in /tmp as ext4 does by default: one for 16 KiB.
	inodesPerMiB = 64
)

// program is what runs in a box.
type program struct {
	output io.Reader
	done   chan struct{}
	once   sync.Once
	exit   sandbox.Exit

	mu    sync.Mutex
	pidfd int // -1 once the program ended
}

// Start implements sandbox.Sandbox.
func (b *box) Start(ctx context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	if err := validStart(spec); err != nil {
		return nil, err
	}
	if missing := b.unenforced(spec.Limits); spec.Limits.Strict && len(missing) > 0 {
		return nil, fmt.Errorf("container: %s cannot be limited on this host: %w", strings.Join(missing, ", "), sandbox.ErrUnsupported)
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	reader, writer, err := b.outputPipe()
	if err != nil {
		return nil, fmt.Errorf("container: start %s: %w", b.id, err)
	}
	defer writer.Close()
	p := &program{output: &output{file: reader}, done: make(chan struct{}), pidfd: -1}
	b.mu.Lock()
	switch {
	case b.destroyed != nil:
		err = fmt.Errorf("container: %s: %w", b.id, sandbox.ErrDestroyed)
	case b.started:
		err = fmt.Errorf("container: %s was started before", b.id)
	}
	if err != nil {
		b.mu.Unlock()
		return nil, errors.Join(err, reader.Close())
	}
	b.started = true
	b.program = p
	b.mu.Unlock()
	if err := b.start(ctx, spec, writer, p); err != nil {
		reader.Close()
		if gone := b.alive(); gone != nil {
			return nil, gone
		}
		return nil, fmt.Errorf("container: start %s: %w", b.id, err)
	}
	return p, nil
}

func (b *box) start(ctx context.Context, spec sandbox.StartSpec, writer *os.File, p *program) error {
	mounts := &trees{rootless: b.driver.rootless, users: b.users}
	defer mounts.close()
	// The output is the message's first descriptor. It stays ours to close.
	out, err := unix.FcntlInt(writer.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	mounts.fds = append(mounts.fds, out)
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
	if err := b.send(message.Encode(), mounts.fds); err != nil {
		return err
	}
	r, err := b.await(ctx, pid1.ReplyStarted)
	if err != nil {
		return err
	}
	if len(r.fds) != 1 {
		return errors.New("process 1 sent no descriptor of the program")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done: // it ended already
		return unix.Close(r.fds[0])
	default:
		p.pidfd = r.fds[0]
	}
	return nil
}

func (b *box) startMessage(ctx context.Context, spec sandbox.StartSpec, mounts *trees) (pid1.Start, error) {
	m := pid1.Start{
		TmpMiB:    int32(spec.Limits.TmpMiB),
		TmpInodes: int32(spec.Limits.TmpMiB * inodesPerMiB),
		Filter:    b.driver.filter,
		Argv:      spec.Argv,
		Env:       spec.Env,
		Dir:       spec.Dir,
	}
	if m.Dir == "" {
		m.Dir = codeDir
	}
	wanted := spec.Mounts
	if spec.CodeDir != "" {
		wanted = append([]sandbox.Mount{{Source: spec.CodeDir, Target: codeDir}}, wanted...)
	}
	for _, mount := range wanted {
		bound, err := mounts.bind(mount, false)
		if err != nil {
			return m, err
		}
		m.Mounts = append(m.Mounts, bound)
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
	if mib == tmpParkedMiB {
		b.tmp = nil
	}
	b.mu.Unlock()
	if tmp == nil || mib != tmpParkedMiB {
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

// validStart refuses what the kernel would misunderstand.
func validStart(spec sandbox.StartSpec) error {
	switch {
	case len(spec.Argv) == 0 || !path.IsAbs(spec.Argv[0]):
		return errors.New("container: the program must be an absolute path")
	case spec.Dir != "" && !path.IsAbs(spec.Dir):
		return errors.New("container: the working directory must be an absolute path")
	case spec.Limits.MemoryMiB < 0 || spec.Limits.CPUMilli < 0 || spec.Limits.TmpMiB < 0:
		return errors.New("container: a limit is negative")
	}
	for _, list := range [][]string{spec.Argv, spec.Env, {spec.Dir}} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return errors.New("container: an argument or variable contains a zero byte")
			}
		}
	}
	return nil
}

// unenforced names the requested limits that cannot be kept.
func (b *box) unenforced(l sandbox.Limits) []string {
	var missing []string
	for _, name := range b.driver.unenforced {
		if (name == "memory" && l.MemoryMiB == 0) || (name == "cpu" && l.CPUMilli == 0) ||
			(name == tmpInMemory && l.TmpMiB == 0) {
			continue // not asked for
		}
		missing = append(missing, name)
	}
	return missing
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
		p.mu.Lock()
		defer p.mu.Unlock()
		p.exit = exit
		if p.pidfd >= 0 {
			unix.Close(p.pidfd)
			p.pidfd = -1
		}
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

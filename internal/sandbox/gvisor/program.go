package gvisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

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
	message, places, err := b.lay(ctx, spec)
	if err != nil {
		return err
	}
	if err := b.driver.workshop.put(places); err != nil {
		return err
	}
	if err := b.limit(spec.Limits); err != nil {
		return err
	}
	if err := inside.Write(b.control, inside.Request{Start: message}); err != nil {
		return err
	}
	_, err = b.await(ctx, func(r reply) bool { return r.Started })
	return err
}

// limit sets what the program may take on top of what its sentry takes already.
func (b *box) limit(l sandbox.Limits) error {
	own, err := b.group.Usage()
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.own = own
	b.mu.Unlock()
	limits := cgroup.Limits{CPUMilli: l.CPUMilli}
	if l.MemoryMiB > 0 {
		limits.MemoryBytes = own.MemoryBytes + int64(l.MemoryMiB)<<20
	}
	return errors.Join(b.group.Limit(limits), b.group.ResetPeak())
}

// lay prepares the shelf: what is to be mounted on it, and the message that tells
// process 1 where it goes.
func (b *box) lay(ctx context.Context, spec sandbox.StartSpec) (*inside.Start, []place, error) {
	m := &inside.Start{Argv: spec.Argv, Env: spec.Env, Dir: spec.Dir, UID: programUID, GID: programGID, Filter: b.driver.filter}
	if m.Dir == "" {
		m.Dir = codeDir
	}
	var places []place
	add := func(fd int, file bool, target string, writable bool) error {
		name := strconv.Itoa(len(places))
		places = append(places, place{fd: fd, file: file, root: b.shelf, name: name})
		m.Binds = append(m.Binds, inside.Bind{Name: name, Target: target, Writable: writable})
		// The root is closed to the sandbox; points for further mounts are made here.
		return mountPoint(b.root, target[1:], file)
	}
	wanted := spec.Mounts
	if spec.CodeDir != "" {
		wanted = append([]sandbox.Mount{{Source: spec.CodeDir, Target: codeDir}}, wanted...)
	}
	err := func() error {
		for _, mount := range wanted {
			if err := validMount(mount); err != nil {
				return err
			}
			fd, file, err := clone(mount.Source)
			if err != nil {
				return err
			}
			if err := add(fd, file, mount.Target, false); err != nil {
				return err
			}
		}
		if len(spec.LayerDirs) > 0 {
			fd, err := layers(spec.LayerDirs)
			if err != nil {
				return err
			}
			if err := add(fd, false, "/opt", false); err != nil {
				return err
			}
		}
		if spec.Limits.TmpMiB == 0 {
			return nil
		}
		fd, err := b.takeTmp(ctx, spec.Limits.TmpMiB)
		if err != nil {
			return err
		}
		return add(fd, false, "/tmp", true)
	}()
	if err != nil {
		return nil, nil, errors.Join(err, closePlaces(places))
	}
	return m, places, nil
}

// layers is one tree of them all.
func layers(dirs []string) (int, error) {
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			return -1, fmt.Errorf("layer %q: %w", dir, errMountPath)
		}
	}
	if len(dirs) == 1 {
		fd, _, err := clone(dirs[0])
		return fd, err
	}
	return overlay(dirs, "", "")
}

// makeTmp makes the parked sandbox's /tmp while its sentry boots.
func (b *box) makeTmp(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if b.driver.disks == nil {
		done <- nil
		return done
	}
	go func() {
		fd, err := b.driver.disks.Make(ctx, tmpParkedMiB, 0)
		if err == nil {
			b.mu.Lock()
			b.tmp = os.NewFile(uintptr(fd), "tmp")
			b.mu.Unlock()
		}
		done <- err
	}()
	return done
}

// takeTmp gives the sandbox the disk that was made ahead, or one of the size
// that it wants.
func (b *box) takeTmp(ctx context.Context, mib int) (int, error) {
	if b.driver.disks == nil {
		return tmpfs(mib)
	}
	b.mu.Lock()
	ahead := b.tmp
	if mib == tmpParkedMiB {
		b.tmp = nil
	}
	b.mu.Unlock()
	if ahead == nil || mib != tmpParkedMiB {
		return b.driver.disks.Make(ctx, mib, 0)
	}
	defer ahead.Close()
	return unix.FcntlInt(ahead.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func tmpfs(mib int) (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("tmpfs: %w", err)
	}
	defer unix.Close(fs)
	for name, value := range map[string]string{
		"size": strconv.Itoa(mib) + "m", "nr_inodes": strconv.Itoa(mib * inodesPerMiB), "mode": "1777",
	} {
		if err := unix.FsconfigSetString(fs, name, value); err != nil {
			return -1, fmt.Errorf("tmpfs: %w", err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("tmpfs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("tmpfs: %w", err)
	}
	return fd, nil
}

var errMountPath = errors.New("not a clean absolute path")

func validMount(m sandbox.Mount) error {
	if !filepath.IsAbs(m.Source) || !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" {
		return fmt.Errorf("gvisor: mount %q at %q: %w", m.Source, m.Target, errMountPath)
	}
	return nil
}

// validStart refuses what a kernel would refuse or misunderstand.
func validStart(spec sandbox.StartSpec) error {
	switch {
	case len(spec.Argv) == 0 || !path.IsAbs(spec.Argv[0]):
		return errors.New("gvisor: the program must be an absolute path")
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
	if err := inside.Write(p.box.control, inside.Request{Signal: int(signal)}); err != nil {
		return fmt.Errorf("gvisor: signal: %w", err)
	}
	return nil
}

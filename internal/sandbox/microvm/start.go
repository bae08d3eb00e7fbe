package microvm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/image"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// argumentsMax bounds argv and the environment, as the kernel would.
const argumentsMax = 512 << 10

// Start implements sandbox.Sandbox.
func (b *box) Start(ctx context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	if err := checkStart(spec, b.driver.Unenforced()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	p := newProgram(b)
	b.mu.Lock()
	var err error
	switch {
	case b.Over():
		err = fmt.Errorf("microvm: %s: %w", b.ID(), sandbox.ErrDestroyed)
	case b.started:
		err = fmt.Errorf("microvm: %s was started before", b.ID())
	}
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	b.started, b.spec = true, spec
	t := b.template
	if t != nil {
		b.program = p
	}
	b.mu.Unlock()
	for range machineTries {
		if t != nil {
			err = b.startCopy(ctx, spec)
		} else {
			err = b.start(ctx, spec, p)
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			break
		}
		// The machine hangs, and was ended: another one may not.
		b.driver.log.Warn("a virtual machine hung and is replaced", "sandbox", b.ID())
		if again := b.replace(ctx, p); again != nil {
			err = errors.Join(err, again)
			break
		}
	}
	if err == nil {
		err = b.settle(p)
	}
	if err != nil {
		if _, gone := b.alive(); gone != nil {
			return nil, gone
		}
		return nil, fmt.Errorf("microvm: start %s: %w", b.ID(), refused(err, spec.Argv[0]))
	}
	return p, nil
}

// hangMax is when a machine that has started before counts as hanging; it takes
// less than a second of its own when nothing is wrong.
const hangMax = 9 * time.Second

// replace gives a start that hung another machine.
func (b *box) replace(ctx context.Context, p *program) error {
	b.mu.Lock()
	old, disks, t := b.link, b.disks, b.template
	b.link, b.frozen = nil, false
	if t == nil {
		b.disks = nil
	}
	b.mu.Unlock()
	if old != nil {
		old.end()
	}
	p.output = newOutput() // nobody has seen the other one
	if t != nil {
		closeDisks(disks)
		return b.parkCopy(ctx, t)
	}
	closeDisks(disks)
	return b.machine(ctx, b.size, b.clonable)
}

// settle makes the end of the machine the end of the program.
func (b *box) settle(p *program) error {
	b.mu.Lock()
	l, gone := b.link, b.Over()
	b.settled = true
	b.mu.Unlock()
	if gone || l == nil {
		return sandbox.ErrDestroyed
	}
	select {
	case <-l.machine.ended():
		b.lost(p)
	default:
	}
	return nil
}

func (b *box) start(ctx context.Context, spec sandbox.StartSpec, p *program) error {
	files, message, err := b.plan(ctx, spec)
	closeAll := func() {
		for _, d := range files {
			d.file.Close()
		}
	}
	if err != nil {
		closeAll()
		return err
	}
	if err := b.fit(ctx, spec); err != nil {
		closeAll()
		return err
	}
	b.mu.Lock()
	l, gone := b.link, b.Over()
	if !gone {
		b.disks = append(b.disks, files...)
		b.program = p
	}
	b.mu.Unlock()
	if gone {
		closeAll()
		return sandbox.ErrDestroyed
	}
	if err := b.limit(spec.Limits); err != nil {
		return err
	}
	ctx, cancel := watch(ctx, hangMax, l.machine)
	defer cancel()
	for _, d := range files {
		if err := l.machine.attach(ctx, d); err != nil {
			return err
		}
	}
	_, err = l.call(ctx, line.Request{Start: &message})
	return err
}

// fit gives the sandbox another machine if the parked one is too small, or
// cannot be saved and is to be.
func (b *box) fit(ctx context.Context, spec sandbox.StartSpec) error {
	wanted, err := sizeFor(spec.Limits, len(b.driver.tmps.unenforced()) > 0)
	if err != nil {
		return err
	}
	b.mu.Lock()
	fits := wanted == b.size && (b.clonable || !spec.Template)
	old := b.link
	if !fits {
		b.link, b.frozen = nil, false
	}
	b.mu.Unlock()
	if fits {
		return b.Thaw(ctx)
	}
	if old != nil {
		old.end()
	}
	return b.machine(ctx, wanted, spec.Template)
}

// limit bounds the monitor's process; the guest bounds the program.
func (b *box) limit(l sandbox.Limits) error {
	limits := cgroup.Limits{}
	if l.MemoryMiB > 0 {
		limits.MemoryBytes = int64(l.MemoryMiB+guestMiB+vmmMiB) << 20
		if len(b.driver.tmps.unenforced()) > 0 {
			limits.MemoryBytes += int64(l.TmpMiB) << 20
		}
	}
	if l.CPUMilli > 0 {
		limits.CPUMilli = l.CPUMilli + vmmMilli
	}
	return b.group.Limit(limits)
}

func guestLimits(l sandbox.Limits) line.Limits {
	return line.Limits{MemoryBytes: int64(l.MemoryMiB) << 20, CPUMilli: l.CPUMilli}
}

// plan makes the disks and the message of a start.
func (b *box) plan(ctx context.Context, spec sandbox.StartSpec) (files []disk, m line.Start, err error) {
	m = line.Start{
		TmpMiB: spec.Limits.TmpMiB, Limits: guestLimits(spec.Limits),
		Processes: sandbox.ProcessesMax, Descriptors: sandbox.DescriptorsMax, UID: isolate.ProgramUID, GID: isolate.ProgramGID,
		Filter: b.driver.filter, Argv: spec.Argv, Env: spec.Env, Dir: spec.Dir,
	}
	if m.Dir == "" {
		m.Dir = isolate.CodeDir
	}
	next := firstStartDisk
	add := func(of image.Spec) (int, error) {
		f, err := b.driver.images.Get(ctx, of)
		if err != nil {
			return 0, err
		}
		if next >= disksMax {
			return 0, errors.Join(fmt.Errorf("more than %d mounts", disksMax-firstStartDisk), f.Close())
		}
		files = append(files, disk{number: next, file: f})
		next++
		return next - 1, nil
	}
	wanted := spec.Mounts
	if spec.CodeDir != "" {
		wanted = append([]sandbox.Mount{{Source: spec.CodeDir, Target: isolate.CodeDir}}, wanted...)
	}
	for _, mount := range wanted {
		of, file, err := imageOf(mount)
		if err != nil {
			return files, m, err
		}
		number, err := add(of)
		if err != nil {
			return files, m, err
		}
		m.Mounts = append(m.Mounts, line.Mount{Disk: number, Target: mount.Target, File: file})
	}
	for _, dir := range spec.LayerDirs {
		number, err := add(image.Spec{Dir: dir})
		if err != nil {
			return files, m, err
		}
		m.Layers = append(m.Layers, number)
	}
	tmp, err := b.driver.tmps.make(ctx, spec.Limits.TmpMiB)
	if err != nil || tmp == nil {
		return files, m, err
	}
	files = append(files, disk{number: tmpDisk, file: tmp, writable: true})
	m.TmpDisk = tmpDisk
	return files, m, nil
}

// Numbers of disks: those of the root, those that come at the start, and /tmp.
const (
	firstStartDisk = guest.StartDisk
	disksMax       = guest.DisksMax
	tmpDisk        = guest.TmpDisk
)

// checkStart refuses what the kernel would misunderstand.
func checkStart(spec sandbox.StartSpec, unenforced []string) error {
	if err := errors.Join(isolate.CheckProgram(spec.Argv, spec.Env, spec.Dir), isolate.CheckLimits(spec.Limits, unenforced)); err != nil {
		return fmt.Errorf("microvm: %w", err)
	}
	total := len(spec.Dir)
	for _, s := range slices.Concat(spec.Argv, spec.Env) {
		total += len(s)
	}
	if total > argumentsMax {
		return fmt.Errorf("microvm: arguments and environment take %d bytes, more than %d: %w", total, argumentsMax, syscall.E2BIG)
	}
	return nil
}

func (b *box) signal(s syscall.Signal) error {
	b.mu.Lock()
	l := b.link
	if b.frozen { // as with a stopped process, it waits
		if len(b.pending) < signalsMax {
			b.pending = append(b.pending, s)
		}
		b.mu.Unlock()
		return nil
	}
	b.mu.Unlock()
	if l == nil {
		return os.ErrProcessDone
	}
	ctx, cancel := context.WithTimeout(context.Background(), askMax)
	defer cancel()
	_, err := l.call(ctx, line.Request{Signal: int(s)})
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, errMachineEnded) {
		return os.ErrProcessDone
	}
	return err
}

// signalsMax bounds the signals that wait for a frozen program.
const signalsMax = 64

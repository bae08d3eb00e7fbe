// Package clone makes copies of a stopped process by tracing it: it makes the
// process do the system calls that put a copy into other namespaces, and lets go
// of the copy only when that has nothing left that it should not have. It must
// never import the driver or anything else of lambdad: it knows processes and
// descriptors, and nothing of sandboxes.
//
// Nothing in the memory of the process is trusted. All of its threads stand
// still while it is worked on, and what is written into it lies in memory that
// was mapped for that and that nobody else shares.
package clone

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Original is a process that stands still for good, for copies to be made of.
type Original struct {
	work chan func()
	quit chan struct{} // closed to end the thread
	gone chan struct{} // closed when it has ended
	once sync.Once     // closes quit

	// These belong to the thread.
	tracee  tracee
	threads []*thread // all but the first, which tracee is
	nursery uint64    // where the lists are that the threads of copies begin with
	broken  error     // the process is of no use any more
	saved   registers
	mask    uint64
	tid     uint64   // where the C library keeps the thread's number
	memory  *os.File // /proc/PID/mem
	code    uint64   // where the interpreter is
	scratch uint64
	// capabilities is how many the kernel has.
	capabilities int
	ours         int // our end of the socket that passes descriptors; -1 without
	theirs       int // its number in the process
}

// Seize stops a process, by its host pid. It is killed when this process ends.
// An error that is ErrUnsupported is about this host.
func Seize(pid int) (*Original, error) {
	o := &Original{work: make(chan func()), quit: make(chan struct{}), gone: make(chan struct{}), tracee: tracee{pid}, ours: -1}
	go o.serve()
	if err := o.on(o.seize); err != nil {
		o.end()
		return nil, err
	}
	return o, nil
}

// serve is the tracer: the kernel lets no other thread touch what this one has seized.
func (o *Original) serve() {
	runtime.LockOSThread() // never unlocked: the thread ends, and lets go of what is left
	defer close(o.gone)
	for {
		select {
		case f := <-o.work:
			f()
		case <-o.quit:
			return
		}
	}
}

// on runs f on the thread.
func (o *Original) on(f func() error) error {
	done := make(chan error, 1)
	select {
	case o.work <- func() { done <- f() }:
		return <-done
	case <-o.gone:
		return ErrEnded
	}
}

// capabilitiesMax bounds the sets that the kernel can have.
const capabilitiesMax = 64

// options: copies are traced from their first instant, system calls are not
// filtered while they are ours, and all ends with this process.
const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_SUSPEND_SECCOMP

func (o *Original) seize() error {
	pid := o.tracee.pid
	if err := ptrace(unix.PTRACE_SEIZE, pid, 0, options); err != nil {
		if err == unix.EPERM || err == unix.EINVAL || err == unix.EIO {
			return fmt.Errorf("clone: trace a process: %w: %w", err, errors.ErrUnsupported)
		}
		return fmt.Errorf("clone: seize: %w", err)
	}
	err := unix.PtraceInterrupt(pid)
	if err != nil {
		return fmt.Errorf("clone: interrupt: %w", err)
	}
	if _, err := o.tracee.wait(); err != nil {
		return err
	}
	if err := o.saved.read(pid); err != nil {
		return fmt.Errorf("clone: registers: %w", err)
	}
	if o.mask, err = o.tracee.masked(); err != nil {
		return fmt.Errorf("clone: signal mask: %w", err)
	}
	return o.seizeThreads()
}

// Release lets the process go on as if nothing had been. It is for after Seize, before Prepare.
func (o *Original) Release() error {
	err := o.on(func() error {
		errs := []error{unix.PtraceDetach(o.tracee.pid)}
		for _, t := range o.threads {
			errs = append(errs, unix.PtraceDetach(t.pid))
		}
		return errors.Join(errs...)
	})
	o.end()
	return err
}

func (o *Original) end() {
	o.once.Do(func() { close(o.quit) })
	<-o.gone
}

// Prepare maps what copying needs into the process. From then on it only serves.
// Copies get timers like those, not set.
func (o *Original) Prepare(timers ...Timer) error {
	return o.on(func() error { return o.prepare(timers) })
}

func (o *Original) prepare(timers []Timer) (err error) {
	o.broken = errors.New("clone: preparing failed")
	pid := o.tracee.pid
	if err := o.tracee.setMask(quiet); err != nil {
		return fmt.Errorf("clone: signal mask: %w", err)
	}
	if o.memory, err = os.OpenFile("/proc/"+strconv.Itoa(pid)+"/mem", os.O_RDWR, 0); err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	anonymous := func(protection uint64, size int) call {
		return do("map memory", unix.SYS_MMAP, 0, uint64(size), protection, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, noCall, 0)
	}
	code, err := o.single(anonymous(unix.PROT_READ|unix.PROT_EXEC, len(interpreter)))
	if err != nil {
		return err
	}
	scratch, err := o.single(anonymous(unix.PROT_READ|unix.PROT_WRITE, scratchBytes))
	if err != nil {
		return err
	}
	o.code, o.scratch = uint64(code), uint64(scratch)
	if _, err := unix.PtracePokeText(pid, uintptr(o.code), interpreter); err != nil {
		return fmt.Errorf("clone: write code: %w", err)
	}
	pair := o.buffers().reserve(8)
	if _, err := o.run(o.tracee, []call{
		do("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0, pair),
	}); err != nil {
		return err
	}
	ends, err := o.word(pair)
	if err != nil {
		return err
	}
	o.theirs = int(uint32(ends >> 32))
	if err := o.bequeath(); err != nil {
		return err
	}
	if err := o.births(timers); err != nil {
		return err
	}
	if o.capabilities, err = capabilities(); err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("clone: pidfd_open: %w", err)
	}
	defer unix.Close(pidfd)
	if o.ours, err = unix.PidfdGetfd(pidfd, int(uint32(ends)), 0); err != nil {
		return fmt.Errorf("clone: pidfd_getfd: %w", err)
	}
	if _, err := o.run(o.tracee, []call{do("close", unix.SYS_CLOSE, uint64(uint32(ends)))}); err != nil {
		return err
	}
	o.broken = nil
	return nil
}

// single makes one call where there is no interpreter yet: over the code at
// which the process stands.
func (o *Original) single(c call) (int64, error) {
	pid, at := o.tracee.pid, o.saved.at()
	before := make([]byte, len(oneCall))
	if _, err := unix.PtracePeekText(pid, uintptr(at), before); err != nil {
		return 0, fmt.Errorf("clone: read code: %w", err)
	}
	if _, err := unix.PtracePokeText(pid, uintptr(at), oneCall); err != nil {
		return 0, fmt.Errorf("clone: write code: %w", err)
	}
	r := o.saved.atCall(at, c)
	if err := r.write(pid); err != nil {
		return 0, fmt.Errorf("clone: registers: %w", err)
	}
	if err := o.await(o.tracee, 0); err != nil {
		return 0, err
	}
	if err := r.read(pid); err != nil {
		return 0, fmt.Errorf("clone: registers: %w", err)
	}
	if _, err := unix.PtracePokeText(pid, uintptr(at), before); err != nil {
		return 0, fmt.Errorf("clone: write code: %w", err)
	}
	if r.result() < 0 && r.result() > -4096 {
		return 0, fmt.Errorf("clone: %s: %w", c.step, unix.Errno(-r.result()))
	}
	return r.result(), nil
}

// capabilities is how many the kernel has.
func capabilities() (int, error) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return 0, fmt.Errorf("clone: %w", err)
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || last < 0 || last >= capabilitiesMax {
		return 0, fmt.Errorf("clone: the last capability is %q", text)
	}
	return last + 1, nil
}

// run lets t carry out a list and returns the results.
func (o *Original) run(t tracee, list []call) ([]int64, error) {
	if err := o.begin(t, list); err != nil {
		return nil, err
	}
	if err := o.await(t, 0); err != nil {
		return nil, err
	}
	return o.finish(list)
}

// await lets t run until it stops at a breakpoint, or at an event.
func (o *Original) await(t tracee, event int) error {
	err := t.until(unix.SIGTRAP, event)
	if errors.Is(err, ErrEnded) && t == o.tracee {
		o.broken = ErrEnded // its number may be another's from now on
	}
	return err
}

// begin makes t, which has the original's memory, ready to carry out the list.
func (o *Original) begin(t tracee, list []call) error { return o.beginAs(t, o.saved, list) }

// beginAs is begin for a thread with these registers.
func (o *Original) beginAs(t tracee, as registers, list []call) error {
	p := encode(list)
	if len(p) > listBytes {
		return fmt.Errorf("clone: a list of %d calls", len(list))
	}
	if _, err := o.memory.WriteAt(p, int64(o.scratch)); err != nil {
		return fmt.Errorf("clone: write the list of calls: %w", err)
	}
	r := as.atList(o.code, o.scratch)
	if err := r.write(t.pid); err != nil {
		return fmt.Errorf("clone: registers: %w", err)
	}
	return nil
}

func (o *Original) finish(list []call) ([]int64, error) {
	p := make([]byte, len(list)*entryBytes)
	if _, err := o.memory.ReadAt(p, int64(o.scratch)); err != nil {
		return nil, fmt.Errorf("clone: read results: %w", err)
	}
	return results(list, p)
}

// Close kills the process. Its copies live on, as children of somebody else.
func (o *Original) Close() error {
	err := o.on(func() error {
		var errs []error
		if o.broken != ErrEnded {
			o.broken = ErrEnded
			errs = append(errs, killAll(o.tracee, o.threads))
		}
		if o.memory != nil {
			errs = append(errs, o.memory.Close())
			o.memory = nil
		}
		if o.ours >= 0 {
			errs = append(errs, unix.Close(o.ours))
			o.ours = -1
		}
		return errors.Join(errs...)
	})
	o.end()
	if err == ErrEnded { // closed before
		return nil
	}
	return err
}

package clone

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracee is a stopped process. Only the thread that seized it may touch it.
type tracee struct{ pid int }

// ErrEnded means that the process ended while it was being worked on.
var ErrEnded = errors.New("clone: the process has ended")

func ptrace(request, pid int, address, data uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(pid), address, data, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// stop is why a tracee stands still.
type stop struct {
	signal unix.Signal
	event  int
}

// wait waits for the next stop.
func (t tracee) wait() (stop, error) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(t.pid, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return stop{}, fmt.Errorf("clone: wait4: %w", err)
		}
		if !status.Stopped() {
			return stop{}, ErrEnded
		}
		return stop{status.StopSignal(), int(status>>16) & 0xff}, nil
	}
}

// errStopped means that a call failed before the event that was awaited.
var errStopped = errors.New("clone: the list came to an end")

// until lets it run to its next stop of this kind, and takes no signal there.
func (t tracee) until(signal unix.Signal, event int) error {
	for {
		if err := unix.PtraceCont(t.pid, 0); err != nil {
			return fmt.Errorf("clone: continue: %w", err)
		}
		s, err := t.wait()
		if err != nil {
			return err
		}
		if s.signal == signal && s.event == event {
			return nil
		}
		if s.signal == unix.SIGTRAP && s.event == 0 {
			return errStopped // at the end of the list: behind it is nothing
		}
		if s.signal == unix.SIGSEGV || s.signal == unix.SIGBUS || s.signal == unix.SIGILL || s.signal == unix.SIGSYS {
			return fmt.Errorf("clone: the process was given %s", s.signal)
		}
	}
}

// kill ends it, and waits until the tracer has seen its end.
func (t tracee) kill() error {
	if err := unix.Kill(t.pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return fmt.Errorf("clone: kill: %w", err)
	}
	return t.ended()
}

// ended waits for the end of one that was killed.
func (t tracee) ended() error {
	for {
		if _, err := t.wait(); err == ErrEnded {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// setMask sets the blocked signals.
func (t tracee) setMask(set uint64) error {
	return ptrace(unix.PTRACE_SETSIGMASK, t.pid, 8, uintptr(unsafe.Pointer(&set)))
}

func (t tracee) masked() (set uint64, err error) {
	err = ptrace(unix.PTRACE_GETSIGMASK, t.pid, 8, uintptr(unsafe.Pointer(&set)))
	return set, err
}

// quiet is every signal but the breakpoint's.
const quiet = ^uint64(1 << (unix.SIGTRAP - 1))

// restartable is the registration of restartable sequences. Source:
// linux/ptrace.h, struct ptrace_rseq_configuration.
type restartable struct {
	pointer         uint64
	size, signature uint32
	flags, _        uint32
}

// restartable is zero where there is none.
func (t tracee) restartable() restartable {
	var r restartable
	if err := ptrace(unix.PTRACE_GET_RSEQ_CONFIGURATION, t.pid, unsafe.Sizeof(r), uintptr(unsafe.Pointer(&r))); err != nil {
		return restartable{} // a kernel before 5.13, which glibc gives none either
	}
	return r
}

// Package pid1 is process 1 of a container sandbox: it furnishes the root
// filesystem, opens the listeners, drops every privilege, starts the program
// and reaps. It also owns the messages that the driver and process 1 exchange.
// It imports nothing but the standard library's small packages and x/sys/unix,
// and must never import more: every page it touches is paid by each sandbox.
package pid1

import (
	"errors"
	"math"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ControlFD is the descriptor of the SEQPACKET socket to the driver.
const ControlFD = 3

// Name is argv[0] of process 1, so that a program which can also be process 1
// recognises that it is asked to be.
const Name = "lambdad-init"

var comm = [16]byte{'l', 'a', 'm', 'b', 'd', 'a', 'd', '-', 'i', 'n', 'i', 't'}

// buffer receives requests. It lies in .bss: only the pages used are resident.
var buffer [MessageMax]byte

// Main is process 1. It returns the exit status; it serves exactly one sandbox.
func Main() int {
	runtime.LockOSThread() // seccomp and capabilities belong to a thread
	// ControlFD arrived through the exec and must not reach the program, nor
	// must whatever else somebody let the driver inherit.
	unix.CloseOnExec(ControlFD)
	if err := unix.CloseRange(ControlFD+1, 1<<31-1, 0); err != nil {
		fail(wrap("close_range", err))
		return 1
	}

	var park Park
	fds, err := receive(&park)
	if err != nil {
		return 1 // the driver is gone: nobody to tell
	}
	// Its file has the name of a descriptor.
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&comm)), 0, 0, 0); err != nil {
		fail(wrap("set name", err))
		return 1
	}
	box := &box{park: park, fds: fds}
	listeners, err := box.furnish()
	if err != nil {
		fail(err)
		return 1
	}
	if err := send(Reply{Kind: ReplyParked}, listeners...); err != nil {
		return 1
	}
	closeAll(listeners)

	var start Start
	fds, err = receive(&start)
	if err != nil {
		return 0 // never started: the driver gave it up
	}
	box.fds = fds
	pid, pidfd, err := box.start(start)
	if err != nil {
		fail(err)
		return 1
	}
	if err := send(Reply{Kind: ReplyStarted}, pidfd); err != nil {
		return 1
	}
	unix.Close(pidfd)
	closeAll(fds)
	// The program runs, and nobody waits for this.
	if err := dropCapabilities(); err != nil {
		fail(wrap("drop capabilities", err))
		return 1
	}
	go obey()
	return reap(pid)
}

// obey carries out what the driver asks for while the program runs. When the
// driver dies the socket ends, and so does process 1, which ends the sandbox.
func obey() {
	runtime.LockOSThread()
	for {
		var order Order
		if _, err := receive(&order); err != nil {
			unix.Exit(1)
		}
		// kill(-1) from process 1 reaches every process of the sandbox but itself.
		err := unix.Kill(-1, unix.Signal(order.Signal))
		if err == unix.ESRCH {
			err = nil
		}
		reply := Reply{Kind: ReplyObeyed}
		if err != nil {
			reply.Text = err.Error()
		}
		if err := send(reply); err != nil {
			unix.Exit(1)
		}
	}
}

// reap waits for every child and returns when the program itself ended. The
// end of process 1 ends whatever it left behind.
func reap(program int) int {
	for {
		var status syscall.WaitStatus
		var used syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &used)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			fail(wrap("wait4", err))
			return 1
		}
		if pid != program {
			continue
		}
		reply := Reply{Kind: ReplyExited, Code: int32(status.ExitStatus()), MemoryKiB: int32(min(used.Maxrss, math.MaxInt32))}
		if status.Signaled() {
			reply.Code, reply.Signal = 0, int32(status.Signal())
		}
		if err := send(reply); err != nil {
			return 1
		}
		return 0
	}
}

// receive reads one message and the descriptors that came with it.
func receive(m message) ([]int, error) {
	var oob [256 * 4]byte
	n, oobn, flags, err := recvmsg(buffer[:], oob[:])
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errEnd
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, errTruncated
	}
	var fds []int
	if oobn > 0 {
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return nil, err
		}
		for i := range messages {
			got, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return nil, err
			}
			fds = append(fds, got...)
		}
	}
	return fds, m.decode(buffer[:n])
}

func recvmsg(p, oob []byte) (n, oobn, flags int, err error) {
	for {
		n, oobn, flags, _, err = unix.Recvmsg(ControlFD, p, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			return
		}
	}
}

func send(r Reply, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(ControlFD, r.Encode(), oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// fail tells the driver why. That the driver is gone too is nothing to report.
func fail(err error) {
	reply := Reply{Kind: ReplyFailed, Text: err.Error()}
	var refused *execError
	if errors.As(err, &refused) {
		reply.Kind, reply.Text = ReplyRefused, refused.step
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		reply.Code = int32(errno)
	}
	_ = send(reply)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

var (
	errEnd       = errors.New("the driver is gone")
	errTruncated = errors.New("message truncated")
)

// stepError names the step that failed; fmt would double the size of process 1.
type stepError struct {
	step string
	err  error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// execError is the program itself, which the kernel would not execute; its step is the path.
type execError struct{ stepError }

func wrap(step string, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{step, err}
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

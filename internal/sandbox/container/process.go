package container

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a process 1, a child of the spawner, held by descriptor: its
// number may be another's once it has ended.
type process struct {
	pid int
	fd  *os.File
	raw syscall.RawConn
}

func newProcess(pid, pidfd int) (*process, error) {
	// Then Go's poller tells when it ends, and no thread waits for it.
	err := unix.SetNonblock(pidfd, true)
	fd := os.NewFile(uintptr(pidfd), "process 1")
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	raw, err := fd.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	return &process{pid: pid, fd: fd, raw: raw}, nil
}

// kill is no error for a process that has ended.
func (p *process) kill() error {
	var err error
	if gone := p.raw.Control(func(fd uintptr) {
		err = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0)
	}); gone != nil || err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill process 1: %w", err)
	}
	return nil
}

// wait returns when the process has ended, and everything in its sandbox with it.
func (p *process) wait() error {
	var err error
	waited := p.raw.Read(func(fd uintptr) bool {
		list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		var n int
		n, err = unix.Poll(list, 0)
		return n > 0 || (err != nil && err != unix.EINTR)
	})
	return errors.Join(waited, err, p.fd.Close())
}

// duplicate is another descriptor of the process, the caller's to close.
func (p *process) duplicate() (*os.File, error) {
	fd, err := -1, error(nil)
	if gone := p.raw.Control(func(own uintptr) {
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
	}); gone != nil {
		return nil, gone
	}
	if err != nil {
		return nil, fmt.Errorf("process 1: %w", err)
	}
	return os.NewFile(uintptr(fd), "process 1"), nil
}

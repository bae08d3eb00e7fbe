package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

// spawner forks every process 1: a small process of its own (lambdad-init, told
// so), because a new user namespace copies the address space of whoever makes it.
type spawner struct {
	init *os.File
	null *os.File
	work chan func()
	done chan struct{}

	mu      sync.Mutex // held for a request and its reply
	process *os.Process
	conn    *net.UnixConn // nil while no spawner runs
}

func newSpawner(init *os.File) (*spawner, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	s := &spawner{init: init, null: null, work: make(chan func()), done: make(chan struct{})}
	go func() {
		// The kernel kills a child with PDEATHSIG when the thread that forked it
		// ends, and Go may end any other thread than this. Never unlocked: the
		// thread ends with this goroutine, by close.
		runtime.LockOSThread()
		defer close(s.done)
		for f := range s.work {
			f()
		}
	}()
	s.mu.Lock()
	err = s.begin()
	s.mu.Unlock()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("container: %w", err), s.close())
	}
	return s, nil
}

// begin starts the process. The caller holds mu.
func (s *spawner) begin() error {
	conn, theirs, err := controlPair()
	if err != nil {
		return err
	}
	attributes := &os.ProcAttr{
		Dir:   "/",
		Env:   []string{},
		Files: []*os.File{s.null, s.null, s.null, theirs},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}, // a terminal's Ctrl-C is for lambdad alone
	}
	if os.Geteuid() == 0 {
		attributes.Sys.Cloneflags = unix.CLONE_NEWNS
	}
	finished := make(chan struct{})
	s.work <- func() {
		defer close(finished)
		s.process, err = os.StartProcess("/proc/self/fd/"+strconv.Itoa(int(s.init.Fd())), []string{pid1.Name}, attributes)
	}
	<-finished
	if err = errors.Join(err, theirs.Close()); err != nil {
		return errors.Join(fmt.Errorf("start the spawner: %w", err), conn.Close())
	}
	s.conn = conn
	// Whatever else bears its name might wait for ever.
	if err = conn.SetReadDeadline(time.Now().Add(parkMax)); err != nil {
		return errors.Join(err, s.end())
	}
	if _, err = s.reply(pid1.ReplyReady); err != nil {
		return errors.Join(fmt.Errorf("is %s of this version? %w", pid1.Name, err), s.end())
	}
	return conn.SetReadDeadline(time.Time{})
}

// end stops the process, and with it every sandbox that it made. The caller holds mu.
func (s *spawner) end() error {
	if s.conn == nil {
		return nil
	}
	err := errors.Join(s.conn.Close(), s.process.Kill())
	s.conn = nil
	_, waited := s.process.Wait()
	return errors.Join(err, waited)
}

func (s *spawner) close() error {
	s.mu.Lock()
	err := s.end()
	s.mu.Unlock()
	close(s.work)
	<-s.done
	return errors.Join(err, s.null.Close())
}

// run makes a process 1 with this end of its control socket, born in a group or
// made within the namespaces of a process, if there is one. A spawner that is gone took its
// sandboxes with it; the next one is a new one.
func (s *spawner) run(order pid1.Spawn, control, group, within *os.File) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		if err := s.begin(); err != nil {
			return nil, err
		}
	}
	fds := []int{int(s.null.Fd()), int(control.Fd())}
	for _, f := range []*os.File{group, within} {
		if f != nil {
			fds = append(fds, int(f.Fd()))
		}
	}
	order.Group, order.Within = group != nil, within != nil
	if _, _, err := s.conn.WriteMsgUnix(order.Encode(), unix.UnixRights(fds...), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("the spawner: %w", err), s.end())
	}
	r, err := s.reply(pid1.ReplySpawned)
	if err != nil {
		return nil, err
	}
	if len(r.fds) != 1 {
		return nil, errors.Join(errors.New("the spawner sent no descriptor of process 1"), s.end())
	}
	return newProcess(int(r.Code), r.fds[0])
}

// reply reads one. A refusal is an error; so is silence, which ends the spawner.
func (s *spawner) reply(kind byte) (reply, error) {
	var buffer [4096]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := s.conn.ReadMsgUnix(buffer[:], oob)
	if err == nil && n == 0 {
		err = errors.New("ended unexpectedly")
	}
	if err != nil {
		return reply{}, errors.Join(fmt.Errorf("the spawner: %w", err), s.end())
	}
	r, err := decodeReply(buffer[:n], oob[:oobn])
	if err == nil {
		err = r.refusal(kind)
	}
	return r, err
}

// controlPair is a socket with the driver's end and the other.
func controlPair() (ours *net.UnixConn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(pair[1]), "control")
	file := os.NewFile(uintptr(pair[0]), "control")
	conn, err := net.FileConn(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn.(*net.UnixConn), theirs, nil
}

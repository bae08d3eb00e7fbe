// Package guest is process 1 of a virtual machine of the microvm driver: it
// mounts what the host attaches, runs one program, and carries its connections
// over the line. It runs nowhere else, and must never import the driver or any
// room: it is small so that a machine boots fast.
package guest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// ModulesList is the file of the initramfs that names the kernel modules, in
// the order in which they load.
const ModulesList = "/modules/list"

// Ports that the guest listens on for its program.
var Ports = []line.Port{9001, 4566}

const (
	deviceMax = time.Minute // for a device to appear, by the wall's clock; the host's watchdog is earlier
	poll      = 2 * time.Millisecond
	dialMax   = 5 * time.Second
)

type agent struct {
	line     *line.Line
	requests chan []byte

	mu       sync.Mutex
	children map[int]chan syscall.WaitStatus
	early    map[int]syscall.WaitStatus // of processes that ended before anybody asked
	output   *line.Stream
	program  int // the first process, while it runs
	started  bool
}

// Main is process 1. It returns only on a failure, and then the kernel ends the machine.
func Main() int {
	a := &agent{requests: make(chan []byte, 4), children: map[int]chan syscall.WaitStatus{}, early: map[int]syscall.WaitStatus{}}
	if err := a.boot(); err != nil {
		fmt.Println("lambdad-guest:", err)
		return 1
	}
	fmt.Println("lambdad-guest:", a.line.Serve())
	return 1
}

func (a *agent) boot() error {
	for _, m := range []struct{ kind, target, options string }{
		{"devtmpfs", "/dev", ""}, {"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"cgroup2", "/cgroup", ""}, {"tmpfs", "/run", "mode=755"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.target, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	if err := os.WriteFile("/cgroup/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
		return err
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	go a.reap()
	port, err := openPort()
	if err != nil {
		return err
	}
	a.line = line.New(port, line.Options{Message: a.take, Opened: func(s *line.Stream) { go a.dial(s) }})
	for _, p := range Ports {
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return err
		}
		go a.accept(l, p)
	}
	go a.serve()
	// What the pages of a booted machine hold is shared by its copies: hold little.
	debug.FreeOSMemory()
	return a.line.Send(line.Encode(line.Reply{Ready: true}))
}

func loadModules() error {
	list, err := os.ReadFile(ModulesList)
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		f, err := os.Open(filepath.Join(filepath.Dir(ModulesList), name))
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// accept carries what connects over the line.
func (a *agent) accept(l net.Listener, to line.Port) {
	for {
		c, err := l.Accept()
		if err != nil {
			continue // too many descriptors: the next one may do
		}
		go a.carry(c.(*net.TCPConn), to)
	}
}

func (a *agent) carry(c *net.TCPConn, to line.Port) {
	s, err := a.line.Open(to)
	if err != nil {
		c.SetLinger(0)
		c.Close()
		return
	}
	carryBoth(c, s)
}

// dial leads a stream of the host's to what the program listens on.
func (a *agent) dial(s *line.Stream) {
	c, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", s.Port()), dialMax)
	if err != nil {
		errno := syscall.ECONNREFUSED
		errors.As(err, &errno)
		s.Write([]byte{byte(errno)})
		s.Close()
		return
	}
	if _, err := s.Write([]byte{line.Dialled}); err != nil {
		c.Close()
		s.Close()
		return
	}
	carryBoth(c.(*net.TCPConn), s)
}

// carryBoth joins a connection and a stream, and closes them.
func carryBoth(c *net.TCPConn, s *line.Stream) {
	// Either way ends by itself; a broken one ends the other.
	both := make(chan error, 2)
	go func() {
		_, err := io.Copy(onlyWriter{s}, c)
		s.CloseWrite()
		both <- err
	}()
	_, err := io.Copy(onlyWriter{c}, s)
	if err != nil {
		c.SetLinger(0) // the program sees a reset
		c.Close()
	} else {
		c.CloseWrite()
	}
	<-both
	c.Close()
	s.Close()
}

// onlyWriter keeps io.Copy from looking for shortcuts.
type onlyWriter struct{ io.Writer }

// reap waits for every process: whoever has no parent any more is ours.
func (a *agent) reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			<-ended
			continue
		}
		if err != nil || pid <= 0 {
			continue
		}
		a.mu.Lock()
		if c := a.children[pid]; c != nil {
			c <- status
			delete(a.children, pid)
		} else if len(a.early) < earlyMax {
			a.early[pid] = status
		}
		a.mu.Unlock()
	}
}

// earlyMax bounds what is remembered of processes that nobody has asked about.
const earlyMax = 64

// wait gives the status of a child of ours, once.
func (a *agent) wait(pid int) <-chan syscall.WaitStatus {
	c := make(chan syscall.WaitStatus, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if status, ok := a.early[pid]; ok {
		c <- status
	} else {
		a.children[pid] = c
	}
	clear(a.early)
	return c
}

// take is called by the line's reader. A renewal is done at once: it is urgent,
// and until then the line writes nothing.
func (a *agent) take(p []byte) {
	r, ok := line.DecodeRenew(p)
	if !ok {
		a.requests <- p
		return
	}
	answer := line.Done()
	if err := a.renew(r); err != nil {
		answer = line.Encode(failure(err))
	}
	if err := a.line.Send(answer); err != nil {
		fmt.Println("lambdad-guest:", err)
	}
}

func (a *agent) serve() {
	for p := range a.requests {
		request, err := line.DecodeRequest(p)
		var reply line.Reply
		if err == nil {
			reply, err = a.do(request)
		}
		if err != nil {
			reply = failure(err)
		}
		if request.Hold {
			err = a.line.SendAndHold(line.Encode(reply))
		} else {
			err = a.line.Send(line.Encode(reply))
		}
		if err != nil {
			fmt.Println("lambdad-guest:", err)
		}
	}
}

func (a *agent) do(r line.Request) (line.Reply, error) {
	switch {
	case r.Hold:
		debug.FreeOSMemory()
		return line.Reply{}, nil
	case r.Park != nil:
		return line.Reply{}, a.park(*r.Park)
	case r.Start != nil:
		return line.Reply{}, a.start(*r.Start)
	case r.Signal != 0:
		return line.Reply{}, a.signal(syscall.Signal(r.Signal))
	case r.Limit != nil:
		return line.Reply{}, limit(*r.Limit)
	case r.Measure:
		usage, err := measure()
		return line.Reply{Usage: &usage}, err
	}
	return line.Reply{}, fmt.Errorf("nothing is asked")
}

func (a *agent) signal(s syscall.Signal) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.program == 0 {
		return syscall.ESRCH
	}
	return syscall.Kill(a.program, s)
}

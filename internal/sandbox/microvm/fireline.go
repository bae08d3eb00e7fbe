package microvm

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// incoming is the line to a guest that calls the host: Firecracker connects to the
// socket for it. A copy's guest calls again, when it has noticed that it is one, so
// there is no moment in which an old connection could be taken for a new one.
// Source: Firecracker's docs/vsock.md.
type incoming struct {
	listener *net.UnixListener
	peer     chan int      // the monitor's process, once
	ready    chan struct{} // conn or err is there
	conn     net.Conn
	err      error

	ending sync.Once
	ended  chan struct{}
}

func listenLine(path string) (*incoming, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	listener.SetUnlinkOnClose(false) // it goes with its directory
	i := &incoming{listener: listener, peer: make(chan int, 1), ready: make(chan struct{}), ended: make(chan struct{})}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, vmmID, vmmID); err != nil {
			listener.Close()
			return nil, fmt.Errorf("microvm: %w", err)
		}
	}
	go i.accept()
	return i, nil
}

// from says which process may connect.
func (i *incoming) from(pid int) { i.peer <- pid }

// accept takes one connection: the guest's process 1 calls before any program runs, and
// whoever calls later finds nobody.
func (i *incoming) accept() {
	defer close(i.ready)
	defer i.listener.Close()
	var pid int
	select {
	case pid = <-i.peer:
	case <-i.ended:
		i.err = net.ErrClosed
		return
	}
	for {
		conn, err := i.listener.AcceptUnix()
		if err != nil {
			i.err = err
			return
		}
		if peerOf(conn) == pid {
			i.conn = conn
			return
		}
		conn.Close()
	}
}

func peerOf(conn *net.UnixConn) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // on an error it is nobody's
		if c, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(c.Pid)
		}
	})
	return pid
}

func (i *incoming) Read(p []byte) (int, error) {
	<-i.ready
	if i.err != nil {
		return 0, i.err
	}
	return i.conn.Read(p)
}

func (i *incoming) Write(p []byte) (int, error) {
	<-i.ready
	if i.err != nil {
		return 0, i.err
	}
	return i.conn.Write(p)
}

func (i *incoming) Close() error {
	i.ending.Do(func() { close(i.ended) })
	i.listener.Close()
	<-i.ready
	if i.conn == nil {
		return nil
	}
	return i.conn.Close()
}

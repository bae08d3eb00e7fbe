package gvisor

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

var _ sandbox.Dialer = (*box)(nil)

// Dial implements sandbox.Dialer: the sentry's network is the namespace's, where a socket of ours is
// made by a thread that visits it.
func (b *box) Dial(ctx context.Context, port int) (net.Conn, error) {
	if err := b.Alive(); err != nil {
		return nil, err
	}
	type made struct {
		fd  int
		err error
	}
	done := make(chan made, 1)
	onOwnThread(func() {
		fd, err := b.network.socket()
		done <- made{fd, err}
	})
	m := <-done // a call of the kernel's, and nothing of the program's
	if m.err != nil {
		return nil, b.Told("dial", m.err)
	}
	conn, err := isolate.Connect(ctx, m.fd, port)
	if err != nil {
		return nil, fmt.Errorf("gvisor: dial: %w", err)
	}
	return conn, nil
}

// socket makes one in the namespace. The thread stays there.
func (n *network) socket() (int, error) {
	if n.namespace == nil {
		return -1, errors.New("no network")
	}
	raw, err := n.namespace.SyscallConn()
	if err != nil {
		return -1, err
	}
	var entered error
	if err := raw.Control(func(fd uintptr) { entered = unix.Setns(int(fd), unix.CLONE_NEWNET) }); err != nil {
		return -1, err
	}
	if entered != nil {
		return -1, fmt.Errorf("enter the network: %w", entered)
	}
	return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

package isolate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Connect connects a TCP socket, which belongs to a sandbox's network wherever it is used, to a port of
// its loopback. The socket is its own, on an error too.
func Connect(ctx context.Context, socket, port int) (net.Conn, error) {
	err := unix.SetNonblock(socket, true)
	if err == nil {
		err = unix.Connect(socket, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), unix.Close(socket))
	}
	f := os.NewFile(uintptr(socket), "dialled")
	defer f.Close() // FileConn has its own
	if err := connected(ctx, f); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return net.FileConn(f)
}

// connected waits for the answer.
func connected(ctx context.Context, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			failed = err
		case n != 0:
			failed = syscall.Errno(n)
		default:
			_, err := unix.Getpeername(int(fd)) // fails until there is one
			return err == nil
		}
		return true
	})
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

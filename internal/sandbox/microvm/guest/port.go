package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// serialPort is the first port of a virtual serial device, if the machine has one.
	serialPort = "/dev/vport*p1"
	// sockets is there if the kernel has sockets to the host; to ask without has it look for a module.
	sockets = "/dev/vsock"
)

// openPort finds the line to the host: the serial port, or else a socket, whichever
// is there first.
func openPort() (io.ReadWriteCloser, error) {
	for end := time.Now().Add(deviceMax); ; time.Sleep(poll) {
		found, err := filepath.Glob(serialPort)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			fd, err := unix.Open(found[0], unix.O_RDWR|unix.O_CLOEXEC, 0)
			return port(fd), err
		}
		if _, err = os.Stat(sockets); err == nil {
			var fd int
			if fd, err = dialHost(); err == nil {
				return &call{dial: dialHost, fd: fd}, nil
			}
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no line to the host: neither %s nor a socket: %w", serialPort, err)
		}
	}
}

// port is the virtual serial port. Its reads and writes block a thread each: the
// poller cannot be asked about it while nobody is connected.
type port int

func (p port) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(p), b)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return 0, err
		case n > 0:
			return n, nil
		default: // nobody is there yet
			time.Sleep(poll)
		}
	}
}

func (p port) Write(b []byte) (int, error) { return writeTo(int(p), b) }
func (p port) Close() error                { return unix.Close(int(p)) }

func writeTo(fd int, b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, err := unix.Write(fd, b[written:])
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return written, err
		}
		written += max(n, 0)
	}
	return written, nil
}

// dialHost connects a socket to the host.
func dialHost() (int, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: LinePort}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// call is a line that is a socket. A machine that is saved loses its connections, so
// its reader, who is the first to know, calls the host of the copy. What a line holds
// back then is written to the new connection, which has the old one's number.
type call struct {
	dial func() (int, error)
	fd   int
}

func (c *call) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case n > 0:
			return n, nil
		case err == unix.EINTR || err == unix.EAGAIN:
		case err == unix.EBADF:
			return 0, os.ErrClosed
		default:
			if err := c.again(); err != nil {
				return 0, err
			}
		}
	}
}

func (c *call) again() error {
	for end := time.Now().Add(deviceMax); ; time.Sleep(poll) {
		fd, err := c.dial()
		if err == nil {
			return errors.Join(unix.Dup3(fd, c.fd, unix.O_CLOEXEC), unix.Close(fd))
		}
		if time.Now().After(end) {
			return fmt.Errorf("the host is gone: %w", err)
		}
	}
}

func (c *call) Write(b []byte) (int, error) { return writeTo(c.fd, b) }
func (c *call) Close() error                { return unix.Close(c.fd) }

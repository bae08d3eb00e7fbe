package pid1

import (
	"golang.org/x/sys/unix"
)

// backlog of the listeners: one program, one runtime, few connections.
const backlog = 128

// listen brings the loopback device up and opens the listeners in this
// network namespace. They go to the driver, which accepts on them: no proxy
// lies between the program and the worker.
func (b *box) listen() ([]int, error) {
	if err := loopbackUp(); err != nil {
		return nil, wrap("bring lo up", err)
	}
	var fds []int
	for _, port := range b.park.Listen {
		fd, err := bind(unix.SOCK_STREAM, port)
		if err != nil {
			return nil, wrap("bind", err)
		}
		if err := unix.Listen(fd, backlog); err != nil {
			return nil, wrap("listen", err)
		}
		fds = append(fds, fd)
	}
	for _, port := range b.park.ListenUDP {
		fd, err := bind(unix.SOCK_DGRAM, port)
		if err != nil {
			return nil, wrap("bind udp", err)
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func bind(kind int, port int32) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}})
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

package gvisor

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// network is a sandbox's own network namespace and the sockets that lambdad has in it.
type network struct {
	namespace            *os.File
	runtimeAPI, endpoint net.Listener
	dnsTCP               net.Listener   // with egress only
	dnsUDP               net.PacketConn // with egress only
}

const dnsAddress = "127.0.0.1:53"

// newNetwork makes a namespace with nothing but its loopback, and listens there.
func newNetwork(dns bool) (*network, error) {
	n := &network{}
	done := make(chan error)
	onOwnThread(func() { done <- n.open(dns) })
	if err := <-done; err != nil {
		return nil, errors.Join(fmt.Errorf("network: %w", err), n.close())
	}
	return n, nil
}

func (n *network) open(dns bool) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	var err error
	if n.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	if err := raiseLoopback(); err != nil {
		return err
	}
	// A socket belongs to the namespace of the thread that makes it: this one.
	if n.runtimeAPI, err = net.Listen("tcp4", sandbox.RuntimeAPIAddress); err != nil {
		return err
	}
	if n.endpoint, err = net.Listen("tcp4", sandbox.EndpointAddress); err != nil {
		return err
	}
	if !dns {
		return nil
	}
	if n.dnsTCP, err = net.Listen("tcp4", dnsAddress); err != nil {
		return err
	}
	n.dnsUDP, err = net.ListenPacket("udp4", dnsAddress)
	return err
}

func raiseLoopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request)
}

// close gives the sockets up; whoever serves on a listener may have done so already.
func (n *network) close() error {
	var errs []error
	for _, l := range []net.Listener{n.runtimeAPI, n.endpoint, n.dnsTCP} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if n.dnsUDP != nil {
		if err := n.dnsUDP.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.namespace != nil {
		errs = append(errs, n.namespace.Close())
	}
	return errors.Join(errs...)
}

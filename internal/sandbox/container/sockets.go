package container

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
)

// dnsPort is where a sandbox with egress finds a resolver, on its loopback.
const dnsPort = 53

// sockets were made in the sandbox by process 1.
type sockets struct {
	tcp []net.Listener
	udp []net.PacketConn
}

// takeSockets wraps descriptors: first so many listeners, then so many
// datagram sockets.
func takeSockets(fds []int, tcp, udp int) (sockets, error) {
	var s sockets
	var errs []error
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if i < tcp {
			l, err := net.FileListener(f)
			s.tcp = append(s.tcp, l)
			errs = append(errs, err)
		} else {
			c, err := net.FilePacketConn(f)
			s.udp = append(s.udp, c)
			errs = append(errs, err)
		}
		errs = append(errs, f.Close())
	}
	if len(s.tcp) != tcp || len(s.udp) != udp {
		errs = append(errs, fmt.Errorf("process 1 sent %d sockets", len(fds)))
	}
	if err := errors.Join(errs...); err != nil {
		for _, l := range s.tcp {
			if l != nil {
				l.Close()
			}
		}
		for _, c := range s.udp {
			if c != nil {
				c.Close()
			}
		}
		return sockets{}, err
	}
	return s, nil
}

// Egress tells why sandboxes with NetworkEgress reach nothing but the
// endpoint; nil if they reach the internet.
func (d *Driver) Egress() error {
	if d.rootless {
		return fmt.Errorf("container: egress needs root: %w", sandbox.ErrUnsupported)
	}
	_, err := d.egress.Open()
	return err
}

// gateway is nil where there is no egress.
func (d *Driver) gateway() *egress.Gateway {
	if d.rootless {
		return nil
	}
	gateway, _ := d.egress.Open() // told once, by Egress
	return gateway
}

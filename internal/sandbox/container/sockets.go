package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

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

// linkEgress links the sandbox's network namespace to the world.
func (b *box) linkEgress(gateway *egress.Gateway) error {
	namespace, err := os.Open("/proc/" + strconv.Itoa(b.process.pid) + "/ns/net")
	if err != nil {
		return err
	}
	defer namespace.Close()
	b.link, err = gateway.Connect(namespace)
	return err
}

// egressDoor opens the gateway when the first sandbox wants it: it changes the
// host, which a node whose functions never leave must not do.
type egressDoor struct {
	options egress.Options

	mu      sync.Mutex
	tried   bool
	gateway *egress.Gateway
	err     error
}

// Egress tells why sandboxes with NetworkEgress reach nothing but the
// endpoint; nil if they reach the internet.
func (d *Driver) Egress() error {
	door := &d.egress
	door.mu.Lock()
	defer door.mu.Unlock()
	if door.tried {
		return door.err
	}
	door.tried = true
	if d.rootless {
		door.err = fmt.Errorf("container: egress needs root: %w", sandbox.ErrUnsupported)
	} else if door.gateway, door.err = egress.Open(door.options); door.err != nil {
		d.log.Warn("functions reach lambdad's endpoint only", "error", door.err)
	}
	return door.err
}

// gateway is nil where there is no egress.
func (d *Driver) gateway() *egress.Gateway {
	if d.Egress() != nil {
		return nil
	}
	d.egress.mu.Lock()
	defer d.egress.mu.Unlock()
	return d.egress.gateway
}

// reap takes away what an earlier process of this node left of its gateway.
func (door *egressDoor) reap() error {
	door.mu.Lock()
	defer door.mu.Unlock()
	if door.gateway != nil || os.Geteuid() != 0 {
		return nil
	}
	return egress.Reap(door.options)
}

func (door *egressDoor) close() error {
	door.mu.Lock()
	defer door.mu.Unlock()
	if door.gateway == nil {
		return nil
	}
	gateway := door.gateway
	door.gateway, door.err = nil, sandbox.ErrDestroyed
	return gateway.Close()
}

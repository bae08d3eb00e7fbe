package gvisor

import (
	"context"
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
)

// egressDoor opens the gateway when the first sandbox wants it: it changes the
// host, which a node whose functions never leave must not do.
type egressDoor struct {
	options egress.Options

	mu      sync.Mutex
	tried   bool
	gateway *egress.Gateway
	err     error
}

func (door *egressDoor) open() (*egress.Gateway, error) {
	door.mu.Lock()
	defer door.mu.Unlock()
	if !door.tried {
		door.tried = true
		if door.gateway, door.err = egress.Open(door.options); door.err != nil {
			door.options.Log.Warn("functions reach lambdad's endpoint only", "error", door.err)
		}
	}
	return door.gateway, door.err
}

// Egress tells why sandboxes with NetworkEgress reach nothing but the
// endpoint; nil if they reach the internet.
func (d *Driver) Egress() error {
	_, err := d.egress.open()
	return err
}

// reap takes away what an earlier process of this node left of its gateway.
func (door *egressDoor) reap() error {
	door.mu.Lock()
	defer door.mu.Unlock()
	if door.gateway != nil {
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

// attachEgress links the sandbox to the world, before its sentry boots and
// looks at its links.
func (b *box) attachEgress(ctx context.Context, gateway *egress.Gateway) error {
	var err error
	b.link, err = gateway.Attach(ctx, b.network.namespace, b.network.dnsTCP, b.network.dnsUDP)
	return err
}

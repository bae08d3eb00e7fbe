package gvisor

import (
	"context"

	"github.com/lambdad/lambdad/internal/sandbox/egress"
)

// Egress tells why sandboxes with NetworkEgress reach nothing but the
// endpoint; nil if they reach the internet.
func (d *Driver) Egress() error {
	_, err := d.egress.Open()
	return err
}

// attachEgress links the sandbox to the world, before its sentry boots and
// looks at its links.
func (b *box) attachEgress(ctx context.Context, gateway *egress.Gateway) error {
	var err error
	b.link, err = gateway.Attach(ctx, b.network.namespace, b.network.dnsTCP, b.network.dnsUDP)
	return err
}

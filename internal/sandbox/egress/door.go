package egress

import (
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Door opens the gateway when the first sandbox wants it: it changes the host, which a
// node whose functions never leave must not do.
type Door struct {
	Options Options

	mu      sync.Mutex
	tried   bool
	gateway *Gateway
	err     error
}

// Open returns the gateway, or why there is none; whoever asks again gets the same answer.
func (d *Door) Open() (*Gateway, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.tried {
		d.tried = true
		if d.gateway, d.err = Open(d.Options); d.err != nil {
			d.Options.Log.Warn("functions reach lambdad's endpoint only", "error", d.err)
		}
	}
	return d.gateway, d.err
}

// Reap takes away what an earlier process of this node left of its gateway.
func (d *Door) Reap() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gateway != nil {
		return nil
	}
	return Reap(d.Options)
}

// Close closes the gateway, if it was opened.
func (d *Door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gateway == nil {
		return nil
	}
	gateway := d.gateway
	d.gateway, d.err = nil, sandbox.ErrDestroyed
	return gateway.Close()
}

package gvisor

import (
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// TestEgress: the sentry has the link that was made before it booted, and nothing
// of it stays. What the link lets through is tested in package egress.
func TestEgress(t *testing.T) {
	d := openDriver(t, t.TempDir())
	defer d.Close()
	if err := d.Egress(); err != nil {
		t.Skip(err)
	}
	h := sandboxtest.NewHarness(t, d)
	s := h.Park(t, func(p *sandbox.ParkSpec) { p.Network = sandbox.NetworkEgress })
	if out, _ := h.StartIn(t, s, nil, "addresses").Wait(t); !strings.Contains(out, "198.1") {
		t.Errorf("%q", out)
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

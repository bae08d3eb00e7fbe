package runtimeapi

import (
	"testing"
	"time"
)

// TestFloods: whoever is refused, or connects, again and again is slowed down. A pause lasts at least as
// long as it says, so a slow machine cannot fail this.
func TestFloods(t *testing.T) {
	const beyond = 50
	forge := func(p *peer) {
		t.Helper()
		if res, _ := p.post("invocation/forged/response", "", "{}"); res.StatusCode/100 != 4 {
			t.Fatal(res.Status)
		}
	}
	t.Run("refusals", func(t *testing.T) {
		_, addr := serve(t)
		p := dial(t, addr)
		for range patienceMax {
			forge(p)
		}
		began := time.Now()
		for range beyond {
			forge(p)
		}
		if took := time.Since(began); took < beyond*floodPause {
			t.Errorf("%d refusals took %v", beyond, took)
		}
	})
	t.Run("connections", func(t *testing.T) {
		s, addr := serve(t)
		began := time.Now()
		for range patienceMax + beyond {
			p := dial(t, addr)
			p.send("x\r\n\r\n")
			p.read()
			p.nc.Close()
		}
		if took := time.Since(began); took < (beyond-2)*floodPause {
			t.Errorf("%d connections took %v", beyond, took)
		}
		p := dial(t, addr)
		p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

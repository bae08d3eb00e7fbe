package sandboxtest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
)

func testNetwork(t *testing.T, h *Harness) {
	t.Run("the listeners answer", func(t *testing.T) {
		for _, c := range []struct {
			address string
			of      func(sandbox.Sandbox) net.Listener
		}{
			{sandbox.RuntimeAPIAddress, sandbox.Sandbox.RuntimeAPI},
			{sandbox.EndpointAddress, sandbox.Sandbox.Endpoint},
		} {
			s := h.Park(t, nil)
			go Answer(c.of(s), "for "+c.address)
			if out, _ := h.StartIn(t, s, nil, "dial", c.address, "hello").Wait(t); out != "for "+c.address+": hello" {
				t.Errorf("%s: %q", c.address, out)
			}
		}
	})
	t.Run("nothing else listens", func(t *testing.T) {
		out := h.Do(t, "listeners")
		if out != "tcp 0100007F:11D6\ntcp 0100007F:2329" && !(h.ownKernel && out == "") {
			t.Errorf("%q", out)
		}
	})
	t.Run("no other address", func(t *testing.T) {
		for _, a := range sortedWords(h.Do(t, "addresses")) {
			if a != "127.0.0.1/8" && a != "::1/128" {
				t.Errorf("has %q", a)
			}
		}
		for _, to := range []string{"192.0.2.1:80", "10.0.0.1:80", "169.254.169.254:80", "[2001:db8::1]:80"} {
			if out := h.Do(t, "dial", to); !strings.Contains(out, "unreachable") {
				t.Errorf("%s: %q", to, out)
			}
		}
	})
	t.Run("names fail at once", func(t *testing.T) {
		if out := h.Do(t, "resolve", "example.com"); !strings.Contains(out, "error") {
			t.Errorf("%q", out)
		}
	})
}

// Answer serves a listener until it is closed: one line in, one line out.
func Answer(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			p := make([]byte, 1024)
			n, err := c.Read(p)
			if err == nil {
				_, err = fmt.Fprintf(c, "%s: %s", name, p[:n])
			}
			if err != nil && err != io.EOF {
				return
			}
		}()
	}
}

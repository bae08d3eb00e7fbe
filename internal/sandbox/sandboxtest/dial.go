package sandboxtest

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// testDial reaches what programs listen on. A driver may not know how; none reaches anything else.
func testDial(t *testing.T, h *Harness) {
	const port = 7321
	served := func(t *testing.T, s sandbox.Sandbox) string {
		t.Helper()
		c, err := s.(sandbox.Dialer).Dial(within(t), port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	dialled := func(t *testing.T, s sandbox.Sandbox) sandbox.Dialer {
		t.Helper()
		d, ok := s.(sandbox.Dialer)
		if !ok {
			t.Skip("this driver's sandboxes cannot be dialled")
		}
		return d
	}
	serving := func(s string) bool { return strings.Contains(s, "serving") }
	t.Run("the program answers", func(t *testing.T) {
		r := h.Start(t, nil, "serve", "sandbox.localdomain:7321")
		dialled(t, r.Sandbox)
		r.Await(t, serving)
		for range 3 {
			if said := served(t, r.Sandbox); said != "served\n" {
				t.Errorf("%q", said)
			}
		}
		if err := r.Freeze(within(t)); err != nil && !errors.Is(err, sandbox.ErrUnsupported) {
			t.Fatal(err)
		}
		// Whether the kernel connects meanwhile is its affair; that it takes no longer than it may is ours.
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if c, err := dialled(t, r.Sandbox).Dial(ctx, port); err == nil {
			c.Close()
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a frozen one: %v", err)
		}
		if err := r.Thaw(within(t)); err != nil && !errors.Is(err, sandbox.ErrUnsupported) {
			t.Fatal(err)
		}
		if said := served(t, r.Sandbox); said != "served\n" {
			t.Errorf("after a freeze: %q", said)
		}
	})
	t.Run("nothing of others", func(t *testing.T) {
		host, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer host.Close()
		other := h.Start(t, nil, "serve", "127.0.0.1:7321")
		other.Await(t, serving)
		s := h.Start(t, nil, "sleep", "1h")
		d := dialled(t, s.Sandbox)
		for _, p := range []int{host.Addr().(*net.TCPAddr).Port, port} {
			if c, err := d.Dial(within(t), p); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("port %d: %v", p, err)
				if err == nil {
					c.Close()
				}
			}
		}
	})
	t.Run("an end", func(t *testing.T) {
		s := h.Park(t, nil)
		d := dialled(t, s)
		r := h.StartIn(t, s, nil, "sleep", "1h")
		if err := r.Destroy(within(t)); err != nil {
			t.Fatal(err)
		}
		if c, err := d.Dial(within(t), port); !errors.Is(err, sandbox.ErrDestroyed) {
			t.Errorf("%v", err)
			if err == nil {
				c.Close()
			}
		}
	})
}

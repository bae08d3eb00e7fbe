package sandboxtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
)

func testDestroy(t *testing.T, h *Harness) {
	for _, c := range []struct {
		name  string
		reach func(*testing.T) sandbox.Sandbox
	}{
		{"parked", func(t *testing.T) sandbox.Sandbox { return h.Park(t, nil) }},
		{"running", func(t *testing.T) sandbox.Sandbox { return h.Start(t, nil, "sleep", "1h").Sandbox }},
		{"ended", func(t *testing.T) sandbox.Sandbox {
			run := h.Start(t, nil, "exit", "0")
			run.Wait(t)
			return run.Sandbox
		}},
		{"frozen", func(t *testing.T) sandbox.Sandbox {
			run := h.Start(t, nil, "tick")
			if err := run.Freeze(within(t)); err != nil {
				t.Fatal(err)
			}
			return run.Sandbox
		}},
		{"full of processes", func(t *testing.T) sandbox.Sandbox {
			run := h.Start(t, func(s *sandbox.StartSpec) { s.Limits.MemoryMiB = 2048 }, "forks")
			return run.Sandbox
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.reach(t)
			if err := s.Destroy(within(t)); err != nil {
				t.Fatal(err)
			}
			if left := traces(t, string(s.ID())); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			if err := s.Destroy(within(t)); err != nil {
				t.Errorf("again: %v", err)
			}
			if _, err := s.RuntimeAPI().Accept(); err == nil {
				t.Error("the Runtime API still accepts")
			}
			for name, step := range map[string]func(context.Context) error{
				"Freeze": s.Freeze, "Thaw": s.Thaw,
				"Usage": func(ctx context.Context) error { _, err := s.Usage(ctx); return err },
				"Start": func(ctx context.Context) error { _, err := s.Start(ctx, h.StartSpec("exit", "0")); return err },
			} {
				if err := step(within(t)); !errors.Is(err, sandbox.ErrDestroyed) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	t.Run("ends the program and its output", func(t *testing.T) {
		run := h.Start(t, nil, "tick")
		if err := run.Destroy(within(t)); err != nil {
			t.Fatal(err)
		}
		if _, exit := run.Wait(t); exit.Signal == 0 || exit.OOM {
			t.Errorf("%+v", exit)
		}
	})
	t.Run("at the same time as Start", func(t *testing.T) {
		for range 8 {
			s := h.Park(t, nil)
			var wait sync.WaitGroup
			wait.Go(func() {
				p, err := s.Start(within(t), h.StartSpec("sleep", "1h"))
				if err == nil {
					record(p.Output())
					<-p.Done()
				} else if !errors.Is(err, sandbox.ErrDestroyed) {
					t.Error(err)
				}
			})
			wait.Go(func() {
				if err := s.Destroy(within(t)); err != nil {
					t.Error(err)
				}
			})
			wait.Wait()
		}
	})
}

func testRefuse(t *testing.T, h *Harness) {
	t.Run("an id that is no file name", func(t *testing.T) {
		for _, id := range []sandbox.ID{"", "..", "a/b", ".hidden", "a b", sandbox.ID(strings.Repeat("x", 200))} {
			spec := h.ParkSpec()
			spec.ID = id
			if s, err := h.Driver.Park(within(t), spec); err == nil {
				t.Errorf("%q was parked: %v", id, s.Destroy(within(t)))
			}
		}
	})
	t.Run("an id twice", func(t *testing.T) {
		spec := h.ParkSpec()
		spec.ID = h.Park(t, nil).ID()
		if _, err := h.Driver.Park(within(t), spec); err == nil {
			t.Error("parked")
		}
	})
	t.Run("a root that is not there", func(t *testing.T) {
		spec := h.ParkSpec()
		spec.Rootfs.Mounts = append(spec.Rootfs.Mounts, sandbox.Mount{Source: "/nowhere/at/all", Target: "/x"})
		if _, err := h.Driver.Park(within(t), spec); err == nil {
			t.Error("parked")
		}
		if left := traces(t, string(spec.ID)); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("programs", func(t *testing.T) {
		for name, change := range map[string]func(*sandbox.StartSpec){
			"none":              func(s *sandbox.StartSpec) { s.Argv = nil },
			"relative":          func(s *sandbox.StartSpec) { s.Argv = []string{"program"} },
			"missing":           func(s *sandbox.StartSpec) { s.Argv = []string{"/nowhere"} },
			"not executable":    func(s *sandbox.StartSpec) { s.Argv = []string{"/etc/passwd"} },
			"zero byte":         func(s *sandbox.StartSpec) { s.Env = []string{"A=\x00"} },
			"too much":          func(s *sandbox.StartSpec) { s.Env = []string{"A=" + strings.Repeat("x", 1<<20)} },
			"no such directory": func(s *sandbox.StartSpec) { s.Dir = "/nowhere" },
			"no code":           func(s *sandbox.StartSpec) { s.CodeDir = "/nowhere/at/all" },
			"mount over root":   func(s *sandbox.StartSpec) { s.Mounts = []sandbox.Mount{{Source: "/etc", Target: "/"}} },
			"mount upwards":     func(s *sandbox.StartSpec) { s.Mounts = []sandbox.Mount{{Source: "/etc", Target: "/a/../../b"}} },
		} {
			s := h.Park(t, nil)
			spec := h.StartSpec("exit", "0")
			change(&spec)
			if _, err := s.Start(within(t), spec); err == nil {
				t.Errorf("%s: started", name)
			}
		}
	})
	t.Run("a second start", func(t *testing.T) {
		run := h.Start(t, nil, "sleep", "1h")
		if _, err := run.Start(within(t), h.StartSpec("exit", "0")); err == nil {
			t.Error("started")
		}
	})
}

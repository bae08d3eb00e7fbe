package sandboxtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// preload parks a sandbox and preloads the program: it does the deed when the
// returned function is called. The test is skipped where nothing can be preloaded.
func (h *Harness) preload(t testing.TB, deed ...string) (sandbox.Sandbox, func()) {
	t.Helper()
	s := h.Park(t, nil)
	p, ok := s.(sandbox.Preloader)
	if !ok {
		t.Skip("this driver preloads nothing")
	}
	spec := h.StartSpec(append([]string{"await", sandbox.RuntimeAPIAddress}, deed...)...)
	err := p.Preload(within(t), sandbox.PreloadSpec{Argv: spec.Argv, Env: spec.Env})
	if errors.Is(err, sandbox.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	type deadliner interface{ SetDeadline(time.Time) error }
	if d, ok := s.RuntimeAPI().(deadliner); ok {
		if err := d.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.RuntimeAPI().Accept() // it runs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testPreload(t *testing.T, h *Harness) {
	code := dirWith(t, "f", "code")
	if err := errors.Join(os.Chmod(code, 0o755), os.Chmod(filepath.Join(code, "f"), 0o644)); err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, deed ...string) (string, sandbox.Exit) {
		t.Helper()
		s, release := h.preload(t, deed...)
		d := h.StartIn(t, s, func(spec *sandbox.StartSpec) {
			spec.CodeDir, spec.Argv, spec.Env = code, []string{"/ignored"}, nil
		})
		release()
		return d.Wait(t)
	}
	t.Run("has what Start gives", func(t *testing.T) {
		if out, exit := run(t, "read", "/var/task/f"); out != "code" || exit.Code != 0 {
			t.Errorf("%q %+v", out, exit)
		}
		if out, exit := run(t, "write", "/tmp/f"); out != "" || exit.Code != 0 {
			t.Errorf("%q %+v", out, exit)
		}
		if out, exit := run(t, "exit", "7"); exit.Code != 7 || out != "" {
			t.Errorf("%q %+v", out, exit)
		}
	})
	t.Run("is as confined as any other", func(t *testing.T) {
		for _, deed := range []string{"id", "status", "writable"} {
			plain := h.Start(t, func(spec *sandbox.StartSpec) { spec.CodeDir, spec.Dir = code, "/" }, deed)
			want, _ := plain.Wait(t)
			if got, _ := run(t, deed); confinement(got) != confinement(want) {
				t.Errorf("%s: preloaded\n%s\nstarted\n%s", deed, got, want)
			}
		}
	})
	t.Run("is limited from Start on", func(t *testing.T) {
		s, release := h.preload(t, "memory", "256")
		enforced(t, s, "memory")
		d := h.StartIn(t, s, nil)
		release()
		if out, exit := d.Wait(t); !exit.OOM {
			t.Errorf("%q %+v", out, exit)
		}
	})
	t.Run("once", func(t *testing.T) {
		s, _ := h.preload(t, "exit", "0")
		again := sandbox.PreloadSpec{Argv: h.StartSpec("exit", "0").Argv}
		if err := s.(sandbox.Preloader).Preload(within(t), again); err == nil {
			t.Error("preloaded twice")
		}
		other := h.Park(t, nil)
		h.StartIn(t, other, nil, "sleep", "1h")
		if err := other.(sandbox.Preloader).Preload(within(t), again); err == nil {
			t.Error("preloaded after Start")
		}
	})
	t.Run("that cannot be executed", func(t *testing.T) {
		p, ok := h.Park(t, nil).(sandbox.Preloader)
		if !ok {
			t.Skip("this driver preloads nothing")
		}
		err := p.Preload(within(t), sandbox.PreloadSpec{Argv: []string{"/absent"}})
		var refused *sandbox.ExecError
		if !errors.As(err, &refused) && !errors.Is(err, sandbox.ErrUnsupported) {
			t.Errorf("%v", err)
		}
	})
}

// confinement leaves out of /proc/self/status what differs between any two processes.
func confinement(status string) string {
	var kept []string
	for line := range strings.Lines(status) {
		name, _, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(name, "Vm"), strings.HasPrefix(name, "Rss"), strings.Contains(name, "ctxt_switches"), name == "Threads",
			strings.HasPrefix(name, "Cpus"), strings.HasPrefix(name, "Sig"), strings.HasPrefix(name, "Shd"), name == "FDSize", name == "State",
			name == "Pid", name == "Tgid", name == "Ngid", strings.HasPrefix(name, "NS"):
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

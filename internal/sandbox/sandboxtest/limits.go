package sandboxtest

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

func testLimits(t *testing.T, h *Harness) {
	t.Run("memory", func(t *testing.T) {
		s := h.Park(t, nil)
		enforced(t, s, "memory")
		_, exit := h.StartIn(t, s, nil, "memory", "256").Wait(t)
		if exit.Signal != syscall.SIGKILL || !exit.OOM {
			t.Errorf("%+v", exit)
		}
		u, err := s.Usage(within(t))
		if err != nil || u.OOMKills == 0 || u.MemoryPeakBytes < 100<<20 || u.MemoryPeakBytes > 160<<20 {
			t.Errorf("%+v, %v", u, err)
		}
		if out := h.Do(t, "memory", "64"); out != "held 64 MiB" {
			t.Errorf("below the limit: %q", out)
		}
	})
	t.Run("metered, enforced or not", func(t *testing.T) {
		const held = 64 << 20
		s := h.Park(t, nil)
		ended := h.StartIn(t, s, nil, "memory", "64")
		ended.Wait(t)
		if u, err := s.Usage(within(t)); err != nil || u.MemoryPeakBytes < held || u.MemoryPeakBytes > 2*held {
			t.Errorf("ended: %+v, %v", u, err)
		}
		s = h.Park(t, nil)
		h.StartIn(t, s, nil, "spin", "30s")
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			u, err := s.Usage(within(t))
			if err != nil {
				t.Fatal(err)
			}
			if u.CPU > 50*time.Millisecond && u.MemoryBytes > 0 && u.MemoryBytes <= u.MemoryPeakBytes {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("running: %+v", u)
			}
		}
	})
	t.Run("processes", func(t *testing.T) {
		run := h.Start(t, func(s *sandbox.StartSpec) { s.Limits.MemoryMiB = 2048 }, "forks")
		out, _ := run.Wait(t)
		n, err := strconv.Atoi(strings.Fields(out + " x")[0])
		// A Go child has several threads, and the kernel counts threads.
		if !strings.Contains(out, "children") || !strings.Contains(out, "resource temporarily unavailable") {
			t.Errorf("%q", out)
		}
		t.Logf("%d children, %v", n, err)
	})
	t.Run("descriptors", func(t *testing.T) {
		out := h.Do(t, "descriptors")
		if !strings.Contains(out, "too many open files") {
			t.Errorf("%q", out)
		}
	})
	t.Run("full /tmp", func(t *testing.T) {
		if out := doIn(t, h, 16, "fill", "/tmp/x"); !strings.Contains(out, "no space left on device") {
			t.Errorf("%q", out)
		}
		if out := doIn(t, h, 16, "fill-many", "/tmp"); !strings.Contains(out, "no space left on device") {
			t.Errorf("inodes: %q", out)
		}
	})
	t.Run("/tmp is not memory", func(t *testing.T) {
		s := h.Park(t, nil)
		enforced(t, s, "memory")
		enforced(t, s, "tmp apart from memory")
		run := h.StartIn(t, s, func(s *sandbox.StartSpec) { s.Limits.TmpMiB = 300 }, "fill", "/tmp/x")
		out, exit := run.Wait(t)
		mib, err := strconv.Atoi(strings.Fields(out + " x")[0])
		if err != nil || mib < 290 || mib > 310 || !strings.Contains(out, "no space left on device") {
			t.Errorf("%q %+v", out, exit)
		}
	})
	t.Run("cpu", func(t *testing.T) {
		s := h.Park(t, nil)
		enforced(t, s, "cpu")
		run := h.StartIn(t, s, func(s *sandbox.StartSpec) { s.Limits.CPUMilli = 200 }, "spin", "1s")
		out, _ := run.Wait(t)
		milli, err := strconv.Atoi(out)
		if err != nil || (milli > 300 && !h.ownKernel) { // less is the machine's own load
			t.Errorf("a fifth of a core gave %s thousandths", out)
		}
		u, err := s.Usage(within(t))
		most := time.Second
		if h.ownKernel { // what the program was told shows no quota
			most /= 2
		}
		if err != nil || u.CPU < 20*time.Millisecond || u.CPU > most {
			t.Errorf("%+v, %v", u, err)
		}
	})
	t.Run("strict", func(t *testing.T) {
		s := h.Park(t, nil)
		u, err := s.Usage(within(t))
		if err != nil {
			t.Fatal(err)
		}
		spec := h.StartSpec("exit", "0")
		spec.Limits.Strict = true
		_, err = s.Start(context.Background(), spec)
		if (err == nil) != (len(u.Unenforced) == 0) {
			t.Errorf("unenforced %q, and Start: %v", u.Unenforced, err)
		}
	})
}

func testFreeze(t *testing.T, h *Harness) {
	t.Run("stands still and goes on", func(t *testing.T) {
		run := h.Start(t, nil, "tick")
		for range 3 {
			seen := len(run.text.String())
			run.Await(t, func(s string) bool { return len(s) > seen })
			if err := run.Freeze(within(t)); err != nil {
				t.Fatal(err)
			}
			// What lies in the pipe still arrives, on a busy machine late.
			before := run.text.String()
			for deadline := time.Now().Add(patience); ; {
				time.Sleep(60 * time.Millisecond)
				after := run.text.String()
				if after == before {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("wrote %q while frozen", strings.TrimPrefix(after, before))
				}
				before = after
			}
			if err := run.Thaw(within(t)); err != nil {
				t.Fatal(err)
			}
			run.Await(t, func(s string) bool { return len(s) > len(before) })
		}
	})
	t.Run("twice", func(t *testing.T) {
		run := h.Start(t, nil, "sleep", "1h")
		for _, step := range []func(context.Context) error{run.Freeze, run.Freeze, run.Thaw, run.Thaw, run.Freeze} {
			if err := step(within(t)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("parked", func(t *testing.T) {
		s := h.Park(t, nil)
		if err := s.Freeze(within(t)); err != nil {
			t.Error(err)
		}
		if err := s.Thaw(within(t)); err != nil {
			t.Error(err)
		}
	})
}

// doIn runs a deed with a /tmp of another size.
func doIn(t *testing.T, h *Harness, tmpMiB int, deed ...string) string {
	t.Helper()
	out, _ := h.Start(t, func(s *sandbox.StartSpec) { s.Limits.TmpMiB = tmpMiB }, deed...).Wait(t)
	return out
}

package microvm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestWatchdog: a machine is judged by the time in which it could have run.
func TestWatchdog(t *testing.T) {
	for name, tc := range map[string]struct {
		pid         int
		least, most time.Duration // in which it bites
	}{
		"nothing to follow": {0, 50 * time.Millisecond, 5 * time.Second},
		"one that sleeps":   {os.Getpid(), 50 * time.Millisecond, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			ctx, cancel := watch(t.Context(), 50*time.Millisecond, nil)
			defer cancel()
			if tc.pid != 0 {
				followed(context.WithoutCancel(ctx), tc.pid) // however deep it is
			}
			<-ctx.Done()
			if took := time.Since(begin); took < tc.least || took > tc.most {
				t.Errorf("it bit after %v", took)
			}
			child, cancelChild := context.WithCancel(ctx)
			defer cancelChild()
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Errorf("%v, %v", ctx.Err(), child.Err())
			}
		})
	}
}

// TestWatchdogOnBusyHost: processes that share one core with many others get longer, in step with
// what they waited.
func TestWatchdogOnBusyHost(t *testing.T) {
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		t.Skip("needs taskset")
	}
	const crowd, limit = 6, 500 * time.Millisecond
	var pid int
	for range crowd {
		c := exec.CommandContext(t.Context(), taskset, "-c", "0", "sh", "-c", "while :; do :; done")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { c.Process.Kill(); c.Wait() }()
		pid = c.Process.Pid
	}
	if runDelay("/proc", os.Getpid()) == 0 && runDelay("/proc", pid) == 0 {
		if _, err := os.Stat("/proc/self/schedstat"); err != nil {
			t.Skip("the kernel does not tell how long a process waited")
		}
	}
	begin := time.Now()
	ctx, cancel := watch(t.Context(), limit, nil)
	defer cancel()
	followed(ctx, pid)
	<-ctx.Done()
	if took := time.Since(begin); took < 2*limit || took > 2*watchPatience*limit {
		t.Errorf("one of %d on a core was given %v", crowd, took)
	}
}

func TestRunDelay(t *testing.T) {
	proc := t.TempDir()
	for thread, text := range map[string]string{"7": "100 30 2\n", "8": "5 9000000 1\n", "9": "nonsense", "10": "1 -5 2\n"} {
		dir := filepath.Join(proc, "7", "task", thread)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "schedstat"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := runDelay(proc, 7); got != 9*time.Millisecond {
		t.Errorf("%v", got)
	}
	if got := runDelay(proc, 8); got != 0 {
		t.Errorf("nobody's: %v", got)
	}
}

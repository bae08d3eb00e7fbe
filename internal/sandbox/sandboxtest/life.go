package sandboxtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

func testLife(t *testing.T, h *Harness) {
	t.Run("exit status", func(t *testing.T) {
		for _, code := range []int{0, 1, 127, 255} {
			_, exit := h.Start(t, nil, "exit", strconv.Itoa(code)).Wait(t)
			if exit.Code != code || exit.Signal != 0 || exit.OOM || time.Since(exit.Ended) > patience {
				t.Errorf("exit %d: %+v", code, exit)
			}
		}
	})
	t.Run("ended by a signal of its own", func(t *testing.T) {
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGHUP} {
			_, exit := h.Start(t, nil, "signal", strconv.Itoa(int(signal))).Wait(t)
			if exit.Signal != signal || exit.OOM {
				t.Errorf("%v: %+v", signal, exit)
			}
		}
	})
	t.Run("signalled", func(t *testing.T) {
		run := h.Start(t, nil, "trap")
		run.Await(t, func(s string) bool { return strings.Contains(s, "ready") })
		if err := run.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if out, exit := run.Wait(t); !strings.Contains(out, "got terminated") || exit.Code != 0 {
			t.Errorf("%q %+v", out, exit)
		}
		if err := run.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("after the end: %v", err)
		}
	})
	t.Run("output in order", func(t *testing.T) {
		out, _ := h.Start(t, nil, "order", "3000").Wait(t)
		lines := strings.Split(out, "\n")
		if len(lines) != 3000 {
			t.Fatalf("%d lines", len(lines))
		}
		for i, line := range lines {
			if line != strconv.Itoa(i) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
	})
	t.Run("a program that cannot be executed", func(t *testing.T) {
		code := t.TempDir()
		for _, f := range []struct {
			name, content string
			mode          os.FileMode
		}{{"data", "no program", 0o755}, {"plain", "#!/bin/sh", 0o644}, {"lost", "#!/no/such/interpreter", 0o755}} {
			if err := errors.Join(os.WriteFile(filepath.Join(code, f.name), []byte(f.content), f.mode), os.Chmod(filepath.Join(code, f.name), f.mode)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(code, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]error{"data": syscall.ENOEXEC, "plain": syscall.EACCES, "lost": syscall.ENOENT, "absent": syscall.ENOENT} {
			spec := h.StartSpec()
			spec.CodeDir, spec.Argv = code, []string{"/var/task/" + name}
			_, err := h.Park(t, nil).Start(within(t), spec)
			var refused *sandbox.ExecError
			if !errors.As(err, &refused) || refused.Path != spec.Argv[0] || !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
	})
	t.Run("what it leaves ends with it", func(t *testing.T) {
		if out, exit := h.Start(t, nil, "orphan").Wait(t); !strings.Contains(out, "left one") || exit.Code != 0 {
			t.Errorf("%q %+v", out, exit)
		}
	})
}

func testInside(t *testing.T, h *Harness) {
	t.Run("environment as given", func(t *testing.T) {
		run := h.Start(t, func(s *sandbox.StartSpec) { s.Env = []string{"B=2", "A=1 = x", "EMPTY="} }, "env")
		if out, _ := run.Wait(t); out != "A=1 = x\nB=2\nEMPTY=" {
			t.Errorf("%q", out)
		}
	})
	t.Run("directories as on Lambda", func(t *testing.T) {
		code := dirWith(t, "f", "code")
		if err := os.Chmod(code, 0o755); err != nil {
			t.Fatal(err)
		}
		run := h.Start(t, func(s *sandbox.StartSpec) { s.CodeDir = code; s.Dir = "" }, "stat", "/var/task", "/opt", "/tmp", "f")
		out, _ := run.Wait(t)
		if os.Geteuid() != 0 {
			t.Skip("owners show as they are only with root")
		}
		want := "/var/task drwxr-xr-x 0:0\n/opt drwxr-xr-x 0:0\n/tmp dtrwxrwxrwx 0:0\nf -rw-r--r-- 0:0"
		if out != want {
			t.Errorf("got %q, want %q", out, want)
		}
	})
	t.Run("user and working directory", func(t *testing.T) {
		run := h.Start(t, func(s *sandbox.StartSpec) { s.Dir = "" }, "id")
		if out, _ := run.Wait(t); !strings.Contains(out, "dir=/var/task") || strings.Contains(out, "uid=0 ") {
			t.Errorf("%q", out)
		}
	})
	t.Run("no capability, no new privileges, seccomp", func(t *testing.T) {
		status := h.Do(t, "status")
		for _, want := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
			"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if h.ownKernel && strings.HasPrefix(want, "Seccomp") {
				continue
			}
			if !strings.Contains(status, want) {
				t.Errorf("no %q in %q", want, status)
			}
		}
	})
	t.Run("only its own processes", func(t *testing.T) {
		if out := sortedWords(h.Do(t, "pids")); len(out) > 2 {
			t.Errorf("sees %q", out)
		}
	})
	t.Run("only its own descriptors", func(t *testing.T) {
		for line := range strings.Lines(h.Do(t, "open-fds")) {
			number, target, _ := strings.Cut(strings.TrimSpace(line), "=")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			if n > 2 && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/sys/") {
				t.Errorf("descriptor %d is %q", n, target)
			}
		}
	})
	t.Run("limits", func(t *testing.T) {
		out := h.Do(t, "limits")
		for _, want := range []string{"Max open files=1024", "Max core file size=0", "Max processes=1024"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in %q", want, out)
			}
		}
	})
	t.Run("nothing to write but /tmp", func(t *testing.T) {
		run := h.Start(t, func(s *sandbox.StartSpec) { s.CodeDir = dirWith(t, "f", "") }, "writable")
		if out, exit := run.Wait(t); out != "" || exit.Code != 0 {
			t.Errorf("%q %+v", out, exit)
		}
		if out := h.Do(t, "write", "/tmp/x"); out != "" {
			t.Errorf("/tmp: %q", out)
		}
	})
	t.Run("layers, the later one on top", func(t *testing.T) {
		first, second, third := dirWith(t, "both", "1"), dirWith(t, "both", "2"), dirWith(t, "python/lib.py", "3")
		writeFile(t, filepath.Join(first, "one"), "1")
		for _, c := range []struct {
			name, deed, path, want string
			layers                 []string
		}{
			{"one", "list", "/opt", "both one", []string{first}},
			{"two", "read", "/opt/both", "2", []string{first, second}},
			{"kept", "read", "/opt/one", "1", []string{first, second}},
			{"three", "list", "/opt", "both one python", []string{first, second, third}},
			{"sealed", "writable", "", "", []string{first, second}},
		} {
			run := h.Start(t, func(s *sandbox.StartSpec) { s.LayerDirs = c.layers }, c.deed, c.path)
			if out, _ := run.Wait(t); out != c.want {
				t.Errorf("%s: %q", c.name, out)
			}
		}
	})
	t.Run("further mounts", func(t *testing.T) {
		dir := dirWith(t, "bootstrap", "hello")
		mounts := []sandbox.Mount{{Source: dir, Target: "/var/runtime"}, {Source: filepath.Join(dir, "bootstrap"), Target: "/etc/deep/er/file"}}
		for _, path := range []string{"/var/runtime/bootstrap", "/etc/deep/er/file"} {
			run := h.Start(t, func(s *sandbox.StartSpec) { s.Mounts = mounts }, "read", path)
			if out, _ := run.Wait(t); out != "hello" {
				t.Errorf("%s: %q", path, out)
			}
		}
	})
	t.Run("a base directory", func(t *testing.T) {
		base := dirWith(t, "etc/os-release", "base")
		writeFile(t, filepath.Join(base, "etc/passwd"), "replaced")
		program := "/usr/local/bin/program"
		s := h.Park(t, func(p *sandbox.ParkSpec) { p.Rootfs.Base = base })
		if out, _ := h.StartIn(t, s, nil, "read", "/etc/os-release").Wait(t); out != "base" {
			t.Errorf("%q", out)
		}
		s = h.Park(t, func(p *sandbox.ParkSpec) { p.Rootfs.Base = base })
		if out, _ := h.StartIn(t, s, nil, "writable").Wait(t); out != "" {
			t.Errorf("writable: %q", out)
		}
		if _, err := os.Stat(filepath.Join(base, program)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the base was changed: %v", err)
		}
	})
}

// parallel is how many sandboxes the suite makes at once.
const parallel = 24

func testParallel(t *testing.T, h *Harness) {
	var wait sync.WaitGroup
	for i := range parallel {
		wait.Go(func() {
			s, err := h.Driver.Park(within(t), h.ParkSpec())
			if err != nil {
				t.Error(err)
				return
			}
			p, err := s.Start(within(t), h.StartSpec("exit", strconv.Itoa(i)))
			if err != nil {
				t.Error(err)
				return
			}
			text := record(p.Output())
			<-p.Done()
			<-text.done
			if p.Exit().Code != i {
				t.Error(fmt.Errorf("%d: %+v %s", i, p.Exit(), text))
			}
			if err := s.Destroy(within(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

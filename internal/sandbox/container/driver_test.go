package container_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

func newDriver(t *testing.T, dir string) *container.Driver {
	t.Helper()
	d, err := container.New(container.Options{StateDir: dir, Init: sandboxtest.Build(t, sandboxtest.InitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestOneDriverForADirectory: a second one would reap what lives.
func TestOneDriverForADirectory(t *testing.T) {
	dir := t.TempDir()
	first := newDriver(t, dir)
	if _, err := container.New(container.Options{StateDir: dir, Init: "/proc/self/exe"}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second driver: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := newDriver(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

func TestClosed(t *testing.T) {
	d := newDriver(t, t.TempDir())
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Park(context.Background(), sandbox.ParkSpec{ID: "late"}); !errors.Is(err, sandbox.ErrDestroyed) {
		t.Errorf("Park after Close: %v", err)
	}
}

// TestInitThatIsNone: whatever is not process 1 fails soon and leaves nothing.
func TestInitThatIsNone(t *testing.T) {
	script := filepath.Join(t.TempDir(), "lambdad-init")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if d, err := container.New(container.Options{StateDir: t.TempDir(), Init: script}); err == nil {
		t.Error("opened", d.Close())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s to notice", took)
	}
}

// TestSpawnerEnds: its sandboxes end with it, and the next one gets a new one.
func TestSpawnerEnds(t *testing.T) {
	d := newDriver(t, t.TempDir())
	h := sandboxtest.NewHarness(t, d)
	lost, err := d.Park(context.Background(), h.ParkSpec())
	if err != nil {
		t.Fatal(err)
	}
	p, err := lost.Start(context.Background(), h.StartSpec("sleep", "1h"))
	if err != nil {
		t.Fatal(err)
	}
	// The only child of this process that is lambdad-init is the spawner.
	killed := 0
	children, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range children {
		list, _ := os.ReadFile(path)
		for pid := range strings.FieldsSeq(string(list)) {
			name, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
			if n, err := strconv.Atoi(pid); err == nil && strings.HasPrefix(string(name), "lambdad-init") {
				if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				killed++
			}
		}
	}
	if killed != 1 {
		t.Fatalf("%d spawners", killed)
	}
	<-p.Done()
	if err := lost.Destroy(context.Background()); err != nil {
		t.Error(err)
	}
	// The first may still find the spawner gone.
	next, err := d.Park(context.Background(), h.ParkSpec())
	if err != nil {
		next, err = d.Park(context.Background(), h.ParkSpec())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(next.Destroy(context.Background()), d.Close()); err != nil {
		t.Error(err)
	}
}

func TestReapRemovesHalfMadeFiles(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir)
	for _, name := range []string{"scratch-1", "image-2", "kept"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Reap(context.Background()); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "[^l]*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "kept" {
		t.Errorf("%q, %v", left, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

package gvisor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

const python = "/usr/bin/python3"

// initialised has a thread, a pipe and a process besides the one that waits, does
// what INIT says, and tells after it was let go what it still has.
const initialised = `
import os, socket, sys, threading
exec(os.environ.get("INIT", ""))
go, (r, w) = threading.Event(), os.pipe()
def other():
    go.wait()
    os.write(w, b"thread")
threading.Thread(target=other).start()
child_r, child_w = os.pipe()
child = os.fork()
if child == 0:
    os.read(child_r, 1)
    os._exit(5)
copied = False
while True:
    try:
        if socket.create_connection(("127.0.0.1", 9001)).recv(1):
            break
    except OSError:
        copied = True
go.set()
said = os.read(r, 16).decode()
os.write(child_w, b"x")
print(copied, said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(3)
`

// begun starts the program and returns when it waits, with its connection.
func begun(t *testing.T, h *sandboxtest.Harness, init string) (*sandboxtest.Deed, net.Conn) {
	t.Helper()
	if _, err := os.Stat(python); err != nil {
		t.Skip(err)
	}
	s := h.Park(t, func(p *sandbox.ParkSpec) {
		p.Rootfs.Mounts = append(p.Rootfs.Mounts, sandbox.Mount{Source: "/usr", Target: "/usr"})
	})
	d := h.StartIn(t, s, func(spec *sandbox.StartSpec) {
		spec.Argv, spec.Env, spec.Template = []string{python, "-S", "-E", "-c", initialised}, []string{"INIT=" + init}, true
	})
	return d, asked(t, s)
}

func asked(t *testing.T, s sandbox.Sandbox) net.Conn {
	t.Helper()
	c, err := s.RuntimeAPI().Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestTemplateHasAll: threads, processes and pipes are in the checkpoint.
func TestTemplateHasAll(t *testing.T) {
	dir := t.TempDir()
	driver := openDriver(t, dir)
	defer driver.Close()
	h := sandboxtest.NewHarness(t, driver)
	d, _ := begun(t, h, "")
	made, err := driver.Template(t.Context(), d.Sandbox)
	if err != nil {
		t.Fatal(err)
	}
	s, err := made.Park(t.Context(), h.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy(context.Background())
	copied := h.StartIn(t, s, func(spec *sandbox.StartSpec) { spec.Argv = nil }) // as whoever knows that it is ignored does
	if _, err := asked(t, s).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if out, exit := copied.Wait(t); out != "True thread 5" || exit.Code != 3 {
		t.Errorf("%q %+v", out, exit)
	}
	select {
	case <-d.Done():
		t.Error("the template's own program is told to have ended")
	case <-time.After(time.Millisecond):
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	if left, err := filepath.Glob(filepath.Join(dir, "images", "*")); err != nil || len(left) > 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

// TestTemplateRefused: a program with files in /tmp is no template, and goes on.
func TestTemplateRefused(t *testing.T) {
	driver := openDriver(t, t.TempDir())
	defer driver.Close()
	d, waits := begun(t, sandboxtest.NewHarness(t, driver), "open('/tmp/x', 'w').write('y')")
	_, err := driver.Template(t.Context(), d.Sandbox)
	var refused *sandbox.UnclonableError
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, "/tmp/x") {
		t.Fatalf("%v", err)
	}
	if _, err := waits.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// Python 3.12 and later warn of the fork, before that.
	if out, exit := d.Wait(t); !strings.HasSuffix(out, "False thread 5") || exit.Code != 3 {
		t.Errorf("%q %+v", out, exit)
	}
}

// TestPreloadedNeedsNoProgram: whoever starts a preloaded sandbox need not name one.
func TestPreloadedNeedsNoProgram(t *testing.T) {
	driver := openDriver(t, t.TempDir())
	defer driver.Close()
	h := sandboxtest.NewHarness(t, driver)
	s := h.Park(t, nil)
	if err := s.(sandbox.Preloader).Preload(t.Context(), sandbox.PreloadSpec{Argv: h.StartSpec("sleep", "1h").Argv}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context(), sandbox.StartSpec{Limits: sandbox.Limits{MemoryMiB: 128, TmpMiB: 512}}); err != nil {
		t.Fatal(err)
	}
}

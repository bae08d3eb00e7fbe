package clone

import (
	"os"
	"os/exec"
	"testing"
)

// threaded is a program with threads of every state: one waits for a condition, one
// with a time limit, one works, and the first waits for input. When its connection
// breaks it makes all of them answer.
const threaded = `
import os, sys, threading
go, lines = threading.Event(), []
def waits():
    go.wait(); lines.append("waited")
def dozes():
    while not go.wait(0.001): pass
    lines.append("dozed")
def works():
    x = 1.5
    while not go.is_set(): x = x * 3 % 7
    lines.append("worked %s" % (0 < x < 7))
threads = [threading.Thread(target=f, name=f.__name__) for f in (waits, dozes, works)]
for t in threads: t.start()
print("ready", flush=True)
try: sys.stdin.buffer.read(1)
except OSError: pass
go.set()
for t in threads: t.join()
print(*sorted(lines), sep=", ", flush=True)
os.kill(os.getpid(), 15)
`

func TestThreads(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("needs python3")
	}
	file := t.TempDir() + "/threaded.py"
	if err := os.WriteFile(file, []byte(threaded), 0o644); err != nil {
		t.Fatal(err)
	}
	pid, _ := original(t, "exec python3 "+file)
	o := seize(t, pid)
	if err := o.Prepare(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 5 {
		got, status := copied(t, o, spec(t))
		if got != "dozed, waited, worked True\n" || status.Signal() != 15 {
			t.Errorf("wrote %q, ended with %#x", got, status)
		}
	}
}

package sandboxtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// interpreter runs the program that templates are made of: one of a single thread,
// which Go's are not.
const interpreter = "/usr/bin/python3"

// templateProgram initialises itself as the environment says, waits for what to do in
// the Runtime API, and asks again there if its connection breaks: then it is a copy.
const templateProgram = `
import os, socket, sys
kept = []
exec(os.environ.get("INIT", ""))
number, copied = 41, False

def ask():
    with socket.create_connection(("127.0.0.1", 9001)) as s:
        s.sendall(b"GET /2018-06-01/runtime/restore/next HTTP/1.0\r\n\r\n")
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            answer += more
    if b"\r\n\r\n" not in answer:
        raise ConnectionError("no answer")
    return answer.split(b"\r\n\r\n", 1)[1].decode()

while True:
    try:
        todo = ask()
        break
    except OSError:
        copied = True
exec(todo)
`

// templates makes programs, templates and copies.
type templates struct {
	*Harness
	driver sandbox.Templater
	code   string
}

// waiting is a program that waits in its sandbox's Runtime API.
type waiting struct {
	*Deed
	asked chan struct{}
	todo  chan string // what it is told to do
}

func testTemplate(t *testing.T, h *Harness) {
	driver, ok := h.Driver.(sandbox.Templater)
	if !ok {
		t.Skipf("the %s driver makes no templates", h.Driver.Name())
	}
	if _, err := os.Stat(interpreter); err != nil {
		t.Skipf("%s is not installed", interpreter)
	}
	s := &templates{Harness: h, driver: driver, code: dirWith(t, "program.py", templateProgram)}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *templates)
	}{
		{"Continue", testContinue}, {"Separate", testSeparate}, {"Ends", testEnds}, {"OOM", testCopyOOM}, {"Freeze", testCopyFreeze},
		{"Destroy", testCopyDestroy}, {"Closed", testClosed}, {"Parallel", testCopyParallel}, {"Unclonable", testUnclonable},
		{"Threads", testThreads}, {"Node", testNode},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s) })
	}
}

func (s *templates) spec(init string) sandbox.StartSpec {
	spec := s.StartSpec()
	spec.Argv = []string{interpreter, "-S", "-E", "/var/task/program.py"}
	spec.Env = []string{"INIT=" + init}
	spec.CodeDir = s.code
	spec.Template = true
	return spec
}

// serve answers in a sandbox's Runtime API.
func serve(t *testing.T, s sandbox.Sandbox) *waiting {
	w := &waiting{asked: make(chan struct{}, 16), todo: make(chan string, 1)}
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		w.asked <- struct{}{}
		select {
		case todo := <-w.todo:
			io.WriteString(answer, todo)
		case <-r.Context().Done():
		}
	})}
	go server.Serve(s.RuntimeAPI())
	t.Cleanup(func() { server.Close() })
	return w
}

// begin starts the program and waits until it has finished its initialisation.
func (s *templates) begin(t *testing.T, change func(*sandbox.StartSpec), init string) *waiting {
	t.Helper()
	box := s.Park(t, func(p *sandbox.ParkSpec) {
		p.Rootfs.Mounts = append(p.Rootfs.Mounts, sandbox.Mount{Source: "/usr", Target: "/usr"})
	})
	w := serve(t, box)
	w.Deed = s.StartIn(t, box, func(spec *sandbox.StartSpec) {
		*spec = s.spec(init)
		if change != nil {
			change(spec)
		}
	})
	w.await(t)
	return w
}

func (w *waiting) await(t *testing.T) {
	t.Helper()
	select {
	case <-w.asked:
	case <-w.Done():
		t.Fatalf("ended before it asked: %+v, %s", w.Exit(), w.Text())
	case <-within(t).Done():
		t.Fatalf("does not ask: %s", w.Text())
	}
}

// do tells the program what to do and returns what it wrote and how it ended.
func (w *waiting) do(t *testing.T, todo string) (string, sandbox.Exit) {
	t.Helper()
	w.todo <- todo
	return w.Wait(t)
}

// template makes one of a program that is initialised so.
func (s *templates) template(t *testing.T, init string) sandbox.Template {
	t.Helper()
	return s.templateOf(t, nil, init)
}

// templateOf is template for a program that is started otherwise.
func (s *templates) templateOf(t *testing.T, change func(*sandbox.StartSpec), init string) sandbox.Template {
	t.Helper()
	w := s.begin(t, change, init)
	made, err := s.driver.Template(within(t), w.Sandbox)
	if errors.Is(err, sandbox.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Error(err)
		}
	})
	if held := made.MemoryBytes(); held < 1<<20 || held > 1<<30 {
		t.Errorf("the template holds %d bytes", held)
	}
	return made
}

// copy makes one, which is destroyed with the test, and waits until it asks.
func (s *templates) copy(t *testing.T, of sandbox.Template, change func(*sandbox.StartSpec)) *waiting {
	t.Helper()
	box, err := of.Park(within(t), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w := serve(t, box)
	w.Deed = s.StartIn(t, box, func(spec *sandbox.StartSpec) {
		*spec = s.spec("")
		if change != nil {
			change(spec)
		}
	})
	w.await(t)
	return w
}

// testContinue: a copy goes on with everything that the program had, any number of times.
func testContinue(t *testing.T, s *templates) {
	made := s.template(t, "kept.append('from INIT'); sys.stdout.write('')")
	for range 3 {
		got, exit := s.copy(t, made, nil).do(t, "print(copied, number + 1, kept, os.getcwd(), os.getuid()); sys.exit(7)")
		if want := "True 42 ['from INIT'] /tmp 993"; got != want || exit.Code != 7 || exit.Signal != 0 {
			t.Errorf("wrote %q, ended with %+v; want %q and 7", got, exit, want)
		}
	}
}

// testSeparate: nothing that one copy does is seen by another, and no two are alike.
func testSeparate(t *testing.T, s *templates) {
	made := s.template(t, "")
	const look = `
number += 1
open("/tmp/mine", "x").close()
others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
status = dict(l.rstrip("\n").split(":\t", 1) for l in open("/proc/self/status") if ":\t" in l)
print(number, os.listdir("/tmp").count("mine"), socket.gethostname(), others, flush=True)
print(os.urandom(16).hex(), os.readlink("/proc/self/ns/uts"), flush=True)
print([status.get(n) for n in ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "TracerPid")], flush=True)
print(sorted(os.listdir("/proc/self/fd"))[:4], flush=True)
socket.create_connection(("127.0.0.1", 9001)).recv(1)
`
	copies := []*waiting{s.copy(t, made, nil), s.copy(t, made, nil)}
	lines := make([][]string, len(copies))
	for i, c := range copies { // all are alive until the test ends
		c.todo <- look
		c.Await(t, func(text string) bool { return strings.Count(text, "\n") == 4 })
		lines[i] = strings.Split(strings.TrimSpace(c.Text()), "\n")
		if s.ownKernel { // which need not hide process 1
			lines[i][0] = strings.Replace(lines[i][0], "['1']", "[]", 1)
		}
	}
	if want := "42 1 " + strings.Fields(lines[0][0])[2] + " []"; lines[0][0] != want || lines[1][0] != want {
		t.Errorf("saw %q and %q, want %q", lines[0][0], lines[1][0], want)
	}
	first, second := strings.Fields(lines[0][1]), strings.Fields(lines[1][1])
	if first[0] == second[0] {
		t.Errorf("both drew %s", first[0])
	}
	if s.ownKernel {
		return
	}
	if first[1] == second[1] {
		t.Errorf("both are in %s", first[1])
	}
	none := strings.Repeat("0", 16)
	if want := "['" + none + "', '" + none + "', '" + none + "', '1', '2', '0']"; lines[0][2] != want {
		t.Errorf("status %s, want %s", lines[0][2], want)
	}
	if want := "['0', '1', '2', '3']"; lines[0][3] != want { // the fourth is the listing itself
		t.Errorf("descriptors %s, want %s", lines[0][3], want)
	}
}

// testEnds: each way in which a copy ends is told.
func testEnds(t *testing.T, s *templates) {
	made := s.template(t, "")
	if _, exit := s.copy(t, made, nil).do(t, "os.abort()"); exit.Signal != syscall.SIGABRT {
		t.Errorf("aborted, and ended with %+v", exit)
	}
	w := s.copy(t, made, nil)
	if err := w.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, exit := w.Wait(t); exit.Signal != syscall.SIGTERM {
		t.Errorf("terminated, and ended with %+v", exit)
	}
	if err := w.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to what has ended: %v", err)
	}
	// What it leaves behind ends with it.
	if out, exit := s.copy(t, made, nil).do(t, "import time\nif os.fork() == 0: time.sleep(1000)\nsys.exit(3)"); exit.Code != 3 {
		t.Errorf("%q, %+v", out, exit)
	}
}

func testCopyOOM(t *testing.T, s *templates) {
	made := s.template(t, "")
	w := s.copy(t, made, func(spec *sandbox.StartSpec) { spec.Limits.MemoryMiB = 64 })
	enforced(t, w, "memory")
	if out, exit := w.do(t, "hold = [bytearray(b'x') * (1 << 20) for _ in range(512)]; print('held')"); !exit.OOM && !strings.Contains(out, "MemoryError") {
		t.Errorf("wrote %q, ended with %+v", out, exit)
	}
	// The others do not notice.
	if _, exit := s.copy(t, made, nil).do(t, "sys.exit(4)"); exit.Code != 4 {
		t.Errorf("%+v", exit)
	}
}

func testCopyFreeze(t *testing.T, s *templates) {
	made := s.template(t, "")
	w := s.copy(t, made, nil)
	if err := w.Freeze(within(t)); err != nil {
		t.Fatal(err)
	}
	other := s.copy(t, made, nil) // one that is frozen keeps no other from being made
	if _, exit := other.do(t, "sys.exit(6)"); exit.Code != 6 {
		t.Errorf("%+v", exit)
	}
	if err := w.Thaw(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, exit := w.do(t, "sys.exit(5)"); exit.Code != 5 {
		t.Errorf("%+v", exit)
	}
	if u, err := w.Usage(within(t)); err != nil || (u.CPU == 0 && !slices.Contains(u.Unenforced, "memory")) {
		t.Errorf("used %+v, %v", u, err)
	}
}

func testCopyDestroy(t *testing.T, s *templates) {
	made := s.template(t, "")
	parked, err := made.Park(within(t), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	waiting, frozen := s.copy(t, made, nil), s.copy(t, made, nil)
	if err := frozen.Freeze(within(t)); err != nil {
		t.Fatal(err)
	}
	for _, box := range []sandbox.Sandbox{parked, waiting.Sandbox, frozen.Sandbox} {
		for range 2 {
			if err := box.Destroy(within(t)); err != nil {
				t.Error(err)
			}
		}
		if left := traces(t, string(box.ID())); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
	if _, exit := waiting.Wait(t); exit.Signal != syscall.SIGKILL {
		t.Errorf("destroyed, and ended with %+v", exit)
	}
	if _, err := waiting.Start(within(t), s.spec("")); !errors.Is(err, sandbox.ErrDestroyed) {
		t.Errorf("started in what is destroyed: %v", err)
	}
}

// testClosed: copies outlive their template, which makes no more.
func testClosed(t *testing.T, s *templates) {
	made := s.template(t, "")
	w := s.copy(t, made, nil)
	parked, err := made.Park(within(t), s.ID())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := made.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := made.Park(within(t), s.ID()); !errors.Is(err, sandbox.ErrDestroyed) {
		t.Errorf("parked from a closed template: %v", err)
	}
	if out, exit := w.do(t, "print(number); sys.exit(9)"); out != "41" || exit.Code != 9 {
		t.Errorf("%q, %+v", out, exit)
	}
	for _, box := range []sandbox.Sandbox{w.Sandbox, parked} {
		if err := box.Destroy(within(t)); err != nil {
			t.Error(err)
		}
	}
}

func testCopyParallel(t *testing.T, s *templates) {
	made := s.template(t, "")
	const copies = 16
	t.Run("copies", func(t *testing.T) {
		for range copies {
			t.Run("copy", func(t *testing.T) {
				t.Parallel()
				if out, exit := s.copy(t, made, nil).do(t, "print(number); sys.exit(2)"); out != "41" || exit.Code != 2 {
					t.Errorf("%q, %+v", out, exit)
				}
			})
		}
	})
}

// testUnclonable: what cannot be copied is refused in words, and goes on.
func testUnclonable(t *testing.T, s *templates) {
	if s.ownKernel {
		t.Skip("a snapshot has all of it")
	}
	for _, c := range []struct{ name, init, want string }{
		{"thread", "import threading, time; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()", "thread"},
		{"process", "import time\nif os.fork() == 0: time.sleep(1000)", "process"},
		{"zombie", "import time\nif os.fork() == 0: os._exit(0)\ntime.sleep(0.05)", "process"},
		{"file in /tmp", "open('/tmp/x', 'w').write('y')", "/tmp/x"},
		{"socket", "kept.append(socket.socket())", "socket"},
		{"half a pipe", "os.close(os.pipe()[1])", "pipe"},
		{"file to write", "kept.append(open('/dev/shm/x' if os.path.isdir('/dev/shm') else '/proc/self/comm', 'w'))", "open"},
		{"shared memory", "import mmap; kept.append(mmap.mmap(-1, 4096))", "shares memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := s.begin(t, nil, c.init)
			_, err := s.driver.Template(within(t), w.Sandbox)
			if errors.Is(err, sandbox.ErrUnsupported) {
				t.Skip(err)
			}
			var refused *sandbox.UnclonableError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.want) {
				t.Fatalf("refused with %v, want %q", err, c.want)
			}
			if out, _ := w.do(t, "print(copied, flush=True); os._exit(0)"); out != "False" {
				t.Errorf("it goes on with %q", out)
			}
		})
	}
}

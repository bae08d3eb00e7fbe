package worker_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi/client"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

const pythonHandler = `
import os, time, ctypes
def handler(event, context):
    do = event.get("do")
    print("doing", do)
    if do == "raise": raise ValueError("oops")
    if do == "exit": os._exit(3)
    if do == "sleep": time.sleep(100)
    if do == "segv": ctypes.string_at(0)
    if do == "big": return "x" * 7_000_000
    if do == "oom":
        kept = []
        while True: kept.append(bytearray(10_000_000))
    return {"do": do, "pid": os.getpid(), "memory": context.memory_limit_in_mb}
`

// pythonHost is a worker with real sandboxes and this machine's Python.
type pythonHost struct {
	*worker.Worker
	logs    *workertest.Logs
	told    *lines // lambdad's own log
	runtime string
	digest  string
}

type catalog struct {
	*runtimes.Catalog
	clients client.Set
}

func (c catalog) Runtime(ctx context.Context, want worker.RuntimeWant) (worker.Runtime, error) {
	found, err := c.Resolve(ctx, want.Identifier, want.Architecture)
	if err != nil {
		return worker.Runtime{}, err
	}
	program, err := c.clients.For(client.Request{Runtime: want.Identifier, Interpreter: found.Interpreter, MemoryMiB: want.MemoryMiB})
	if err != nil {
		return worker.Runtime{}, err
	}
	rt := worker.Runtime{
		Key: found.VersionID(), Rootfs: sandbox.Rootfs{Base: found.Rootfs.Base}, Argv: program.Argv,
		Waits: program.Waits, Copies: program.Copies,
		Env:     append(found.Env, program.Env...),
		Mounts:  []sandbox.Mount{{Source: program.Dir, Target: client.RuntimeDir}},
		Version: found.VersionName(), VersionARN: found.VersionARN("us-east-1"),
	}
	for _, m := range found.Rootfs.Mounts {
		rt.Rootfs.Mounts = append(rt.Rootfs.Mounts, sandbox.Mount{Source: m.Source, Target: m.Target})
	}
	return rt, nil
}

func newPythonHost(t testing.TB, handler string) *pythonHost {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	closing := func(what string, f func() error) {
		t.Cleanup(func() {
			if err := f(); err != nil {
				t.Errorf("close %s: %v", what, err)
			}
		})
	}
	init := sandboxtest.Build(t, sandboxtest.InitPackage)
	known, err := runtimes.Open(runtimes.Options{Dir: filepath.Join(dir, "runtimes")})
	must(err)
	closing("catalog", known.Close)
	h := &pythonHost{logs: &workertest.Logs{}, told: &lines{}}
	for minor := 14; minor >= 9 && h.runtime == ""; minor-- {
		name := fmt.Sprintf("python3.%d", minor)
		if _, err := known.Resolve(context.Background(), name, "x86_64"); err == nil {
			h.runtime = name
		}
	}
	if h.runtime == "" {
		t.Skip("no Python on this machine")
	}
	clients, err := client.Install(filepath.Join(dir, "clients"))
	must(err)
	code, err := artifact.Open(filepath.Join(dir, "artifacts"), artifact.Options{})
	must(err)
	closing("artifacts", code.Close)
	var packed bytes.Buffer
	zw := zip.NewWriter(&packed)
	f, err := zw.Create("app.py")
	must(err)
	_, err = f.Write([]byte(handler))
	must(err)
	must(zw.Close())
	stored, err := code.PutZip(context.Background(), &packed)
	must(err)
	h.digest = string(stored.Digest)
	driver, err := container.New(container.Options{StateDir: filepath.Join(dir, "sandboxes"), Init: init})
	if err != nil {
		t.Skipf("no sandboxes on this machine: %v", err)
	}
	closing("driver", driver.Close)
	if _, err := driver.Reap(context.Background()); err != nil {
		t.Fatal(err)
	}
	h.Worker, err = worker.New(worker.Options{
		Driver: driver, Code: code, Runtimes: catalog{known, clients}, Credentials: workertest.Credentials{}, Logs: h.logs,
		Log: slog.New(slog.NewTextHandler(h.told, nil)),
	})
	must(err)
	closing("worker", h.Close)
	return h
}

func (h *pythonHost) function() *record.Function {
	fn := workertest.Function("f")
	fn.Runtime, fn.Artifact, fn.TimeoutS, fn.MemoryMiB = h.runtime, h.digest, 5, 128
	return fn
}

func TestPythonInSandboxes(t *testing.T) {
	h := newPythonHost(t, pythonHandler)
	do := func(e *worker.Environment, what string) worker.Result {
		t.Helper()
		return e.Invoke(invocation(fmt.Sprintf(`{"do":%q}`, what)))
	}
	begin := func() *worker.Environment {
		t.Helper()
		e, err := h.Start(context.Background(), worker.StartSpec{Function: h.function()})
		if err != nil {
			t.Fatal(err)
		}
		if e.InitFailed() {
			t.Fatalf("INIT failed: %s", h.logs.Text())
		}
		return e
	}
	const runtimeExit = `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited with error: `

	t.Run("answers", func(t *testing.T) {
		e := begin()
		defer e.Destroy()
		var pids []int
		for range 2 {
			var out struct {
				Do, Memory string
				PID        int
			}
			res := do(e, "x")
			if err := json.Unmarshal(res.Payload, &out); err != nil || out.Do != "x" || out.Memory != "128" || res.FunctionError != "" || !res.Reusable {
				t.Fatalf("%v %s %+v", err, res.Payload, res)
			}
			pids = append(pids, out.PID)
			if !strings.Contains(string(res.LogTail), "\ndoing x\nEND") {
				t.Errorf("tail %q", res.LogTail)
			}
		}
		if pids[0] != pids[1] {
			t.Error("the second invoke met another process")
		}
		for deadline := time.Now().Add(10 * time.Second); !e.Frozen(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("never frozen")
			}
		}
		if res := do(e, "x"); res.FunctionError != "" {
			t.Errorf("after a freeze: %s", res.Payload)
		}
		used := regexp.MustCompile(`Max Memory Used: (\d+) MB`).FindStringSubmatch(h.logs.Text())
		if used == nil || used[1] == "0" || used[1] == "128" {
			t.Errorf("memory used %v", used)
		}
	})
	for what, check := range map[string]func(worker.Result) error{
		"raise": func(r worker.Result) error {
			if !strings.Contains(string(r.Payload), `"errorMessage": "oops", "errorType": "ValueError"`) || !r.Reusable {
				return errors.New("not the handler's error")
			}
			return nil
		},
		"exit": func(r worker.Result) error { return payloadIs(r, runtimeExit+`exit status 3"}`) },
		"segv": func(r worker.Result) error {
			return payloadIs(r, runtimeExit+`signal: segmentation fault"}`)
		},
		"oom": func(r worker.Result) error {
			return payloadIs(r, `{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: `+requestID+` Error: Runtime exited with error: signal: killed"}`)
		},
		"sleep": func(r worker.Result) error {
			return payloadIs(r, `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: `+requestID+` Error: Task timed out after 5.00 seconds"}`)
		},
		"big": func(r worker.Result) error {
			if string(r.Payload) != `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}` {
				return errors.New("not the bound's error")
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			e := begin()
			defer e.Destroy()
			res := do(e, what)
			if err := check(res); err != nil || res.FunctionError != "Unhandled" {
				t.Errorf("%v: %.300s\n%s", err, res.Payload, res.LogTail)
			}
			if !strings.Contains(string(res.LogTail), "doing "+what+"\n") {
				t.Errorf("tail %q", res.LogTail)
			}
		})
	}
}

func payloadIs(r worker.Result, want string) error {
	if string(r.Payload) != want {
		return fmt.Errorf("want %s", want)
	}
	if r.Reusable {
		return errors.New("it is said to be reusable")
	}
	return nil
}

func TestPythonImportError(t *testing.T) {
	h := newPythonHost(t, "import nosuchmodule\n")
	e, err := h.Start(context.Background(), worker.StartSpec{Function: h.function()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Destroy()
	res := e.Invoke(invocation("{}"))
	if !strings.Contains(string(res.Payload), "Runtime.ImportModuleError") || res.FunctionError != "Unhandled" {
		t.Errorf("%s", res.Payload)
	}
	if n := strings.Count(h.logs.Text(), "INIT_REPORT"); n != 2 {
		t.Errorf("%d INIT_REPORT lines:\n%s", n, h.logs.Text())
	}
}

// BenchmarkPythonWarm is a warm invoke of a real Python function.
func BenchmarkPythonWarm(b *testing.B) {
	h := newPythonHost(b, "def handler(e, c): return e\n")
	fn := h.function()
	fn.MemoryMiB = 1769 // a whole processor
	e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
	if err != nil {
		b.Fatal(err)
	}
	in := invocation(`{"a":1}`)
	in.WantTail = false
	b.ReportAllocs()
	for b.Loop() {
		if res := e.Invoke(in); res.FunctionError != "" {
			b.Fatal(string(res.Payload))
		}
	}
}

// BenchmarkPythonCold is an environment made, with INIT, from a parked sandbox.
func BenchmarkPythonCold(b *testing.B) {
	h := newPythonHost(b, "def handler(e, c): return e\n")
	fn := h.function()
	fn.MemoryMiB = 1769
	for b.Loop() {
		e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		e.Destroy()
		b.StartTimer()
	}
}

package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a worker with stand-ins around it.
type host struct {
	*worker.Worker
	driver *workertest.Driver
	logs   *workertest.Logs
	code   *workertest.Code
	meter  meter
}

type meter chan worker.Metered

func (m meter) Invoked(v worker.Metered) { m <- v }

func newHost(t *testing.T, main workertest.Main, change func(*worker.Options)) *host {
	t.Helper()
	h := &host{driver: &workertest.Driver{Main: main}, logs: &workertest.Logs{}, code: &workertest.Code{}, meter: make(meter, 100)}
	opts := worker.Options{
		Driver: h.driver, Code: h.code, Runtimes: workertest.Runtimes{}, Credentials: workertest.Credentials{},
		Logs: h.logs, Meter: h.meter,
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if h.Worker, err = worker.New(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if live, _, _, _, _ := h.driver.Counts(); live != 0 {
			t.Errorf("%d sandboxes are left", live)
		}
		if n := h.code.Held(); n != 0 {
			t.Errorf("%d packages are still held", n)
		}
	})
	return h
}

func (h *host) start(t *testing.T, fn *record.Function) *worker.Environment {
	t.Helper()
	e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const requestID = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"

func invocation(payload string) *worker.Invocation {
	return &worker.Invocation{RequestID: requestID, FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f", Payload: []byte(payload), WantTail: true}
}

func echo(p *workertest.Proc, ev *workertest.Event) workertest.Answer {
	fmt.Fprintf(p.Stdout, "got %s\n", ev.Payload)
	return workertest.Answer{Payload: ev.Payload}
}

// normal replaces what differs from run to run.
func normal(lines []string) []string {
	out := slices.Clone(lines)
	for i := range out {
		out[i] = regexp.MustCompile(`\d+\.\d\d ms`).ReplaceAllString(out[i], "N ms")
		out[i] = regexp.MustCompile(`Billed Duration: \d+ ms`).ReplaceAllString(out[i], "Billed Duration: N ms")
		out[i] = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ`).ReplaceAllString(out[i], "TIME")
	}
	return out
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if got := normal(got); !slices.Equal(got, want) {
		t.Errorf("log lines:\n%q\nwant:\n%q", got, want)
	}
}

const (
	lineInitStart = "INIT_START Runtime Version: python:3.13.v1\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:0123\n"
	lineStart     = "START RequestId: " + requestID + " Version: $LATEST\n"
	lineEnd       = "END RequestId: " + requestID + "\n"
	lineReport    = "REPORT RequestId: " + requestID + "\tDuration: N ms\tBilled Duration: N ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t"
)

func TestInvokeColdAndWarm(t *testing.T) {
	h := newHost(t, workertest.Runtime(echo), nil)
	e := h.start(t, workertest.Function("f"))
	first := e.Invoke(invocation(`{"a":1}`))
	if string(first.Payload) != `{"a":1}` || first.FunctionError != "" || !first.Reusable {
		t.Fatalf("first invoke: %+v", first)
	}
	second := e.Invoke(invocation(`2`))
	wantLines(t, h.logs.Messages(),
		lineInitStart,
		lineStart, "got {\"a\":1}\n", lineEnd, lineReport+"Init Duration: N ms\t\n",
		lineStart, "got 2\n", lineEnd, lineReport+"\n")
	wantLines(t, []string{string(second.LogTail)}, lineStart+"got 2\n"+lineEnd+lineReport+"\n")
	m := <-h.meter
	if m.Init <= 0 || m.Billed < m.Duration+m.Init || m.Billed%time.Millisecond != 0 || m.MaxMemoryMiB != 36 || m.Status != worker.StatusSuccess {
		t.Errorf("metered: %+v", m)
	}
	stream := h.logs.Stream()
	if stream.Group != "/aws/lambda/f" || !regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(stream.Stream) {
		t.Errorf("stream %+v", stream)
	}
}

func TestFailures(t *testing.T) {
	oom := sandbox.Exit{Signal: syscall.SIGKILL, OOM: true}
	for name, tc := range map[string]struct {
		handler workertest.Handler
		payload string
		lines   []string // between START and END
		status  string   // after lineReport
	}{
		"handler error": {
			handler: func(*workertest.Proc, *workertest.Event) workertest.Answer {
				return workertest.Answer{Payload: []byte(`{"errorMessage":"no"}`), ErrorType: "Function.Oops"}
			},
			payload: `{"errorMessage":"no"}`,
		},
		"exit 0": {
			handler: func(*workertest.Proc, *workertest.Event) workertest.Answer {
				return workertest.Answer{Exit: &sandbox.Exit{}}
			},
			payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited without providing a reason"}`,
			lines:   []string{"RequestId: " + requestID + " Error: Runtime exited without providing a reason\nRuntime.ExitError\n"},
			status:  "Status: error\tError Type: Runtime.ExitError",
		},
		"exit 127 with last words": {
			handler: func(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
				io.WriteString(p.Stdout, "aargh\nno newline")
				return workertest.Answer{Exit: &sandbox.Exit{Code: 127}}
			},
			payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited with error: exit status 127"}`,
			lines:   []string{"aargh\n", "no newline", "RequestId: " + requestID + " Error: Runtime exited with error: exit status 127\nRuntime.ExitError\n"},
			status:  "Status: error\tError Type: Runtime.ExitError",
		},
		"segmentation fault": {
			handler: func(*workertest.Proc, *workertest.Event) workertest.Answer {
				return workertest.Answer{Exit: &sandbox.Exit{Signal: syscall.SIGSEGV}}
			},
			payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited with error: signal: segmentation fault"}`,
			lines:   []string{"RequestId: " + requestID + " Error: Runtime exited with error: signal: segmentation fault\nRuntime.ExitError\n"},
			status:  "Status: error\tError Type: Runtime.ExitError",
		},
		"out of memory": {
			handler: func(*workertest.Proc, *workertest.Event) workertest.Answer { return workertest.Answer{Exit: &oom} },
			payload: `{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited with error: signal: killed"}`,
			lines:   []string{"RequestId: " + requestID + " Error: Runtime exited with error: signal: killed\nRuntime.OutOfMemory\n"},
			status:  "Status: error\tError Type: Runtime.OutOfMemory",
		},
		"timeout": {
			handler: func(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
				io.WriteString(p.Stdout, "slow\n")
				return workertest.Answer{Hang: true}
			},
			payload: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + requestID + ` Error: Task timed out after 1.00 seconds"}`,
			lines:   []string{"slow\n", "TIME " + requestID + " Task timed out after 1.00 seconds\n\n"},
			status:  "Status: timeout",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, workertest.Runtime(tc.handler), nil)
			fn := workertest.Function("f")
			fn.TimeoutS = 1
			e := h.start(t, fn)
			res := e.Invoke(invocation("{}"))
			if string(res.Payload) != tc.payload || res.FunctionError != "Unhandled" {
				t.Errorf("answer %s %s\nwant %s", res.FunctionError, res.Payload, tc.payload)
			}
			if res.Reusable != (name == "handler error") {
				t.Errorf("reusable %v", res.Reusable)
			}
			rep := lineReport
			if name == "out of memory" {
				rep = strings.Replace(rep, "Used: 36", "Used: 128", 1)
			}
			want := append([]string{lineInitStart, lineStart}, tc.lines...)
			end := tc.status + "\n"
			want = append(want, lineEnd, rep+"Init Duration: N ms\t"+end)
			wantLines(t, h.logs.Messages(), want...)
			if !res.Reusable {
				e.Destroy()
				if after := e.Invoke(invocation("{}")); !after.Undelivered {
					t.Errorf("a destroyed environment answered %+v", after)
				}
			}
		})
	}
}

func TestInitFails(t *testing.T) {
	report := func(phase, status string) string {
		return "INIT_REPORT Init Duration: N ms\tPhase: " + phase + "\tStatus: " + status + "\n"
	}
	importError := `{"errorMessage":"Unable to import module 'app'","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}`
	for name, tc := range map[string]struct {
		main    workertest.Main
		payload string
		lines   []string
	}{
		"import error": {
			main: func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
				c, err := workertest.Dial(ctx, p.API)
				if err != nil {
					return sandbox.Exit{Code: 9}
				}
				defer c.Close()
				io.WriteString(p.Stdout, "[ERROR] x\n")
				if c.InitError("Runtime.ImportModuleError", []byte(importError)) != nil {
					return sandbox.Exit{Code: 9}
				}
				return sandbox.Exit{Code: 1}
			},
			payload: importError,
			lines: []string{
				"[ERROR] x\n", report("init", "error\tError Type: Runtime.ImportModuleError"),
				"[ERROR] x\n", report("invoke", "error\tError Type: Runtime.ImportModuleError"),
				lineStart, lineEnd, lineReport + "Status: error\tError Type: Runtime.ImportModuleError\n",
			},
		},
		"exit": {
			main:    func(context.Context, *workertest.Proc) sandbox.Exit { return sandbox.Exit{Code: 3} },
			payload: `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited with error: exit status 3"}`,
			lines: []string{
				report("init", "error\tError Type: Runtime.ExitError"),
				report("invoke", "error\tError Type: Runtime.ExitError"),
				lineStart, "RequestId: " + requestID + " Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n",
				lineEnd, lineReport + "Status: error\tError Type: Runtime.ExitError\n",
			},
		},
		"timeout": {
			main: func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
				<-ctx.Done()
				return sandbox.Exit{}
			},
			payload: `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ` + requestID + ` Error: Task timed out after 1.00 seconds"}`,
			lines: []string{
				report("init", "timeout"), report("invoke", "timeout"),
				lineStart, "TIME " + requestID + " Task timed out after 1.00 seconds\n\n",
				lineEnd, lineReport + "Status: timeout\n",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, tc.main, func(o *worker.Options) { o.InitTimeout = 200 * time.Millisecond })
			fn := workertest.Function("f")
			fn.TimeoutS = 1
			e := h.start(t, fn)
			if !e.InitFailed() {
				t.Fatal("INIT did not fail")
			}
			res := e.Invoke(invocation("{}"))
			if string(res.Payload) != tc.payload || res.FunctionError != "Unhandled" || res.Reusable {
				t.Errorf("answer %+v %s", res, res.Payload)
			}
			wantLines(t, h.logs.Messages(), append([]string{lineInitStart}, tc.lines...)...)
		})
	}
}

func TestInitAgainSucceeds(t *testing.T) {
	times := make(chan int, 2)
	times <- 1
	times <- 2
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		if <-times == 1 {
			<-ctx.Done()
			return sandbox.Exit{}
		}
		return workertest.Runtime(echo)(ctx, p)
	}, func(o *worker.Options) { o.InitTimeout = 50 * time.Millisecond })
	e := h.start(t, workertest.Function("f"))
	res := e.Invoke(invocation("1"))
	if string(res.Payload) != "1" || !res.Reusable || e.InitFailed() {
		t.Fatalf("answer %+v", res)
	}
	wantLines(t, h.logs.Messages(), lineInitStart, "INIT_REPORT Init Duration: N ms\tPhase: init\tStatus: timeout\n",
		lineStart, "got 1\n", lineEnd, lineReport+"\n")
}

func TestUndeliveredWhenRuntimeEndedBetweenInvokes(t *testing.T) {
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		c, err := workertest.Dial(ctx, p.API)
		if err != nil {
			return sandbox.Exit{Code: 9}
		}
		defer c.Close()
		ev, err := c.Next()
		if err != nil {
			return sandbox.Exit{Code: 8}
		}
		c.Answer(ev.RequestID, workertest.Answer{Payload: []byte("1")})
		return sandbox.Exit{Code: 1}
	}, nil)
	e := h.start(t, workertest.Function("f"))
	if res := e.Invoke(invocation("{}")); string(res.Payload) != "1" {
		t.Fatalf("answer %+v", res)
	}
	deadline := time.Now().Add(5 * time.Second)
	for !e.Invoke(invocation("{}")).Undelivered {
		if time.Now().After(deadline) {
			t.Fatal("a dead environment keeps taking invokes")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNotReadyWhileRuntimeWorksOn(t *testing.T) {
	workOn := make(chan struct{})
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		c, err := workertest.Dial(ctx, p.API)
		if err != nil {
			return sandbox.Exit{Code: 9}
		}
		defer c.Close()
		for {
			ev, err := c.Next()
			if err != nil || c.Answer(ev.RequestID, workertest.Answer{Payload: []byte("1")}) != nil {
				return sandbox.Exit{Code: 8}
			}
			<-workOn
		}
	}, nil)
	e := h.start(t, workertest.Function("f"))
	if res := e.Invoke(invocation("{}")); string(res.Payload) != "1" || !res.Reusable {
		t.Fatalf("answer %+v", res)
	}
	lines := len(h.logs.Messages())
	if res := e.Invoke(invocation("{}")); !res.NotReady {
		t.Fatalf("answer %+v", res)
	}
	if n := len(h.logs.Messages()); n != lines {
		t.Errorf("%d lines for an invoke that did not run", n-lines)
	}
	time.Sleep(300 * time.Millisecond) // longer than an environment stays thawed that is ready
	if _, _, _, frozen, _ := h.driver.Counts(); frozen != 0 {
		t.Error("frozen on its way to the next invoke")
	}
	close(workOn)
	if !e.Settle() {
		t.Fatal("not settled")
	}
	if res := e.Invoke(invocation("{}")); string(res.Payload) != "1" {
		t.Errorf("answer %+v", res)
	}
}

func TestFreezeAndThaw(t *testing.T) {
	h := newHost(t, workertest.Runtime(echo), nil)
	e := h.start(t, workertest.Function("f"))
	for i := range 2 {
		if res := e.Invoke(invocation("{}")); res.FunctionError != "" {
			t.Fatalf("answer %+v", res)
		}
		deadline := time.Now().Add(5 * time.Second)
		for {
			_, _, _, frozen, thawed := h.driver.Counts()
			if thawed != i {
				t.Fatalf("thawed %d times before invoke %d", thawed, i+2)
			}
			if frozen == i+1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("never frozen")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func TestEnvironmentVariables(t *testing.T) {
	h := newHost(t, workertest.Runtime(func(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
		b, _ := json.Marshal(p.Spec)
		return workertest.Answer{Payload: b}
	}), nil)
	fn := workertest.Function("f")
	fn.MemoryMiB = 1769
	fn.Environment = map[string]string{"GREETING": "hi", "TZ": "Europe/Berlin", "PATH": "/opt/mine", "AWS_SECRET_ACCESS_KEY": "stolen"}
	fn.Logging = record.Logging{Format: "JSON", Group: "/shared/group", ApplicationLevel: "DEBUG", SystemLevel: "INFO"}
	var spec sandbox.StartSpec
	if err := json.Unmarshal(h.start(t, fn).Invoke(invocation("{}")).Payload, &spec); err != nil {
		t.Fatal(err)
	}
	if spec.Owner != "000000000000" || spec.CodeDir != "/code" || spec.Limits.MemoryMiB != 1769 || spec.Limits.CPUMilli != 1000 || spec.Limits.TmpMiB != 512 {
		t.Errorf("spec %+v", spec)
	}
	vars := map[string]string{}
	for _, v := range spec.Env {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	for name, want := range map[string]string{
		"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "arn:aws:iam::000000000000:role/r/arn:aws:lambda:us-east-1:000000000000:function:f",
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/shared/group", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG", "_HANDLER": "app.handler",
		"LAMBDA_TASK_ROOT": "/var/task", "PYTHONPATH": "/var/runtime", "GREETING": "hi", "TZ": "Europe/Berlin", "PATH": "/opt/mine", "LANG": "en_US.UTF-8",
	} {
		if vars[name] != want {
			t.Errorf("%s is %q, want %q", name, vars[name], want)
		}
	}
	if s := h.logs.Stream().Stream; !regexp.MustCompile(`^\d{4}/\d\d/\d\d/f\[\$LATEST\][0-9a-f]{32}$`).MatchString(s) {
		t.Errorf("stream %s", s)
	}
}

func TestJSONLogs(t *testing.T) {
	say := func(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
		io.WriteString(p.Stdout, "{\"timestamp\":\"2024-11-02T16:51:31.587Z\",\"level\":\"DEBUG\",\"message\":\"quiet\"}\n{\"level\":\"error\",\"message\":\"loud\"}\nplain\n")
		return workertest.Answer{Payload: []byte("1")}
	}
	for level, want := range map[string][]string{
		"DEBUG": {"platform.initStart", "platform.initRuntimeDone", "platform.initReport", "platform.start", "loud", "plain", "platform.runtimeDone", "platform.report"},
		"INFO":  {"platform.initStart", "platform.start", "loud", "plain", "platform.report"},
		"WARN":  {"loud", "plain"},
	} {
		t.Run(level, func(t *testing.T) {
			h := newHost(t, workertest.Runtime(say), nil)
			fn := workertest.Function("f")
			fn.Logging = record.Logging{Format: "JSON", Group: "/aws/lambda/f", ApplicationLevel: "INFO", SystemLevel: level}
			res := h.start(t, fn).Invoke(invocation("{}"))
			var got []string
			for _, m := range h.logs.Messages() {
				var ev struct{ Type, Message string }
				if json.Unmarshal([]byte(m), &ev) != nil {
					got = append(got, strings.TrimSpace(m))
				} else {
					got = append(got, ev.Type+ev.Message)
				}
				if ev.Type == "platform.report" && !regexp.MustCompile(`^\{"time":"[^"]+Z","type":"platform\.report","record":\{"requestId":"`+requestID+`","metrics":\{"durationMs":[\d.]+,"billedDurationMs":\d+,"memorySizeMB":128,"maxMemoryUsedMB":36,"initDurationMs":[\d.]+\},"status":"success"\}\}$`).MatchString(m) {
					t.Errorf("report %s", m)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("events %q, want %q", got, want)
			}
			if !strings.Contains(string(res.LogTail), "loud") {
				t.Errorf("tail %q", res.LogTail)
			}
		})
	}
}

func TestLongOutput(t *testing.T) {
	const n = 1 << 20
	h := newHost(t, workertest.Runtime(func(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
		io.WriteString(p.Stdout, "a\r\n\n"+strings.Repeat("x", n)+"\nlast")
		return workertest.Answer{Payload: []byte("1")}
	}), nil)
	res := h.start(t, workertest.Function("f")).Invoke(invocation("{}"))
	lines := h.logs.Messages()
	lines = lines[2 : len(lines)-2]
	if lines[0] != "a\r\n" || lines[1] != "\n" || lines[len(lines)-1] != "last" {
		t.Errorf("lines %.20q", lines)
	}
	total := 0
	for _, l := range lines {
		if len(l) > 256<<10 {
			t.Errorf("an event of %d bytes", len(l))
		}
		total += strings.Count(l, "x")
	}
	if total != n {
		t.Errorf("%d of %d bytes logged", total, n)
	}
	if len(res.LogTail) != 4096 {
		t.Errorf("tail of %d bytes", len(res.LogTail))
	}
}

// brokenSink refuses everything.
type brokenSink struct{ workertest.Discard }

func (brokenSink) Append(context.Context, telemetry.LogStreamID, ...telemetry.LogEvent) error {
	return io.ErrClosedPipe
}

func TestInvokesGoOnWithoutLogs(t *testing.T) {
	h := newHost(t, workertest.Runtime(echo), func(o *worker.Options) { o.Logs = brokenSink{} })
	e := h.start(t, workertest.Function("f"))
	for range 3 {
		if res := e.Invoke(invocation("1")); string(res.Payload) != "1" || !strings.HasPrefix(string(res.LogTail), lineStart) {
			t.Errorf("answer %+v", res)
		}
	}
}

func TestTracing(t *testing.T) {
	var seen string
	h := newHost(t, workertest.Runtime(func(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
		seen = ev.Header.Get("Lambda-Runtime-Trace-Id")
		return workertest.Answer{Payload: []byte("1")}
	}), nil)
	in := invocation("{}")
	in.TraceID = "Root=1-5e34a614-10bdxmplf1fb44f07bc535a1;Parent=53995c3f42cd8ad8;Sampled=1"
	h.start(t, workertest.Function("f")).Invoke(in)
	if seen != in.TraceID {
		t.Errorf("the runtime saw %q", seen)
	}
	if !regexp.MustCompile("\t\nXRAY TraceId: 1-5e34a614-10bdxmplf1fb44f07bc535a1\tSegmentId: [0-9a-f]{16}\tSampled: true\t\n$").MatchString(h.logs.Text()) {
		t.Errorf("log %q", h.logs.Text())
	}
}

func TestStartFails(t *testing.T) {
	for name, change := range map[string]func(*host, *worker.Options){
		"park":    func(h *host, _ *worker.Options) { h.driver.ParkErr = func() error { return io.ErrNoProgress } },
		"start":   func(h *host, _ *worker.Options) { h.driver.StartErr = func() error { return io.ErrNoProgress } },
		"code":    func(h *host, _ *worker.Options) { h.code.Err = io.ErrNoProgress },
		"runtime": func(_ *host, o *worker.Options) { o.Runtimes = workertest.Runtimes{Err: io.ErrNoProgress} },
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{driver: &workertest.Driver{Main: workertest.Runtime(echo)}, code: &workertest.Code{}}
			opts := worker.Options{Driver: h.driver, Code: h.code, Runtimes: workertest.Runtimes{}, Credentials: workertest.Credentials{}, Logs: workertest.Discard{}}
			change(h, &opts)
			w, err := worker.New(opts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Start(context.Background(), worker.StartSpec{Function: workertest.Function("f")}); err == nil {
				t.Error("started")
			}
			if n := w.Environments(); n != 0 {
				t.Errorf("%d environments", n)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if live, _, _, _, _ := h.driver.Counts(); live != 0 || h.code.Held() != 0 {
				t.Errorf("%d sandboxes and %d packages are left", live, h.code.Held())
			}
		})
	}
}

func TestProgramIsNotExecuted(t *testing.T) {
	h := newHost(t, workertest.Runtime(echo), nil)
	h.driver.StartErr = func() error {
		return fmt.Errorf("sandbox: %w", &sandbox.ExecError{Path: "/var/task/bootstrap", Err: syscall.ENOEXEC})
	}
	e := h.start(t, workertest.Function("f"))
	defer e.Destroy()
	res := e.Invoke(invocation("{}"))
	const text = "RequestId: " + requestID + " Error: fork/exec /var/task/bootstrap: exec format error"
	if want := `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"` + text + `"}`; string(res.Payload) != want || res.FunctionError != "Unhandled" || res.Reusable {
		t.Errorf("answer %+v %s", res, res.Payload)
	}
	const status = "Status: error\tError Type: Runtime.InvalidEntrypoint\n"
	wantLines(t, h.logs.Messages(), lineInitStart,
		"INIT_REPORT Init Duration: N ms\tPhase: init\t"+status, "INIT_REPORT Init Duration: N ms\tPhase: invoke\t"+status,
		lineStart, text+"\nRuntime.InvalidEntrypoint\n", lineEnd, strings.Replace(lineReport, "36 MB", "0 MB", 1)+status) // nothing ran
}

func TestUsableUntil(t *testing.T) {
	h := newHost(t, workertest.Runtime(echo), func(o *worker.Options) { o.CredentialsTTL = time.Hour })
	fn := workertest.Function("f")
	fn.TimeoutS = 900
	left := time.Until(h.start(t, fn).UsableUntil())
	if left > 44*time.Minute || left < 43*time.Minute {
		t.Errorf("usable for %v", left)
	}
}

func TestParkedAheadOfNeed(t *testing.T) {
	h := newHost(t, workertest.Runtime(echo), nil)
	if err := h.Prepare(context.Background(), workertest.Function("f"), ""); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		if _, parked, _, _, _ := h.driver.Counts(); parked >= 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was parked")
		}
		time.Sleep(time.Millisecond)
	}
	h.start(t, workertest.Function("f"))
}

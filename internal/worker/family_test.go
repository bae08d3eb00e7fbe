package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// layerCode has one layer, which has extensions.
type layerCode struct{ layer string }

func (layerCode) Hold(artifact.Digest) func() { return func() {} }
func (c layerCode) Dir(_ context.Context, d artifact.Digest) (string, error) {
	if d == "layer" {
		return c.layer, nil
	}
	return "/code", nil
}

// newExtendedHost is a host whose functions have a layer with the programs but the runtime, "", as extensions.
func newExtendedHost(t *testing.T, programs map[string]workertest.Main, change func(*worker.Options)) *host {
	t.Helper()
	layer := t.TempDir()
	for name := range programs {
		if name == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(layer, "extensions"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(layer, "extensions", name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return newHost(t, workertest.Family(programs), func(o *worker.Options) {
		o.Code, o.Extender = layerCode{layer}, "/lambdad-init"
		if change != nil {
			change(o)
		}
	})
}

func extended(timeoutS int) *record.Function {
	fn := workertest.Function("f")
	fn.Layers = []record.Layer{{ARN: "arn:layer", Artifact: "layer"}}
	fn.TimeoutS = timeoutS
	return fn
}

// obedient prints each event's type and ends at SHUTDOWN.
func obedient(p *workertest.Proc, _ *workertest.Client, _, event string) *sandbox.Exit {
	if strings.Contains(event, "SHUTDOWN") {
		_, reason, _ := strings.Cut(event, `"shutdownReason":`)
		fmt.Fprintln(p.Stdout, "SHUTDOWN", reason)
		return &sandbox.Exit{}
	}
	return nil
}

const both = `["INVOKE","SHUTDOWN"]`

func TestExtensionsAreTold(t *testing.T) {
	seen := make(chan string, 10)
	h := newExtendedHost(t, map[string]workertest.Main{
		"": workertest.Runtime(echo),
		"probe": workertest.Extension("probe", both, func(p *workertest.Proc, c *workertest.Client, id, event string) *sandbox.Exit {
			seen <- event
			return obedient(p, c, id, event)
		}),
	}, nil)
	e := h.start(t, extended(3))
	res := e.Invoke(invocation("1"))
	if string(res.Payload) != "1" || res.FunctionError != "" || res.Unsettled || !res.Reusable || !strings.Contains(string(res.LogTail), "REPORT") {
		t.Fatalf("%+v", res)
	}
	if event := <-seen; !strings.Contains(event, requestID) || !strings.Contains(event, `"invokedFunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:f"`) {
		t.Error(event)
	}
	e.Destroy()
	wantLines(t, h.logs.Messages(), lineInitStart, "EXTENSION\tName: probe\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n", lineStart, "got 1\n", lineEnd, lineReport+"Init Duration: N ms\t\n", "SHUTDOWN \"spindown\"}\n")
	if _, _, _, frozen, _ := h.driver.Counts(); frozen != 0 {
		t.Log("it was frozen meanwhile")
	}
}

// TestAnswerBeforeExtensions: the answer does not wait, the environment does.
func TestAnswerBeforeExtensions(t *testing.T) {
	goOn := make(chan struct{})
	h := newExtendedHost(t, map[string]workertest.Main{
		"": workertest.Runtime(echo),
		"slow": workertest.Extension("slow", both, func(p *workertest.Proc, c *workertest.Client, id, event string) *sandbox.Exit {
			if x := obedient(p, c, id, event); x != nil {
				return x
			}
			<-goOn
			return nil
		}),
	}, nil)
	e := h.start(t, extended(60))
	in := invocation("1")
	in.WantTail = false
	if res := e.Invoke(in); string(res.Payload) != "1" || !res.Unsettled {
		t.Fatalf("%+v", res)
	}
	settled := make(chan bool, 1)
	go func() { settled <- e.Settle() }()
	select {
	case <-settled:
		t.Fatal("free while the extension works")
	case <-time.After(20 * time.Millisecond):
	}
	goOn <- struct{}{}
	if !<-settled {
		t.Fatal("not to be used again")
	}
	if m := <-h.meter; m.Duration < 20*time.Millisecond || m.Billed < m.Duration {
		t.Errorf("the extension's time is not counted: %+v", m)
	}
	if res := e.Invoke(in); string(res.Payload) != "1" || !res.Unsettled { // Destroy comes while the extension works
		t.Fatalf("%+v", res)
	}
	close(goOn)
	e.Destroy()
	<-h.meter
}

func TestExtensionFailures(t *testing.T) {
	exit := func(code int) workertest.Main {
		return func(context.Context, *workertest.Proc) sandbox.Exit { return sandbox.Exit{Code: code} }
	}
	failing := func(path, errorType string, code int) workertest.Main {
		return func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
			c, err := workertest.Dial(ctx, p.API)
			if err != nil {
				return sandbox.Exit{Code: 99}
			}
			defer c.Close()
			id, err := c.Register("probe", both)
			if err == nil {
				err = c.ExtensionError(path, id, errorType)
			}
			if err != nil {
				return sandbox.Exit{Code: 98}
			}
			return sandbox.Exit{Code: code}
		}
	}
	for name, tc := range map[string]struct {
		probe                  workertest.Main
		errorType, text, state string
	}{
		"crash":         {exit(3), "Extension.Crash", "exit status 3", "Started\tEvents: []"},
		"ends":          {exit(0), "Extension.Crash", "exit code 0", "Started\tEvents: []"},
		"init error":    {failing("init/error", "Extension.Mine", 1), "Extension.InitError", "exit status 1", "InitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.Mine"},
		"exit error":    {failing("exit/error", "Extension.Mine", 0), "Extension.ExitError", "exit code 0", "ExitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.Mine"},
		"not there":     {nil, "Extension.LaunchError", "fork/exec /opt/extensions/probe: no such file or directory", "LaunchError\tEvents: []\tError Type: UnknownError"},
		"without right": {workertest.Extension("other", both, obedient), "Extension.Crash", "exit status 1", "Started\tEvents: []"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newExtendedHost(t, map[string]workertest.Main{"": workertest.Runtime(echo), "probe": tc.probe}, nil)
			e := h.start(t, extended(3))
			if !e.InitFailed() {
				t.Fatal("INIT went well")
			}
			if _, errorType := e.InitFailure(); errorType != tc.errorType {
				t.Error(errorType)
			}
			res := e.Invoke(invocation("1"))
			if want := `{"errorType":"` + tc.errorType + `","errorMessage":"RequestId: ` + requestID + ` Error: ` + tc.text + `"}`; string(res.Payload) != want || res.FunctionError != "Unhandled" || res.Reusable || res.Unsettled {
				t.Errorf("%s %+v", res.Payload, res)
			}
			lines := h.logs.Messages()
			if n := strings.Count(strings.Join(lines, ""), "EXTENSION\tName: probe\tState: "+tc.state+"\n"); n != 2 { // of both INITs
				t.Errorf("%d times %s in %q", n, tc.state, lines)
			}
			if !slices.Contains(lines, "RequestId: "+requestID+" Error: "+tc.text+"\n"+tc.errorType+"\n") {
				t.Errorf("%q", lines)
			}
		})
	}
}

// TestRuntimeBesideExtensions: a runtime that fails is told of as without extensions, which are told of it.
func TestRuntimeBesideExtensions(t *testing.T) {
	for name, tc := range map[string]struct {
		runtime         workertest.Main
		errorType, text string
	}{
		"not there": {nil, "Runtime.InvalidEntrypoint", "fork/exec /bootstrap: no such file or directory"},
		"ends":      {func(context.Context, *workertest.Proc) sandbox.Exit { return sandbox.Exit{Code: 7} }, "Runtime.ExitError", "Runtime exited with error: exit status 7"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newExtendedHost(t, map[string]workertest.Main{"": tc.runtime, "probe": workertest.Extension("probe", both, obedient)}, nil)
			e := h.start(t, extended(3))
			if _, errorType := e.InitFailure(); errorType != tc.errorType {
				t.Error(errorType)
			}
			if res := e.Invoke(invocation("1")); !strings.Contains(string(res.Payload), tc.text) {
				t.Errorf("%s", res.Payload)
			}
			e.Destroy()
			if n := strings.Count(strings.Join(h.logs.Messages(), ""), `SHUTDOWN "failure"`); n != 2 {
				t.Errorf("told %d times of the end: %q", n, h.logs.Messages())
			}
		})
	}
}

// TestExtensionEndsTheInvoke: with the extension's own words, unless the answer is out already.
func TestExtensionEndsTheInvoke(t *testing.T) {
	for name, answers := range map[string]bool{"before the answer": false, "after the answer": true} {
		t.Run(name, func(t *testing.T) {
			goOn := make(chan struct{})
			h := newExtendedHost(t, map[string]workertest.Main{
				"": workertest.Runtime(func(p *workertest.Proc, ev *workertest.Event) workertest.Answer {
					return workertest.Answer{Payload: ev.Payload, Hang: !answers}
				}),
				"other": workertest.Extension("other", both, obedient),
				"probe": workertest.Extension("probe", both, func(*workertest.Proc, *workertest.Client, string, string) *sandbox.Exit {
					<-goOn
					return &sandbox.Exit{Code: 4}
				}),
			}, nil)
			e := h.start(t, extended(30))
			in := invocation("1")
			in.WantTail = false
			if !answers {
				close(goOn)
			}
			res := e.Invoke(in)
			if answers {
				close(goOn)
				if string(res.Payload) != "1" || res.FunctionError != "" || e.Settle() {
					t.Errorf("%s", res.Payload)
				}
			} else if !strings.Contains(string(res.Payload), `"errorType":"Extension.Crash"`) || !strings.Contains(string(res.Payload), "Error: exit status 4") {
				t.Errorf("%s", res.Payload)
			}
			e.Destroy()
			lines := h.logs.Messages()
			if last := lines[len(lines)-1]; last != "SHUTDOWN \"failure\"}\n" {
				t.Errorf("%q", lines)
			}
			if !strings.Contains(strings.Join(lines, ""), "Status: error\tError Type: Extension.Crash") {
				t.Errorf("%q", lines)
			}
		})
	}
}

func TestTimeoutCoversExtensions(t *testing.T) {
	h := newExtendedHost(t, map[string]workertest.Main{
		"": workertest.Runtime(echo),
		"slow": workertest.Extension("slow", both, func(p *workertest.Proc, c *workertest.Client, id, event string) *sandbox.Exit {
			if x := obedient(p, c, id, event); x != nil {
				return x
			}
			time.Sleep(1100 * time.Millisecond)
			return nil
		}),
	}, nil)
	e := h.start(t, extended(1))
	if res := e.Invoke(invocation("1")); string(res.Payload) != "1" || res.FunctionError != "" || !strings.Contains(string(res.LogTail), "Task timed out after 1.00 seconds") || res.Reusable {
		t.Errorf("%+v", res)
	}
	e.Destroy()
	if lines := h.logs.Messages(); lines[len(lines)-1] != "SHUTDOWN \"timeout\"}\n" {
		t.Errorf("%q", lines)
	}
}

func TestTooManyExtensions(t *testing.T) {
	programs := map[string]workertest.Main{"": workertest.Runtime(echo)}
	for i := range 11 {
		programs[fmt.Sprintf("x%02d", i)] = workertest.Extension("x", both, obedient)
	}
	h := newExtendedHost(t, programs, nil)
	e := h.start(t, extended(3))
	if status, errorType := e.InitFailure(); status != worker.StatusFailure || errorType != "Extension.LaunchError" {
		t.Error(status, errorType)
	}
	if _, _, started, _, _ := h.driver.Counts(); started != 0 {
		t.Error("something was started")
	}
	if res := e.Invoke(invocation("1")); !strings.Contains(string(res.Payload), "Extension.LaunchError") {
		t.Errorf("%s", res.Payload)
	}
	if lines := h.logs.Messages(); !slices.Contains(lines, "EXTENSION\tName: x10\tState: LaunchError\tEvents: []\tError Type: TooManyExtensions\n") {
		t.Errorf("%q", lines)
	}
}

// TestExtensionsHoldINIT: it ends when all of them ask for an event, or in time.
func TestExtensionsHoldINIT(t *testing.T) {
	h := newExtendedHost(t, map[string]workertest.Main{
		"": workertest.Runtime(echo),
		"idle": func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
			c, err := workertest.Dial(ctx, p.API)
			if err != nil {
				return sandbox.Exit{Code: 1}
			}
			defer c.Close()
			if _, err := c.Register("idle", `[]`); err != nil {
				return sandbox.Exit{Code: 2}
			}
			<-ctx.Done()
			return sandbox.Exit{}
		},
	}, func(o *worker.Options) { o.InitTimeout = 100 * time.Millisecond })
	e := h.start(t, extended(1))
	if status, _ := e.InitFailure(); status != worker.StatusTimeout {
		t.Error(status)
	}
	if res := e.Invoke(invocation("1")); !strings.Contains(string(res.Payload), "Sandbox.Timedout") {
		t.Errorf("%s", res.Payload)
	}
	if lines := h.logs.Messages(); !slices.Contains(lines, "EXTENSION\tName: idle\tState: Registered\tEvents: []\n") {
		t.Errorf("%q", lines)
	}
}

// TestExtensionLeavesTheLimit: who does not end when told is killed with the sandbox.
func TestExtensionLeavesTheLimit(t *testing.T) {
	h := newExtendedHost(t, map[string]workertest.Main{
		"":     workertest.Runtime(echo),
		"deaf": workertest.Extension("deaf", `["SHUTDOWN"]`, func(*workertest.Proc, *workertest.Client, string, string) *sandbox.Exit { return nil }),
	}, nil)
	e := h.start(t, extended(3))
	began := time.Now()
	e.Destroy()
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it had %v of its two seconds", took)
	}
}

// TestExtendedTemplates: such functions have no template and take no runtime that was started ahead.
func TestExtendedTemplates(t *testing.T) {
	h := newExtendedHost(t, map[string]workertest.Main{"": workertest.Runtime(echo), "probe": workertest.Extension("probe", both, obedient)}, func(o *worker.Options) {
		o.Runtimes = workertest.Runtimes{Copies: true}
	})
	e := h.start(t, extended(3))
	defer e.Destroy()
	if _, templates, _ := h.driver.Ahead(); templates != 0 {
		t.Error("a template was made")
	}
	fn := extended(3)
	fn.Version, fn.SnapStart.ApplyOn = "1", "PublishedVersions"
	if out, err := h.Snapshot(context.Background(), worker.StartSpec{Function: fn}); err != nil || out.InitFailed || out.Without == nil || !strings.Contains(out.Without.Error(), "extensions") {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestInternalExtension: it holds the environment, and has no SHUTDOWN.
func TestInternalExtension(t *testing.T) {
	goOn := make(chan struct{})
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		c, err := workertest.Dial(ctx, p.API)
		if err != nil {
			return sandbox.Exit{Code: 1}
		}
		defer c.Close()
		id, err := c.Register("inner", `["INVOKE"]`)
		if err != nil {
			return sandbox.Exit{Code: 2}
		}
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			for {
				if _, err := c.NextEvent(id); err != nil {
					return
				}
				<-goOn
			}
		}()
		return workertest.Runtime(echo)(ctx, p)
	}, nil)
	e := h.start(t, workertest.Function("f"))
	in := invocation("1")
	in.WantTail = false
	if res := e.Invoke(in); string(res.Payload) != "1" || !res.Unsettled {
		t.Fatalf("%+v", res)
	}
	close(goOn)
	if !e.Settle() {
		t.Error("not to be used again")
	}
	e.Destroy()
	if lines := h.logs.Messages(); !slices.Contains(lines, "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]\n") {
		t.Errorf("%q", lines)
	}
}

func TestExtensionsInJSON(t *testing.T) {
	h := newExtendedHost(t, map[string]workertest.Main{"": workertest.Runtime(echo), "probe": workertest.Extension("probe", both, obedient), "quiet": workertest.Extension("quiet", `[]`, obedient)}, nil)
	fn := extended(3)
	fn.Logging.Format = "JSON"
	e := h.start(t, fn)
	e.Invoke(invocation("1"))
	e.Destroy()
	lines := strings.Join(h.logs.Messages(), "\n")
	for _, want := range []string{
		`"type":"platform.extension","record":{"name":"probe","state":"Ready","events":["INVOKE","SHUTDOWN"]}`,
		`"type":"platform.extension","record":{"name":"quiet","state":"Ready","events":[]}`,
		`"spans":[{"name":"extensionOverhead",`,
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %s in\n%s", want, lines)
		}
	}
}

// TestInternalExtensionFails: what it told names the end of its runtime, and there is no template of such a version.
func TestInternalExtensionFails(t *testing.T) {
	fails := true
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		c, err := workertest.Dial(ctx, p.API)
		if err != nil {
			return sandbox.Exit{Code: 9}
		}
		defer c.Close()
		id, err := c.Register("inner", `["INVOKE"]`)
		if err != nil {
			return sandbox.Exit{Code: 8}
		}
		if fails {
			if err := c.ExtensionError("init/error", id, "Extension.NoKey"); err != nil {
				return sandbox.Exit{Code: 7}
			}
			return sandbox.Exit{Code: 1}
		}
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			for _, err := c.NextEvent(id); err == nil; _, err = c.NextEvent(id) {
			}
		}()
		return workertest.Runtime(echo)(ctx, p)
	}, func(o *worker.Options) { o.Runtimes = workertest.Runtimes{Copies: true} })
	e := h.start(t, workertest.Function("f"))
	if _, errorType := e.InitFailure(); errorType != "Extension.InitError" {
		t.Error(errorType)
	}
	res := e.Invoke(invocation("1"))
	if want := `{"errorType":"Extension.InitError","errorMessage":"RequestId: ` + requestID + ` Error: Runtime exited with error: exit status 1"}`; string(res.Payload) != want {
		t.Errorf("%s", res.Payload)
	}
	e.Destroy()
	if lines := h.logs.Messages(); !slices.Contains(lines, "EXTENSION\tName: inner\tState: InitError\tEvents: [INVOKE]\tError Type: Extension.NoKey\n") {
		t.Errorf("%q", lines)
	}
	fails = false
	fn := workertest.Function("f")
	fn.Version, fn.SnapStart.ApplyOn = "1", "PublishedVersions"
	if out, err := h.Snapshot(context.Background(), worker.StartSpec{Function: fn}); err != nil || out.InitFailed || out.Without == nil || !strings.Contains(out.Without.Error(), "extensions") {
		t.Errorf("%+v, %v", out, err)
	}
}

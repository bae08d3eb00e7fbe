package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// tells answers with the program's environment variables, and how it came to be.
func tells(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
	b, _ := json.Marshal(append(slices.Clone(p.Spec.Env), "copy="+map[bool]string{true: "yes", false: "no"}[p.Copy]))
	return workertest.Answer{Payload: b}
}

// environmentOf invokes once and returns what the program says of itself.
func environmentOf(t *testing.T, e *worker.Environment) []string {
	t.Helper()
	var vars []string
	if err := json.Unmarshal(e.Invoke(invocation(`1`)).Payload, &vars); err != nil {
		t.Fatal(err)
	}
	return vars
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func (h *host) preloaded() int { n, _, _ := h.driver.Ahead(); return n }
func (h *host) templates() int { _, n, _ := h.driver.Ahead(); return n }
func (h *host) copies() int    { _, _, n := h.driver.Ahead(); return n }

func waiting(o *worker.Options) { o.Runtimes = workertest.Runtimes{Waits: true} }
func copied(o *worker.Options)  { o.Runtimes = workertest.Runtimes{Copies: true} }

func TestStartedRuntime(t *testing.T) {
	h := newHost(t, workertest.Runtime(tells), waiting)
	if err := h.Prepare(context.Background(), workertest.Function("f"), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is started ahead", func() bool { return h.preloaded() >= 2 })
	time.Sleep(20 * time.Millisecond) // it must have come to its gate
	fn := workertest.Function("f")
	fn.Environment = map[string]string{"MINE": "1"}
	e := h.start(t, fn)
	defer e.Destroy()
	vars := environmentOf(t, e)
	for _, v := range []string{"MINE=1", "AWS_LAMBDA_FUNCTION_NAME=f", "AWS_ACCESS_KEY_ID=ASIAEXAMPLE", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "TZ=:UTC"} {
		if !slices.Contains(vars, v) {
			t.Errorf("no %s in %q", v, vars)
		}
	}
	if slices.ContainsFunc(vars, func(v string) bool { return strings.HasPrefix(v, "_LAMBDAD") }) {
		t.Errorf("how it was started shows: %q", vars)
	}
	if log := h.logs.Text(); !strings.Contains(log, "INIT_START ") || !strings.Contains(log, "Init Duration: ") {
		t.Errorf("log %q", log)
	}
	// Its memory's and its processor's limits are set by Start as for any other.
	eventually(t, "its processor share was not lowered after INIT", func() bool { return len(h.driver.Shares()) > 0 })
}

// TestStartedRuntimeHasTheSameVariables as one that was started for the function.
func TestStartedRuntimeHasTheSameVariables(t *testing.T) {
	cold := newHost(t, workertest.Runtime(tells), nil)
	ahead := newHost(t, workertest.Runtime(tells), waiting)
	if err := ahead.Prepare(context.Background(), workertest.Function("f"), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is started ahead", func() bool { return ahead.preloaded() >= 2 })
	time.Sleep(20 * time.Millisecond)
	normal := func(vars []string) string {
		return strings.Join(slices.DeleteFunc(vars, func(v string) bool { return strings.HasPrefix(v, "AWS_LAMBDA_LOG_STREAM_NAME=") }), "\n")
	}
	a, b := cold.start(t, workertest.Function("f")), ahead.start(t, workertest.Function("f"))
	defer a.Destroy()
	defer b.Destroy()
	if want, got := normal(environmentOf(t, a)), normal(environmentOf(t, b)); got != want {
		t.Errorf("started ahead:\n%s\nnot:\n%s", got, want)
	}
}

func TestStartedRuntimeIsNotUsed(t *testing.T) {
	for name, tt := range map[string]struct {
		environment map[string]string
		change      func(*worker.Options)
		broken      error
	}{
		"variables of the interpreter": {environment: map[string]string{"PYTHONHASHSEED": "0"}},
		"variables of the C library":   {environment: map[string]string{"LD_PRELOAD": "/opt/x.so"}},
		"a wrapper":                    {environment: map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/w"}},
		"off":                          {change: func(o *worker.Options) { o.StartedMax = -1 }},
		"a driver that cannot":         {broken: sandbox.ErrUnsupported},
		"a program that does not run":  {broken: errors.New("broken")},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, workertest.Runtime(tells), func(o *worker.Options) {
				waiting(o)
				if tt.change != nil {
					tt.change(o)
				}
			})
			if tt.broken != nil {
				h.driver.PreloadErr = func() error { return tt.broken }
			}
			if err := h.Prepare(context.Background(), workertest.Function("f"), ""); err != nil {
				t.Fatal(err)
			}
			if tt.broken == nil && tt.change == nil {
				eventually(t, "nothing is started ahead", func() bool { return h.preloaded() >= 2 })
			}
			before := h.preloaded()
			fn := workertest.Function("f")
			fn.Environment = tt.environment
			e := h.start(t, fn)
			defer e.Destroy()
			environmentOf(t, e)
			if now := h.preloaded(); now != before {
				t.Errorf("%d were started ahead for it", now-before)
			}
		})
	}
}

// TestStartedRuntimeThatDied: one that ended while it waited is thrown away.
func TestStartedRuntimeThatDied(t *testing.T) {
	var dying atomic.Bool
	alive := workertest.Runtime(tells)
	die := make(chan struct{})
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		if dying.Load() {
			own, kill := context.WithCancel(ctx)
			defer kill()
			go func() { <-die; kill() }()
			return alive(own, p)
		}
		return alive(ctx, p)
	}, waiting)
	dying.Store(true)
	if err := h.Prepare(context.Background(), workertest.Function("f"), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is started ahead", func() bool { return h.preloaded() >= 2 })
	time.Sleep(20 * time.Millisecond)
	dying.Store(false)
	close(die)
	time.Sleep(20 * time.Millisecond)
	e := h.start(t, workertest.Function("f"))
	defer e.Destroy()
	if vars := environmentOf(t, e); !slices.Contains(vars, "AWS_LAMBDA_FUNCTION_NAME=f") {
		t.Error(vars)
	}
}

// warm starts fn once and waits for its template.
func (h *host) warm(t *testing.T, fn *record.Function) {
	t.Helper()
	before := h.templates()
	h.start(t, fn).Destroy()
	eventually(t, "no template is made", func() bool { return h.templates() > before })
	time.Sleep(20 * time.Millisecond)
}

func TestTemplate(t *testing.T) {
	h := newHost(t, workertest.Runtime(tells), copied)
	fn := workertest.Function("f")
	h.warm(t, fn)
	seen := map[string]bool{}
	for range 5 {
		e := h.start(t, fn)
		vars := environmentOf(t, e)
		// Nobody asked for SnapStart, so nobody pays for it.
		if m := <-h.meter; m.Restore != 0 || m.Init <= 0 {
			t.Errorf("metered %+v", m)
		}
		if !slices.Contains(vars, "copy=yes") || !slices.Contains(vars, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand") {
			t.Errorf("it is no copy: %q", vars)
		}
		for _, v := range vars {
			if strings.HasPrefix(v, "AWS_LAMBDA_LOG_STREAM_NAME=") {
				if seen[v] || v != "AWS_LAMBDA_LOG_STREAM_NAME="+h.logs.Stream().Stream {
					t.Errorf("%s is not its own", v)
				}
				seen[v] = true
			}
		}
		e.Destroy()
	}
	if log := h.logs.Text(); strings.Contains(log, "RESTORE") || strings.Count(log, "INIT_START") != 6 {
		t.Errorf("nobody asked for SnapStart: %s", log)
	}
	eventually(t, "no copies are parked ahead", func() bool { _, _, _, frozen, _ := h.driver.Counts(); return frozen > 0 })
}

// TestTemplateIsNotShared: whatever differs, another's template is not used.
func TestTemplateIsNotShared(t *testing.T) {
	for name, change := range map[string]func(*record.Function, *worker.StartSpec){
		"account":    func(fn *record.Function, _ *worker.StartSpec) { fn.ID.Account = "111111111111" },
		"region":     func(fn *record.Function, _ *worker.StartSpec) { fn.ID.Region = "eu-west-1" },
		"function":   func(fn *record.Function, _ *worker.StartSpec) { fn.ID.Name = "g" },
		"version":    func(fn *record.Function, _ *worker.StartSpec) { fn.Version = "2" },
		"generation": func(fn *record.Function, _ *worker.StartSpec) { fn.Generation++ },
		"code":       func(fn *record.Function, _ *worker.StartSpec) { fn.Artifact = "01" },
		"tenant":     func(_ *record.Function, s *worker.StartSpec) { s.TenantID = "blue" },
		"isolation":  func(_ *record.Function, s *worker.StartSpec) { s.Isolation = record.IsolationGVisor },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, workertest.Runtime(tells), copied)
			h.warm(t, workertest.Function("f"))
			fn := workertest.Function("f")
			spec := worker.StartSpec{Function: fn}
			change(fn, &spec)
			e, err := h.Start(context.Background(), spec)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Destroy()
			if vars := environmentOf(t, e); slices.Contains(vars, "copy=yes") {
				t.Error("it was made from another's template")
			}
		})
	}
}

func TestTemplateIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*worker.Options)
		err    error
	}{
		"off":        {change: func(o *worker.Options) { o.Templates = worker.TemplatesOff }},
		"unclonable": {err: &sandbox.UnclonableError{Reason: "it has 3 threads"}},
		"no such":    {err: sandbox.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, workertest.Runtime(tells), func(o *worker.Options) {
				copied(o)
				if tt.change != nil {
					tt.change(o)
				}
			})
			var asked atomic.Int32
			h.driver.TemplateErr = func() error { asked.Add(1); return tt.err }
			fn := workertest.Function("f")
			h.start(t, fn).Destroy()
			if tt.err != nil {
				eventually(t, "it is not asked", func() bool { return asked.Load() == 1 })
			}
			time.Sleep(20 * time.Millisecond)
			for range 3 {
				e := h.start(t, fn)
				if vars := environmentOf(t, e); slices.Contains(vars, "copy=yes") {
					t.Error("it is a copy")
				}
				e.Destroy()
			}
			if n := asked.Load(); tt.err != nil && n != 1 || tt.err == nil && n != 0 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestTemplateWhoseCopiesDie: the environment is started in another way, and the
// template is not tried again.
func TestTemplateWhoseCopiesDie(t *testing.T) {
	run := workertest.Runtime(tells)
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		if p.Copy {
			return sandbox.Exit{Code: 1}
		}
		return run(ctx, p)
	}, copied)
	fn := workertest.Function("f")
	h.warm(t, fn)
	for range 2 {
		e := h.start(t, fn)
		if vars := environmentOf(t, e); !slices.Contains(vars, "copy=no") {
			t.Error(vars)
		}
		e.Destroy()
	}
	eventually(t, "the template stays", func() bool { return h.templates() == 0 })
}

func TestTemplatesAreBounded(t *testing.T) {
	h := newHost(t, workertest.Runtime(tells), func(o *worker.Options) {
		copied(o)
		o.TemplatesMemory = 70 << 20 // two of 30 MiB
	})
	for _, name := range []string{"a", "b", "c", "d"} {
		fn := workertest.Function(name)
		h.start(t, fn).Destroy()
	}
	eventually(t, "more templates than memory", func() bool { return h.templates() == 2 })
}

func snapshotted() *record.Function {
	fn := workertest.Function("f")
	fn.Version, fn.SnapStart = "1", record.SnapStart{ApplyOn: record.SnapStartVersions, Optimized: true}
	return fn
}

func TestSnapStart(t *testing.T) {
	h := newHost(t, workertest.Runtime(tells), func(o *worker.Options) {
		copied(o)
		o.Templates = worker.TemplatesOff // SnapStart does not depend on it
	})
	fn := snapshotted()
	h.warm(t, fn)
	e := h.start(t, fn)
	defer e.Destroy()
	vars := environmentOf(t, e)
	if !slices.Contains(vars, "copy=yes") || !slices.Contains(vars, "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start") ||
		slices.ContainsFunc(vars, func(v string) bool { return strings.HasPrefix(v, "AWS_LAMBDA_LOG_") }) {
		t.Errorf("variables %q", vars)
	}
	log := strings.Join(h.logs.Messages(), "")
	for _, want := range []string{
		"RESTORE_START Runtime Version: python:3.13.v1\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:0123\n",
		"RESTORE_REPORT Restore Duration: ", "Restore Duration: ", "\tBilled Restore Duration: ",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	m := <-h.meter
	if m.Restore <= 0 || m.Init != 0 || m.Billed < m.Duration {
		t.Errorf("metered %+v", m)
	}
	// Not once more.
	e.Invoke(invocation(`1`))
	if m := <-h.meter; m.Restore != 0 {
		t.Errorf("metered %+v", m)
	}
}

// TestSnapStartAfterRestart: a version that says it is optimized is restored, though this process has no
// snapshot of it yet; where none can be made that is told.
func TestSnapStartAfterRestart(t *testing.T) {
	for name, refuse := range map[string]error{"made again": nil, "cannot be": sandbox.ErrUnsupported} {
		t.Run(name, func(t *testing.T) {
			var lost atomic.Int32
			h := newHost(t, workertest.Runtime(tells), func(o *worker.Options) {
				copied(o)
				o.Templates = worker.TemplatesOff
				o.SnapshotLost = func(fn *record.Function, why error) {
					lost.Add(1)
					if fn.Version != "1" || !errors.Is(why, refuse) {
						t.Errorf("lost %s: %v", fn.Version, why)
					}
				}
			})
			h.driver.TemplateErr = func() error { return refuse }
			fn := snapshotted()
			var all sync.WaitGroup
			all.Go(func() { // as the node does at its start
				if err := h.Remake(context.Background(), worker.StartSpec{Function: fn}); !errors.Is(err, refuse) {
					t.Errorf("made again: %v", err)
				}
			})
			for range 3 { // they come together, and one snapshot is made
				all.Go(func() {
					e, err := h.Start(context.Background(), worker.StartSpec{Function: fn})
					if err != nil {
						t.Error(err)
						return
					}
					defer e.Destroy()
					want := "AWS_LAMBDA_INITIALIZATION_TYPE=snap-start"
					if refuse != nil {
						want = "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand"
					}
					if answer := e.Invoke(invocation(`1`)); !strings.Contains(string(answer.Payload), want) {
						t.Errorf("no %s in %s", want, answer.Payload)
					}
				})
			}
			all.Wait()
			if (lost.Load() > 0) != (refuse != nil) {
				t.Errorf("told %d times that it is lost", lost.Load())
			}
			if refuse == nil {
				return
			}
			off := *fn
			off.SnapStart.Optimized, off.State = false, record.StateActive
			lost.Store(0)
			h.start(t, &off).Destroy()
			if lost.Load() != 0 {
				t.Error("a version without a snapshot waits for it")
			}
		})
	}
}

// TestSnapshot is made when Snapshot returns: the first environment is restored from it.
func TestSnapshot(t *testing.T) {
	run := workertest.Runtime(tells)
	for name, tt := range map[string]struct {
		refuse error
		change func(*record.Function)
	}{
		"made":                  {},
		"unclonable":            {refuse: &sandbox.UnclonableError{Reason: "it has connections"}},
		"a driver that cannot":  {refuse: sandbox.ErrUnsupported},
		"interpreter variables": {change: func(fn *record.Function) { fn.Environment = map[string]string{"LD_PRELOAD": "/opt/x.so"} }},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, run, copied)
			h.driver.TemplateErr = func() error { return tt.refuse }
			fn := snapshotted()
			if tt.change != nil {
				tt.change(fn)
			}
			without := tt.refuse != nil || tt.change != nil
			o, err := h.Snapshot(t.Context(), worker.StartSpec{Function: fn})
			if err != nil || o.InitFailed || (o.Without != nil) != without || tt.refuse != nil && !errors.Is(o.Without, tt.refuse) {
				t.Fatalf("%+v, %v", o, err)
			}
			if n := h.Environments(); n != 0 {
				t.Errorf("%d environments are left", n)
			}
			e := h.start(t, fn)
			defer e.Destroy()
			if vars := environmentOf(t, e); slices.Contains(vars, "copy=yes") == without {
				t.Errorf("the first environment: %q", vars)
			}
		})
	}
}

func TestSnapStartThatFails(t *testing.T) {
	run := workertest.Runtime(tells)
	h := newHost(t, func(ctx context.Context, p *workertest.Proc) sandbox.Exit {
		if p.Copy {
			return sandbox.Exit{Code: 65}
		}
		return run(ctx, p)
	}, copied)
	fn := snapshotted()
	if _, err := h.Start(context.Background(), worker.StartSpec{Function: fn}); !errors.Is(err, worker.ErrRestore) {
		t.Errorf("%v", err)
	}
	if log := h.logs.Text(); !strings.Contains(log, "RESTORE_REPORT Restore Duration: ") || !strings.Contains(log, "Status: error") {
		t.Errorf("log %s", log)
	}
}

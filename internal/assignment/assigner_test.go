package assignment_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an assigner on a worker with a fake driver.
type node struct {
	*assignment.Assigner
	worker *worker.Worker
	driver *workertest.Driver
}

func newNode(t testing.TB, h workertest.Handler, opts assignment.Options) *node {
	t.Helper()
	n := &node{driver: &workertest.Driver{Main: workertest.Runtime(h)}}
	var err error
	n.worker, err = worker.New(worker.Options{
		Driver: n.driver, Code: &workertest.Code{}, Runtimes: workertest.Runtimes{},
		Credentials: workertest.Credentials{}, Logs: workertest.Discard{},
	})
	if err != nil {
		t.Fatal(err)
	}
	opts.Host = assignment.OnWorker(n.worker)
	if opts.MemoryMiB == 0 {
		opts.MemoryMiB = 1 << 20
	}
	if n.Assigner, err = assignment.New(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.worker.Close(); err != nil {
			t.Error(err)
		}
		if live, _, _, _, _ := n.driver.Counts(); live != 0 {
			t.Errorf("%d sandboxes are left", live)
		}
		if s := n.Stats(); s.Running != 0 || s.UsedMiB != 0 {
			t.Errorf("left: %+v", s)
		}
	})
	return n
}

func (n *node) invoke(fn *record.Function, payload string) (worker.Result, error) {
	return n.Invoke(fn, "", &worker.Invocation{RequestID: aws.NewRequestID(), FunctionARN: fn.ID.ARN(), Payload: []byte(payload)})
}

func echo(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
	return workertest.Answer{Payload: ev.Payload}
}

func (n *node) wantStarted(t *testing.T, want int) {
	t.Helper()
	if _, _, started, _, _ := n.driver.Counts(); started != want {
		t.Errorf("%d environments were started, want %d", started, want)
	}
}

func TestWarmInvokesShareAnEnvironment(t *testing.T) {
	n := newNode(t, echo, assignment.Options{})
	fn := workertest.Function("f")
	for i := range 100 {
		res, err := n.invoke(fn, fmt.Sprint(i))
		if err != nil || string(res.Payload) != fmt.Sprint(i) {
			t.Fatalf("invoke %d: %v %s", i, err, res.Payload)
		}
	}
	n.wantStarted(t, 1)
	changed := *fn
	changed.Generation = 2
	n.FunctionChanged(record.Change{ID: fn.ID, Version: fn.Version, Before: fn, After: &changed})
	if _, err := n.invoke(&changed, "1"); err != nil {
		t.Fatal(err)
	}
	n.wantStarted(t, 2)
}

func TestConcurrentInvokes(t *testing.T) {
	var running, most atomic.Int32
	gate := make(chan struct{})
	n := newNode(t, func(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
		now := running.Add(1)
		for {
			m := most.Load()
			if now <= m || most.CompareAndSwap(m, now) {
				break
			}
		}
		if now == 20 {
			close(gate)
		}
		<-gate // all twenty run at once, or this never opens
		running.Add(-1)
		return workertest.Answer{Payload: ev.Payload}
	}, assignment.Options{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if res, err := n.invoke(workertest.Function("f"), fmt.Sprint(i)); err != nil || string(res.Payload) != fmt.Sprint(i) {
				t.Errorf("invoke %d: %v %s", i, err, res.Payload)
			}
		})
	}
	wg.Wait()
	if most.Load() != 20 {
		t.Errorf("%d ran at once", most.Load())
	}
}

func TestMemoryIsBoundedAndIdleGivesWay(t *testing.T) {
	n := newNode(t, echo, assignment.Options{MemoryMiB: 300}) // two environments of 128
	var wg sync.WaitGroup
	for i := range 6 {
		fn := workertest.Function(fmt.Sprintf("f%d", i))
		wg.Go(func() {
			for range 5 {
				if _, err := n.invoke(fn, "1"); err != nil {
					t.Errorf("invoke: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if s := n.Stats(); s.UsedMiB > 300 {
		t.Errorf("used %d MiB", s.UsedMiB)
	}
	large := workertest.Function("large")
	large.MemoryMiB = 301
	if _, err := n.invoke(large, "1"); !errors.Is(err, assignment.ErrTooLarge) {
		t.Errorf("an environment larger than the host: %v", err)
	}
}

func TestNoCapacityIsToldInTime(t *testing.T) {
	release := make(chan struct{})
	n := newNode(t, func(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
		<-release
		return workertest.Answer{Payload: ev.Payload}
	}, assignment.Options{MemoryMiB: 128, Config: assignment.Config{WaitMax: 50 * time.Millisecond}})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := n.invoke(workertest.Function("f"), "1"); err != nil {
			t.Error(err)
		}
	})
	for n.Stats().UsedMiB == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := n.invoke(workertest.Function("g"), "1"); !errors.Is(err, assignment.ErrNoCapacity) {
		t.Errorf("error %v", err)
	}
	close(release)
	wg.Wait()
}

func TestStartFailureIsTold(t *testing.T) {
	n := newNode(t, echo, assignment.Options{})
	broken := errors.New("no such runtime")
	n.driver.StartErr = func() error { return broken }
	if _, err := n.invoke(workertest.Function("f"), "1"); !errors.Is(err, assignment.ErrStart) || !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestCrashedEnvironmentIsReplaced(t *testing.T) {
	n := newNode(t, func(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
		if string(ev.Payload) == "die" {
			return workertest.Answer{Exit: &sandbox.Exit{Code: 1}}
		}
		return workertest.Answer{Payload: ev.Payload}
	}, assignment.Options{})
	fn := workertest.Function("f")
	for range 3 {
		if res, err := n.invoke(fn, "die"); err != nil || res.FunctionError != "Unhandled" {
			t.Errorf("%v %+v", err, res)
		}
		if res, err := n.invoke(fn, "1"); err != nil || string(res.Payload) != "1" {
			t.Errorf("%v %+v", err, res)
		}
	}
	n.wantStarted(t, 4)
}

// TestStress has many callers, crashes, timeouts, changes and too little memory at once.
func TestStress(t *testing.T) {
	n := newNode(t, func(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
		switch string(ev.Payload) {
		case "die":
			return workertest.Answer{Exit: &sandbox.Exit{Code: 1}}
		case "hang":
			return workertest.Answer{Hang: true}
		}
		return workertest.Answer{Payload: ev.Payload}
	}, assignment.Options{MemoryMiB: 10 * 128, IdleMax: 6, Config: assignment.Config{WaitMax: 20 * time.Second}})
	var generation atomic.Uint64
	generation.Store(1)
	fnAt := func(i int, g uint64) *record.Function {
		fn := workertest.Function(fmt.Sprintf("f%d", i%5))
		fn.TimeoutS, fn.Generation = 1, g
		return fn
	}
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := range 60 {
				payload := fmt.Sprintf("%d-%d", c, i)
				switch {
				case (c+i)%17 == 0:
					payload = "die"
				case c == 3 && i == 30:
					payload = "hang"
				}
				res, err := n.invoke(fnAt(c+i, generation.Load()), payload)
				switch {
				case err != nil:
					t.Errorf("invoke: %v", err)
				case payload == "die" || payload == "hang":
					if res.FunctionError == "" {
						t.Errorf("%s was answered", payload)
					}
				case string(res.Payload) != payload:
					t.Errorf("answer %s to %s", res.Payload, payload)
				}
				if c == 0 && i%10 == 9 {
					g := generation.Add(1)
					for f := range 5 {
						n.FunctionChanged(record.Change{ID: fnAt(f, g).ID, Version: record.Latest, Before: fnAt(f, g-1), After: fnAt(f, g)})
					}
				}
				if s := n.Stats(); s.UsedMiB > s.TotalMiB {
					t.Errorf("stats %+v", s)
				}
			}
		})
	}
	wg.Wait()
	for f := range 5 {
		n.FunctionChanged(record.Change{ID: fnAt(f, 0).ID, Version: record.Latest, Before: fnAt(f, 0)})
	}
	deadline := time.Now().Add(10 * time.Second)
	for n.Stats().UsedMiB != 0 {
		if time.Now().After(deadline) {
			t.Fatalf("removed functions keep %+v", n.Stats())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	n := newNode(t, func(_ *workertest.Proc, ev *workertest.Event) workertest.Answer {
		close(entered)
		<-release
		return workertest.Answer{Payload: ev.Payload}
	}, assignment.Options{})
	ended := make(chan error, 1)
	go func() {
		_, err := n.invoke(workertest.Function("f"), "1")
		ended <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := n.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained while an invoke ran: %v", err)
	}
	if _, err := n.invoke(workertest.Function("f"), "1"); !errors.Is(err, assignment.ErrDraining) {
		t.Errorf("taken while draining: %v", err)
	}
	close(release)
	if err := n.Drain(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// BenchmarkWarmInvoke is an invoke through assignment, worker and runtimeapi to a
// Go loop on loopback TCP and back.
func BenchmarkWarmInvoke(b *testing.B) {
	n := newNode(b, echo, assignment.Options{})
	fn := workertest.Function("f")
	payload := []byte(`{"hello":"world"}`)
	in := &worker.Invocation{RequestID: aws.NewRequestID(), FunctionARN: fn.ID.ARN(), Payload: payload}
	if _, err := n.Invoke(fn, "", in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	took := make([]time.Duration, 0, 1<<16)
	for b.Loop() {
		began := time.Now()
		if res, err := n.Invoke(fn, "", in); err != nil || len(res.Payload) != len(payload) {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(float64(percentile(took, 50).Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(percentile(took, 99).Nanoseconds()), "p99-ns")
}

// BenchmarkWarmInvokeParallel is the same from 32 callers of one function.
func BenchmarkWarmInvokeParallel(b *testing.B) {
	n := newNode(b, echo, assignment.Options{})
	fn := workertest.Function("f")
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		in := &worker.Invocation{RequestID: aws.NewRequestID(), FunctionARN: fn.ID.ARN(), Payload: []byte(`{"hello":"world"}`)}
		for pb.Next() {
			if res, err := n.Invoke(fn, "", in); err != nil || res.FunctionError != "" {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDirect is the same handler called over the Runtime API without assignment and worker.
func BenchmarkDirect(b *testing.B) {
	direct(b)
}

package assignment_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/worker"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// extendedHost starts environments whose extensions go on after the answer.
type extendedHost struct {
	started atomic.Int32
	settled chan bool // how each Settle ends
}

func (h *extendedHost) Start(context.Context, worker.StartSpec) (assignment.Environment, error) {
	h.started.Add(1)
	return extendedEnvironment{h}, nil
}

type extendedEnvironment struct{ h *extendedHost }

func (e extendedEnvironment) Invoke(*worker.Invocation) worker.Result {
	return worker.Result{Payload: []byte("1"), Reusable: true, Unsettled: true}
}
func (e extendedEnvironment) Settle() bool           { return <-e.h.settled }
func (e extendedEnvironment) InitFailed() bool       { return false }
func (e extendedEnvironment) UsableUntil() time.Time { return time.Now().Add(time.Hour) }
func (e extendedEnvironment) Destroy()               {}

// TestUnsettled: the answer is there at once, and the environment takes the next invoke when its extensions are
// through; it counts as running until then.
func TestUnsettled(t *testing.T) {
	h := &extendedHost{settled: make(chan bool)}
	a, err := assignment.New(assignment.Options{Host: h, MemoryMiB: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	fn := workertest.Function("f")
	invoke := func(want int32) (settled <-chan struct{}) {
		t.Helper()
		res, err := a.Invoke(fn, "", &worker.Invocation{})
		if err != nil || string(res.Payload) != "1" || res.Settled == nil {
			t.Fatal(res, err)
		}
		if n := h.started.Load(); n != want {
			t.Fatalf("%d environments", n)
		}
		return res.Settled
	}
	running := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); a.Stats().Running != want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d are running, not %d", a.Stats().Running, want)
			}
		}
	}
	invoke(1)
	invoke(2)
	running(2)
	h.settled <- true
	running(1)
	invoke(2)
	h.settled <- false // that one is given up
	h.settled <- false
	running(0)
	last := invoke(3)
	if err := a.Close(); err != nil { // does not wait
		t.Fatal(err)
	}
	running(0)
	<-last
	h.settled <- false
}

package assignment_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// provisionTick is how often the provisioner looks.
const provisionTick = 200 * time.Millisecond

type oneFunction struct{ f *record.Function }

func (o oneFunction) Function(id record.FunctionID, version string) (*record.Function, bool) {
	return o.f, id == o.f.ID && version == o.f.Version
}

type reports chan record.ProvisionedStatus

func (r reports) ReportProvisioned(_ context.Context, _ record.FunctionID, _ string, _ uint64, status record.ProvisionedStatus) error {
	r <- status
	return nil
}

// kept adds up what is metered.
type kept struct{ ms atomic.Int64 }

func (k *kept) Provisioned(_ *record.Function, d time.Duration) { k.ms.Add(d.Milliseconds()) }

// What is configured becomes READY, and goes when the configuration does.
func TestProvisionerKeepsWhatIsConfigured(t *testing.T) {
	n := newNode(t, echo, assignment.Options{MemoryMiB: 1024})
	fn := workertest.Function("f")
	fn.Version, fn.State = "3", record.StateActive
	told := make(reports, 16)
	var metered kept
	p := assignment.NewProvisioner(n.Assigner, oneFunction{fn}, told, &metered)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	began := time.Now()
	p.Changed(fn.ID, "3", &record.Provisioned{ID: fn.ID, Version: "3", Requested: 2, Serial: 1})
	for {
		select {
		case status := <-told:
			if status.State == record.ProvisionedInProgress {
				continue
			}
			if status != (record.ProvisionedStatus{State: record.ProvisionedReady, Available: 2}) {
				t.Errorf("told %+v", status)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("not told that it is READY")
		}
		break
	}
	if used := n.Stats().UsedMiB; used != 2*fn.MemoryMiB {
		t.Errorf("%d MiB are used", used)
	}
	const least = 500 * time.Millisecond
	time.Sleep(least)
	p.Changed(fn.ID, "3", nil)
	for deadline := time.Now().Add(10 * time.Second); n.Stats().UsedMiB != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB are still used after the configuration was removed", n.Stats().UsedMiB)
		}
	}
	// Two environments since they were READY, but for a tick before and after.
	for deadline := time.Now().Add(10 * time.Second); metered.ms.Load() < 2*(least-provisionTick).Milliseconds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d ms of provisioned environments were metered", metered.ms.Load())
		}
	}
	if most := 2 * (time.Since(began)).Milliseconds(); metered.ms.Load() > most {
		t.Errorf("%d ms of provisioned environments were metered, of at most %d", metered.ms.Load(), most)
	}
}

type versions map[string]*record.Function

func (v versions) Function(_ record.FunctionID, version string) (*record.Function, bool) {
	f, ok := v[version]
	return f, ok
}

// atReady notes the memory in use when a version is told READY, and the least that was available before.
type atReady struct {
	used  func() int
	ready chan int
	least atomic.Int64

	failed atomic.Bool
}

func (a *atReady) ReportProvisioned(_ context.Context, _ record.FunctionID, version string, _ uint64, status record.ProvisionedStatus) error {
	if version == "4" {
		a.least.Store(min(a.least.Load(), int64(status.Available)))
	}
	switch status.State {
	case record.ProvisionedReady:
		a.ready <- a.used()
	case record.ProvisionedFailed:
		a.failed.Store(true)
	}
	return nil
}

// An alias that moves keeps what its old version has until the new one has as much, if there is memory
// for both.
func TestProvisionerMovesWithAnAlias(t *testing.T) {
	for name, tc := range map[string]struct{ memoryMiB, atReady, least int }{
		"memory for both": {4 * 128, 4 * 128, 2}, "memory for one": {3 * 128, 2 * 128, 0},
	} {
		t.Run(name, func(t *testing.T) { moveProvisioned(t, tc.memoryMiB, tc.atReady, tc.least) })
	}
}

func moveProvisioned(t *testing.T, memoryMiB, usedAtReady, least int) {
	n := newNode(t, echo, assignment.Options{MemoryMiB: memoryMiB})
	old, moved := *workertest.Function("f"), *workertest.Function("f")
	old.Version, old.State, moved.Version, moved.State = "3", record.StateActive, "4", record.StateActive
	old.MemoryMiB, moved.MemoryMiB = 128, 128
	told := &atReady{used: func() int { return n.Stats().UsedMiB }, ready: make(chan int, 16)}
	told.least.Store(2)
	p := assignment.NewProvisioner(n.Assigner, versions{"3": &old, "4": &moved}, told, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	config := record.Provisioned{ID: old.ID, Version: "3", Alias: "live", Requested: 2, Serial: 1}
	p.Changed(old.ID, "3", &config)
	if used := <-told.ready; used != 2*128 {
		t.Fatalf("%d MiB are used", used)
	}
	next := config
	next.Version, next.Serial = "4", 2
	p.Changed(old.ID, "4", &next)
	p.Changed(old.ID, "3", nil)
	if used := <-told.ready; used != usedAtReady {
		t.Errorf("%d MiB are used when the new version is READY, want %d", used, usedAtReady)
	}
	if got := told.least.Load(); got < int64(least) || told.failed.Load() {
		t.Errorf("only %d were available of the alias while it moved; failed: %v", got, told.failed.Load())
	}
	for deadline := time.Now().Add(10 * time.Second); n.Stats().UsedMiB != 2*128; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d MiB are used after the alias has moved", n.Stats().UsedMiB)
		}
	}
}

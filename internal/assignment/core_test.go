package assignment

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func key(version string, generation uint64) PoolKey {
	return PoolKey{Function: record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}, Version: version, Generation: generation}
}

// script drives a core and reads its effects as words.
type script struct {
	t    *testing.T
	core *Core
	now  time.Time
}

func newScript(t *testing.T, cfg Config) *script {
	return &script{t: t, core: NewCore(cfg), now: epoch}
}

func (s *script) step(ev Event, want ...string) {
	s.t.Helper()
	var got []string
	for _, e := range s.core.Step(s.now, ev, nil) {
		switch e.Kind {
		case EffectAssign:
			got = append(got, fmt.Sprintf("assign i%d e%d", e.Invoke, e.Env))
		case EffectReject:
			got = append(got, fmt.Sprintf("reject i%d %d", e.Invoke, e.Reason))
		case EffectAsk:
			got = append(got, fmt.Sprintf("ask e%d %d", e.Env, e.MemoryMiB))
		case EffectCancel:
			got = append(got, fmt.Sprintf("cancel e%d", e.Env))
		case EffectStart:
			got = append(got, fmt.Sprintf("start e%d", e.Env))
		case EffectDestroy:
			got = append(got, fmt.Sprintf("destroy e%d", e.Env))
		case EffectRelease:
			got = append(got, fmt.Sprintf("release e%d %d", e.Env, e.MemoryMiB))
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("step %+v\n got %q\nwant %q", ev, got, want)
	}
}

func (s *script) invoke(id InvokeID, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventInvoke, Invoke: id, Key: key("$LATEST", 1), MemoryMiB: 128}, want...)
}

func (s *script) granted(env EnvID, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventGranted, Env: env, MemoryMiB: 128}, want...)
}

func (s *script) started(env EnvID, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventStarted, Env: env, Healthy: true}, want...)
}

func (s *script) done(env EnvID, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventDone, Env: env, Healthy: true}, want...)
}

// warm makes n idle environments.
func (s *script) warm(n int) {
	s.t.Helper()
	for i := range n {
		s.invoke(InvokeID(1000+i), fmt.Sprintf("ask e%d 128", i+1))
		s.granted(EnvID(i+1), fmt.Sprintf("start e%d", i+1))
		s.started(EnvID(i+1), fmt.Sprintf("assign i%d e%d", 1000+i, i+1))
	}
	for i := range n {
		s.now = s.now.Add(time.Second)
		s.done(EnvID(i + 1))
	}
}

func TestColdThenWarm(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(2)
	s.invoke(1, "assign i1 e2") // the warmest
	s.invoke(2, "assign i2 e1")
	s.done(1)
	s.invoke(3, "assign i3 e1")
}

func TestColdStartsRunInParallel(t *testing.T) {
	s := newScript(t, Config{})
	s.invoke(1, "ask e1 128")
	s.invoke(2, "ask e2 128")
	s.granted(2, "start e2")
	s.granted(1, "start e1")
	s.started(2, "assign i1 e2")
	s.started(1, "assign i2 e1")
}

func TestWaitingInvokeTakesWhatBecomesFree(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(1)
	s.invoke(1, "assign i1 e1")
	s.invoke(2, "ask e2 128")
	s.done(1, "assign i2 e1", "cancel e2")
	s.granted(2, "release e2 128") // the grant crossed the cancel
	s.invoke(3, "ask e3 128")
	s.granted(3, "start e3")
	s.done(1, "assign i3 e1")
	s.started(3) // too late for anybody: it stays warm
	s.invoke(4, "assign i4 e3")
}

func TestUnhealthyIsNeverReused(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(1)
	s.invoke(1, "assign i1 e1")
	s.invoke(2, "ask e2 128")
	s.step(Event{Kind: EventDone, Env: 1}, "destroy e1")
	s.step(Event{Kind: EventDestroyed, Env: 1}, "release e1 128")
	s.granted(2, "start e2")
	// A failed INIT still serves the invoke that waits, which runs INIT again.
	s.step(Event{Kind: EventStarted, Env: 2}, "assign i2 e2")
	s.step(Event{Kind: EventDone, Env: 2}, "destroy e2")
	s.step(Event{Kind: EventDestroyed, Env: 2}, "release e2 128")
	if !s.core.Quiet() {
		t.Error("something is left")
	}
}

func TestFailedInitWithoutInvokeIsNotKept(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(1)
	s.invoke(1, "assign i1 e1")
	s.invoke(2, "ask e2 128")
	s.granted(2, "start e2")
	s.done(1, "assign i2 e1")
	s.step(Event{Kind: EventStarted, Env: 2}, "destroy e2")
}

func TestStartFails(t *testing.T) {
	s := newScript(t, Config{})
	s.invoke(1, "ask e1 128")
	s.invoke(2, "ask e2 128")
	s.granted(1, "start e1")
	s.step(Event{Kind: EventStartFailed, Env: 1}, "release e1 128", "reject i1 3")
	s.step(Event{Kind: EventDenied, Env: 2}, "reject i2 6")
	if !s.core.Quiet() {
		t.Error("something is left")
	}
}

func TestGenerations(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(2)
	s.invoke(1, "assign i1 e2")
	s.step(Event{Kind: EventGeneration, Key: key("$LATEST", 2)}, "destroy e1")
	s.done(2, "destroy e2") // it finishes its invoke and takes no other
	s.step(Event{Kind: EventInvoke, Invoke: 2, Key: key("$LATEST", 2), MemoryMiB: 128}, "ask e3 128")
	s.granted(3, "start e3")
	s.step(Event{Kind: EventGeneration, Key: key("$LATEST", 3)}, "ask e4 128") // e3 is stale before it is ready
	s.started(3, "destroy e3")
	s.granted(4, "start e4")
	s.started(4, "assign i2 e4") // asked for by an invoke of generation 2, made after the change
	s.done(4, "destroy e4")
}

func TestRemovedAndMadeAgain(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(1)
	s.invoke(1, "assign i1 e1")
	s.step(Event{Kind: EventRemoved, Key: key("$LATEST", 0)})
	s.step(Event{Kind: EventGeneration, Key: key("$LATEST", 1)}) // the same name and number, another function
	s.invoke(2, "ask e2 128")
	s.done(1, "destroy e1")
	s.granted(2, "start e2")
	s.started(2, "assign i2 e2")
	s.done(2)
	s.invoke(3, "assign i3 e2")
}

func TestOtherVersionsAndTenantsKeepTheirOwn(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(1)
	s.step(Event{Kind: EventInvoke, Invoke: 1, Key: key("1", 1), MemoryMiB: 128}, "ask e2 128")
	k := key("$LATEST", 1)
	k.TenantID = "t"
	s.step(Event{Kind: EventInvoke, Invoke: 2, Key: k, MemoryMiB: 128}, "ask e3 128")
	k = key("$LATEST", 1)
	k.CodeSHA256 = "other"
	s.step(Event{Kind: EventInvoke, Invoke: 3, Key: k, MemoryMiB: 128}, "ask e4 128")
	s.step(Event{Kind: EventRemoved, Key: key("1", 0)})
	s.invoke(4, "assign i4 e1")
}

func TestBounds(t *testing.T) {
	s := newScript(t, Config{QueueMax: 2, WaitMax: time.Second})
	s.invoke(1, "ask e1 128")
	s.invoke(2, "ask e2 128")
	s.invoke(3, "reject i3 1")
	s.granted(1, "start e1")
	s.now = s.now.Add(time.Second)
	// The first has a start under way; the second waits for memory and has waited enough.
	s.step(Event{Kind: EventTick}, "reject i2 2", "cancel e2")
	s.started(1, "assign i1 e1")
}

func TestKeepAliveEndsAndCredentialsExpire(t *testing.T) {
	s := newScript(t, Config{KeepAlive: KeepAliveConfig{Min: time.Minute, Initial: 5 * time.Minute}})
	s.warm(2) // idle since 1s and 2s
	s.now = epoch.Add(5*time.Minute + time.Second)
	s.step(Event{Kind: EventTick}, "destroy e1")
	s.now = s.now.Add(time.Second)
	s.step(Event{Kind: EventTick}, "destroy e2")

	s = newScript(t, Config{})
	s.invoke(1, "ask e1 128")
	s.granted(1, "start e1")
	s.step(Event{Kind: EventStarted, Env: 1, Healthy: true, Until: epoch.Add(time.Minute)}, "assign i1 e1")
	s.done(1)
	s.now = epoch.Add(time.Minute)
	s.invoke(2, "destroy e1", "ask e2 128")
}

func TestReclaimAndDrain(t *testing.T) {
	s := newScript(t, Config{})
	s.warm(3)
	s.step(Event{Kind: EventReclaim, MemoryMiB: 100}, "destroy e1")
	s.invoke(1, "assign i1 e3")
	s.step(Event{Kind: EventDrain}, "destroy e2")
	s.invoke(2, "reject i2 4")
	s.done(3, "destroy e3")

	s = newScript(t, Config{})
	s.invoke(1, "ask e1 128")
	s.step(Event{Kind: EventDrain})
	s.step(Event{Kind: EventAbandon}, "reject i1 4", "cancel e1")
}

func TestBudget(t *testing.T) {
	b := NewBudget(1000)
	id := func(n int) AskID { return AskID{Asker: 1, Env: EnvID(n)} }
	want := func(got []BudgetEffect, ids ...int) {
		t.Helper()
		var have []int
		for _, e := range got {
			if !e.Denied {
				have = append(have, int(e.ID.Env))
			}
		}
		if !slices.Equal(have, ids) {
			t.Errorf("granted %v, want %v", have, ids)
		}
	}
	if e := b.Ask(id(1), 1001, nil); !e[0].Denied {
		t.Error("more than the host has was not denied")
	}
	want(b.Ask(id(2), 600, nil), 2)
	want(b.Ask(id(3), 600, nil))
	want(b.Ask(id(4), 100, nil)) // a small one does not overtake
	if b.Lacking() != 300 {
		t.Errorf("lacking %d", b.Lacking())
	}
	want(b.Cancel(id(3), nil), 4)
	want(b.Ask(id(5), 400, nil))
	want(b.Release(600, nil), 5)
	if b.Used() != 500 {
		t.Errorf("used %d", b.Used())
	}
}

func TestVictims(t *testing.T) {
	idle := []IdleState{{1, 2, 256, 30}, {2, 1, 512, 10}, {3, 4, 512, 20}}
	got := Victims(idle, 600, 0)
	if want := []Victim{{2, 512, 0}, {3, 88, 0}}; !slices.Equal(got, want) {
		t.Errorf("victims %+v, want %+v", got, want)
	}
	got = Victims(idle, 0, 2)
	if want := []Victim{{2, 0, 1}, {3, 0, 1}}; !slices.Equal(got, want) {
		t.Errorf("victims %+v, want %+v", got, want)
	}
}

// A change of isolation replaces the environments of every version, warm and busy.
func TestIsolationReplacesEnvironments(t *testing.T) {
	s := newScript(t, Config{})
	weak, strong := key("$LATEST", 1), key("$LATEST", 1)
	weak.Isolation, strong.Isolation = record.IsolationContainer, record.IsolationGVisor
	version := key("7", 1)
	version.Isolation = record.IsolationContainer
	for i, k := range []PoolKey{weak, version} {
		id := uint64(i + 1)
		s.step(Event{Kind: EventInvoke, Invoke: InvokeID(id), Key: k, MemoryMiB: 128}, fmt.Sprintf("ask e%d 128", id))
		s.step(Event{Kind: EventGranted, Env: EnvID(id), MemoryMiB: 128}, fmt.Sprintf("start e%d", id))
		s.step(Event{Kind: EventStarted, Env: EnvID(id), Healthy: true}, fmt.Sprintf("assign i%d e%d", id, id))
	}
	s.step(Event{Kind: EventDone, Env: 2, Healthy: true})
	s.step(Event{Kind: EventIsolation, Key: PoolKey{Isolation: record.IsolationGVisor}}, "destroy e2")
	s.step(Event{Kind: EventDone, Env: 1, Healthy: true}, "destroy e1")
	s.step(Event{Kind: EventInvoke, Invoke: 3, Key: strong, MemoryMiB: 128}, "ask e3 128")
	s.step(Event{Kind: EventGranted, Env: 3, MemoryMiB: 128}, "start e3")
	s.step(Event{Kind: EventStarted, Env: 3, Healthy: true}, "assign i3 e3")
	s.step(Event{Kind: EventDone, Env: 3, Healthy: true})
	s.step(Event{Kind: EventIsolation, Key: PoolKey{Isolation: record.IsolationGVisor}})
}

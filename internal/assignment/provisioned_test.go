package assignment

import (
	"testing"
	"time"
)

func (s *script) provision(count int, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventProvision, Key: key("7", 1), Count: count, MemoryMiB: 256}, want...)
}

func (s *script) status(want ProvisionStatus) {
	s.t.Helper()
	if got, _ := s.core.ProvisionStatus(key("7", 1)); got != want {
		s.t.Errorf("status %+v, want %+v", got, want)
	}
}

func (s *script) granted7(env EnvID, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventGranted, Env: env, MemoryMiB: 256}, want...)
}

func (s *script) invoke7(id InvokeID, want ...string) {
	s.t.Helper()
	s.step(Event{Kind: EventInvoke, Invoke: id, Key: key("7", 1), MemoryMiB: 256}, want...)
}

func (s *script) ready7(count int) {
	s.t.Helper()
	for i := range count {
		id := EnvID(i + 1)
		s.step(Event{Kind: EventGranted, Env: id, MemoryMiB: 256}, "start e"+string(rune('0'+id)))
		s.step(Event{Kind: EventStarted, Env: id, Healthy: true})
	}
}

func TestProvisionedAreKeptAndSpillOver(t *testing.T) {
	s := newScript(t, Config{})
	s.provision(2, "ask e1 256", "ask e2 256")
	s.status(ProvisionStatus{Requested: 2})
	s.ready7(2)
	s.status(ProvisionStatus{Requested: 2, Available: 2, Reached: true})
	// Neither time nor a lack of memory takes them.
	s.now = s.now.Add(24 * time.Hour)
	s.step(Event{Kind: EventTick})
	s.step(Event{Kind: EventReclaim, MemoryMiB: 1 << 20, Count: 100})
	s.invoke7(1, "assign i1 e2")
	s.invoke7(2, "assign i2 e1")
	s.status(ProvisionStatus{Requested: 2, Available: 2, Reached: true})
	s.invoke7(3, "ask e3 256") // spills over
	s.granted7(3, "start e3")
	s.step(Event{Kind: EventDone, Env: 1, Healthy: true}, "assign i3 e1") // whoever is free first
	s.step(Event{Kind: EventStarted, Env: 3, Healthy: true})
	s.step(Event{Kind: EventDone, Env: 1, Healthy: true})
	s.step(Event{Kind: EventDone, Env: 2, Healthy: false}, "destroy e2", "ask e4 256") // replaced
	s.status(ProvisionStatus{Requested: 2, Available: 1, Reached: true})
	s.step(Event{Kind: EventDestroyed, Env: 2}, "release e2 256")
	s.invoke7(4, "assign i4 e1") // the provisioned one before the one on demand
	s.step(Event{Kind: EventDone, Env: 1, Healthy: true})
	s.step(Event{Kind: EventReclaim, Count: 1}, "destroy e3")
	s.step(Event{Kind: EventDestroyed, Env: 3}, "release e3 256")
	s.provision(0, "cancel e4", "destroy e1")
	s.step(Event{Kind: EventDestroyed, Env: 1}, "release e1 256")
	if !s.core.Quiet() {
		t.Error("something is left")
	}
}

func TestProvisionedAreGivenUpWhenFewerAreWanted(t *testing.T) {
	s := newScript(t, Config{})
	s.provision(3, "ask e1 256", "ask e2 256", "ask e3 256")
	s.ready7(2)
	s.invoke7(1, "assign i1 e2")
	s.granted7(3, "start e3")
	s.provision(1, "destroy e1")
	s.step(Event{Kind: EventStarted, Env: 3, Healthy: true}, "destroy e3")
	s.step(Event{Kind: EventDone, Env: 2, Healthy: true})
	s.status(ProvisionStatus{Requested: 1, Available: 1, Reached: true})
	s.step(Event{Kind: EventRemoved, Key: PoolKey{Version: "7"}}, "destroy e2")
}

func TestProvisioningFailsAndTriesAgain(t *testing.T) {
	s := newScript(t, Config{})
	s.provision(1, "ask e1 256")
	s.granted7(1, "start e1")
	s.step(Event{Kind: EventStarted, Env: 1, Healthy: false}, "destroy e1")
	s.step(Event{Kind: EventDestroyed, Env: 1}, "release e1 256")
	s.status(ProvisionStatus{Requested: 1, Failure: ReasonInitFailed})
	s.step(Event{Kind: EventTick})
	s.now = s.now.Add(provisionRetryMin)
	s.step(Event{Kind: EventTick}, "ask e2 256")
	s.step(Event{Kind: EventGranted, Env: 2, MemoryMiB: 256}, "start e2")
	s.step(Event{Kind: EventStartFailed, Env: 2}, "release e2 256")
	s.status(ProvisionStatus{Requested: 1, Failure: ReasonStartFailed})
	s.now = s.now.Add(provisionRetryMin)
	s.step(Event{Kind: EventTick}) // twice as long now
	s.now = s.now.Add(provisionRetryMin)
	s.step(Event{Kind: EventTick}, "ask e3 256")
	// Nobody gives it memory: others must not wait behind it.
	s.now = s.now.Add(provisionWaitMax)
	s.step(Event{Kind: EventTick}, "cancel e3")
	s.status(ProvisionStatus{Requested: 1, Failure: ReasonNoCapacity})
	s.now = s.now.Add(provisionRetryMax)
	s.step(Event{Kind: EventTick}, "ask e4 256")
	s.granted7(4, "start e4")
	s.step(Event{Kind: EventStarted, Env: 4, Healthy: true})
	s.status(ProvisionStatus{Requested: 1, Available: 1, Reached: true})
}

func TestProvisionedAreReplacedBeforeTheirCredentialsExpire(t *testing.T) {
	s := newScript(t, Config{})
	s.provision(1, "ask e1 256")
	s.granted7(1, "start e1")
	s.step(Event{Kind: EventStarted, Env: 1, Healthy: true, Until: s.now.Add(time.Hour)})
	s.now = s.now.Add(2 * time.Hour)
	s.step(Event{Kind: EventTick}, "destroy e1", "ask e2 256")
}

func TestDrainGivesUpProvisioned(t *testing.T) {
	s := newScript(t, Config{})
	s.provision(2, "ask e1 256", "ask e2 256")
	s.granted7(1, "start e1")
	s.step(Event{Kind: EventStarted, Env: 1, Healthy: true})
	s.step(Event{Kind: EventDrain}, "cancel e2", "destroy e1")
	s.provision(5)
}

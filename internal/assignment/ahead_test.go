package assignment

import (
	"testing"
	"time"
)

// fourHourly makes a core that was invoked every four hours for so long that the next arrival is foreseen.
// Its last environment has been given up.
func fourHourly(t *testing.T) *script {
	t.Helper()
	s := newScript(t, Config{})
	for i := EnvID(1); i <= 4; i++ {
		name := string(rune('0' + i))
		s.invoke(InvokeID(i), "ask e"+name+" 128")
		s.granted(i, "start e"+name)
		s.started(i, "assign i"+name+" e"+name)
		s.done(i)
		s.now = s.now.Add(230 * time.Minute)
		s.step(Event{Kind: EventTick}, "destroy e"+name)
		s.step(Event{Kind: EventDestroyed, Env: i}, "release e"+name+" 128")
		s.now = s.now.Add(9 * time.Minute)
		s.step(Event{Kind: EventTick})
		if i < 4 {
			s.now = s.now.Add(time.Minute)
		}
	}
	if s.core.Quiet() || !s.core.Has(key("$LATEST", 1)) {
		t.Fatal("an arrival is foreseen, and the core says that there is nothing to do")
	}
	s.now = s.now.Add(51 * time.Second)
	return s
}

func TestStartedAheadOfAnArrival(t *testing.T) {
	s := fourHourly(t)
	s.step(Event{Kind: EventTick}, "ask e5 128")
	s.step(Event{Kind: EventTick}) // once
	s.granted(5, "start e5")
	s.step(Event{Kind: EventTick})
	s.started(5)
	s.now = s.now.Add(9 * time.Second)
	s.step(Event{Kind: EventTick}) // kept, though nobody has come
	s.invoke(5, "assign i5 e5")
	s.done(5)
	s.now = s.now.Add(2 * time.Minute)
	s.step(Event{Kind: EventTick}, "destroy e5") // and given up again until the next
}

func TestStartedAheadInVain(t *testing.T) {
	s := fourHourly(t)
	s.step(Event{Kind: EventTick}, "ask e5 128")
	s.granted(5, "start e5")
	s.started(5)
	s.now = s.now.Add(2 * time.Minute)
	s.step(Event{Kind: EventTick}, "destroy e5")
	s.step(Event{Kind: EventDestroyed, Env: 5}, "release e5 128")
	s.now = s.now.Add(24 * time.Hour)
	s.step(Event{Kind: EventTick}) // nothing more without an invoke
	if !s.core.Quiet() {
		t.Error("something is left")
	}
}

func TestStartedAheadOnlyFromWhatIsSpare(t *testing.T) {
	s := fourHourly(t)
	s.step(Event{Kind: EventTick}, "ask e5 128")
	s.step(Event{Kind: EventDenied, Env: 5})
	s.now = s.now.Add(time.Second)
	s.step(Event{Kind: EventTick}, "ask e6 128")
	s.step(Event{Kind: EventDenied, Env: 6})
	s.now = s.now.Add(time.Minute)
	s.step(Event{Kind: EventTick}) // too late now
	if !s.core.Quiet() {
		t.Error("something is left")
	}
}

func TestStartedAheadFails(t *testing.T) {
	for name, failed := range map[string]func(s *script){
		"no sandbox": func(s *script) { s.step(Event{Kind: EventStartFailed, Env: 5}, "release e5 128") },
		"its INIT": func(s *script) {
			s.step(Event{Kind: EventStarted, Env: 5}, "destroy e5")
			s.step(Event{Kind: EventDestroyed, Env: 5}, "release e5 128")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := fourHourly(t)
			s.step(Event{Kind: EventTick}, "ask e5 128")
			s.granted(5, "start e5")
			failed(s)
			s.now = s.now.Add(time.Second)
			s.step(Event{Kind: EventTick}) // not again
			s.now = s.now.Add(time.Minute)
			s.step(Event{Kind: EventTick})
			if !s.core.Quiet() {
				t.Error("something is left")
			}
		})
	}
}

// TestArrivalMeetsAStartAhead: the invoke takes the environment that is on its way.
func TestArrivalMeetsAStartAhead(t *testing.T) {
	s := fourHourly(t)
	s.step(Event{Kind: EventTick}, "ask e5 128")
	s.granted(5, "start e5")
	s.invoke(5)
	s.started(5, "assign i5 e5")

	s = fourHourly(t)
	s.step(Event{Kind: EventTick}, "ask e5 128")
	s.invoke(5, "ask e6 128")
	s.granted(5, "start e5", "cancel e6")
	s.started(5, "assign i5 e5")

	s = fourHourly(t)
	s.step(Event{Kind: EventTick}, "ask e5 128")
	s.invoke(5, "ask e6 128")
	s.granted(6, "start e6")
	s.granted(5, "release e5 128") // the other one was quicker
	s.started(6, "assign i5 e6")
}

// TestChangeForgetsWhatWasForeseen: nothing of an old version is started, and nothing while stopping.
func TestChangeForgetsWhatWasForeseen(t *testing.T) {
	for name, ev := range map[string]Event{
		"changed": {Kind: EventGeneration, Key: PoolKey{Version: "$LATEST", Generation: 2}},
		"removed": {Kind: EventRemoved, Key: PoolKey{Version: "$LATEST"}},
		"drained": {Kind: EventDrain},
	} {
		t.Run(name, func(t *testing.T) {
			s := fourHourly(t)
			s.step(ev)
			s.step(Event{Kind: EventTick})
			if !s.core.Quiet() {
				t.Error("something is left")
			}
			s = fourHourly(t)
			s.step(Event{Kind: EventTick}, "ask e5 128")
			s.step(ev)
			s.granted(5, "release e5 128")
			if !s.core.Quiet() {
				t.Error("something is left")
			}
		})
	}
}

package assignment

import (
	"testing"
	"time"
)

func TestScalingRate(t *testing.T) {
	start := time.Unix(1000, 0)
	r := newScalingRate(1000)
	taken := func(at time.Duration, want int) {
		t.Helper()
		n := 0
		for r.take(start.Add(at)) {
			n++
		}
		if n != want {
			t.Errorf("after %v: %d, want %d", at, n, want)
		}
	}
	taken(0, 1000)
	taken(0, 0)
	taken(9*time.Millisecond, 0)
	taken(10*time.Millisecond, 1)
	taken(5*time.Second, 499)
	taken(5*time.Second, 0)
	taken(4*time.Second, 0) // a clock that went back
	taken(time.Hour, 1000)  // not saved up
	r.giveBack()
	taken(time.Hour, 1)
}

// TestScalingRateRefuses: what may not grow is refused at once; what is there serves on.
func TestScalingRateRefuses(t *testing.T) {
	c := NewCore(Config{ScalingRate: 2})
	now := time.Unix(1000, 0)
	key := PoolKey{Version: "$LATEST"}
	count := func(invokes int, kind EffectKind) (n int) {
		for i := range invokes {
			for _, e := range c.Step(now, Event{Kind: EventInvoke, Invoke: InvokeID(100*now.Unix()) + InvokeID(i), Key: key, MemoryMiB: 128}, nil) {
				if e.Kind == kind {
					n++
				}
				if e.Kind == EffectReject && e.Reason != ReasonScalingRate {
					t.Errorf("rejected for %v", e.Reason)
				}
			}
		}
		return n
	}
	if n := count(5, EffectReject); n != 3 {
		t.Errorf("%d of 5 were refused, want 3", n)
	}
	for env := EnvID(1); env <= 2; env++ {
		c.Step(now, Event{Kind: EventGranted, Env: env, MemoryMiB: 128}, nil)
		c.Step(now, Event{Kind: EventStarted, Env: env, Healthy: true}, nil)
	}
	for env := EnvID(1); env <= 2; env++ {
		c.Step(now, Event{Kind: EventDone, Env: env, Healthy: true}, nil)
	}
	now = now.Add(time.Millisecond)
	if n := count(3, EffectAssign); n != 2 {
		t.Errorf("%d of 3 found the two warm environments", n)
	}
	now = now.Add(5 * time.Second)
	if n := count(3, EffectReject); n != 2 {
		t.Errorf("after half a period %d of 3 were refused, want 2", n)
	}
}

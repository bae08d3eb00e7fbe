package assignment

import (
	"math/rand/v2"
	"testing"
	"time"
)

// outcome is what a keep-alive policy cost for one function's arrivals.
type outcome struct {
	colds int
	idle  time.Duration // environment time that was paid for nothing
}

// replay lets one environment serve arrivals that are gaps apart.
func replay(gaps []time.Duration, window func() time.Duration, observe func(time.Duration)) (o outcome) {
	for _, gap := range gaps {
		kept := window()
		if gap > kept {
			o.colds++
			o.idle += kept
		} else {
			o.idle += gap
		}
		observe(gap)
	}
	return o
}

// TestKeepAliveAgainstFixedWindow compares the policy with ten minutes for everybody.
func TestKeepAliveAgainstFixedWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	around := func(d time.Duration, n int) []time.Duration {
		gaps := make([]time.Duration, n)
		for i := range gaps {
			gaps[i] = d + time.Duration(rng.Int64N(int64(d)/5)) - d/10
		}
		return gaps
	}
	bursts := func() (gaps []time.Duration) {
		for range 40 {
			gaps = append(gaps, around(2*time.Second, 200)...)
			gaps = append(gaps, 3*time.Hour)
		}
		return gaps
	}
	for name, tc := range map[string]struct {
		gaps  []time.Duration
		check func(adaptive, fixed outcome) bool
	}{
		// A timer just beyond the fixed window: every invoke was cold.
		"every 20 minutes": {around(20*time.Minute, 200), func(a, f outcome) bool { return f.colds == 200 && a.colds < 20 }},
		"every minute":     {around(time.Minute, 500), func(a, f outcome) bool { return a.colds == 0 && f.colds == 0 }},
		// Busy, then silent for hours: the same few cold starts, and far less idle memory.
		"bursts": {bursts(), func(a, f outcome) bool { return a.colds <= f.colds && a.idle < f.idle/2 }},
		// Too rare for any window that pays: it must not cost more than the fixed one.
		"once a day": {around(24*time.Hour, 50), func(a, f outcome) bool { return a.colds == f.colds && a.idle <= f.idle }},
	} {
		t.Run(name, func(t *testing.T) {
			k := NewKeepAlive(KeepAliveConfig{})
			adaptive := replay(tc.gaps, k.Window, k.Observe)
			fixed := replay(tc.gaps, func() time.Duration { return 10 * time.Minute }, func(time.Duration) {})
			t.Logf("adaptive %+v, fixed %+v", adaptive, fixed)
			if !tc.check(adaptive, fixed) {
				t.Error("the policy does not do what it is for")
			}
		})
	}
}

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
			adaptive := replay(tc.gaps, k.Window, func(idle time.Duration) { k.Observe(idle, 256) })
			fixed := replay(tc.gaps, func() time.Duration { return 10 * time.Minute }, func(time.Duration) {})
			t.Logf("adaptive %+v, fixed %+v", adaptive, fixed)
			if !tc.check(adaptive, fixed) {
				t.Error("the policy does not do what it is for")
			}
		})
	}
}

// TestKeepAliveWeighsMemory: of two functions with the same habits the smaller is kept longer.
func TestKeepAliveWeighsMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	small, large := NewKeepAlive(KeepAliveConfig{}), NewKeepAlive(KeepAliveConfig{})
	for range 200 {
		idle := time.Duration(rng.ExpFloat64() * float64(20*time.Minute))
		small.Observe(idle, 128)
		large.Observe(idle, 10240)
	}
	if small.Window() < 20*time.Minute || large.Window() > time.Minute {
		t.Errorf("small %v, large %v", small.Window(), large.Window())
	}
}

// TestKeepAliveStaysInBounds whatever it is told.
func TestKeepAliveStaysInBounds(t *testing.T) {
	for _, cfg := range []KeepAliveConfig{{}, {Min: time.Hour, Max: time.Hour}, {Min: time.Second, Max: 2 * time.Second, Initial: time.Hour}} {
		k := NewKeepAlive(cfg)
		cfg = cfg.withDefaults()
		for _, idle := range []time.Duration{-1, 0, 1, time.Second, time.Hour, 1 << 62} {
			for range 40 {
				k.Observe(idle, 0)
				if w := k.Window(); w < cfg.Min || w > cfg.Max {
					t.Fatalf("%+v after %v: %v", cfg, idle, w)
				}
			}
		}
	}
}

func TestKeepAlive(t *testing.T) {
	type idle struct {
		time  time.Duration
		times int
	}
	for name, tc := range map[string]struct {
		idle        []idle
		least, most time.Duration
	}{
		"knows nothing":      {nil, 10 * time.Minute, 10 * time.Minute},
		"busy":               {[]idle{{time.Second, 500}}, time.Minute, 10 * time.Minute},
		"every five minutes": {[]idle{{5 * time.Minute, 20}}, 5 * time.Minute, 10 * time.Minute},
		// No memory that is kept so long is worth a cold start a day.
		"once a day":      {[]idle{{24 * time.Hour, 20}}, time.Minute, time.Minute},
		"busy after slow": {[]idle{{30 * time.Minute, 20}, {time.Second, 50_000}}, time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			k := NewKeepAlive(KeepAliveConfig{})
			for _, i := range tc.idle {
				for range i.times {
					k.Observe(i.time, 256)
				}
			}
			if w := k.Window(); w < tc.least || w > tc.most {
				t.Errorf("window %v, want %v to %v", w, tc.least, tc.most)
			}
		})
	}
}

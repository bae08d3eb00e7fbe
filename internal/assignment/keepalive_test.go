package assignment

import (
	"math/rand/v2"
	"testing"
	"time"
)

// outcome is what a keep-alive policy cost for one function's arrivals.
type outcome struct {
	colds int
	ahead int           // environments started ahead
	idle  time.Duration // environment time that was paid for nothing
}

// replay lets one environment serve arrivals that are gaps apart.
func replay(gaps []time.Duration, k *KeepAlive) (o outcome) {
	for _, gap := range gaps {
		o.idle += min(gap, k.Window())
		warm := gap <= k.Window()
		if ahead, ok := k.Ahead(); ok && gap > ahead.From {
			o.ahead++
			o.idle += min(gap, ahead.To) - ahead.From
			warm = gap <= ahead.To
		}
		if !warm {
			o.colds++
		}
		k.Observe(gap, 256)
	}
	return o
}

// replayFixed keeps an environment ten minutes, whatever comes.
func replayFixed(gaps []time.Duration) (o outcome) {
	for _, gap := range gaps {
		o.idle += min(gap, 10*time.Minute)
		if gap > 10*time.Minute {
			o.colds++
		}
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
	timer := func(d time.Duration, n int) []time.Duration {
		gaps := make([]time.Duration, n)
		for i := range gaps {
			gaps[i] = d + time.Duration(rng.Int64N(int64(time.Minute))) - 30*time.Second
		}
		return gaps
	}
	disturbed := func(gaps []time.Duration) (out []time.Duration) {
		for i, gap := range gaps {
			if i%10 == 9 {
				first := time.Duration(rng.Int64N(int64(gap)))
				out = append(out, first, gap-first)
			} else {
				out = append(out, gap)
			}
		}
		return out
	}
	memoryless := func(mean time.Duration, n int) []time.Duration {
		gaps := make([]time.Duration, n)
		for i := range gaps {
			gaps[i] = time.Duration(rng.ExpFloat64() * float64(mean))
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
		// Too rare for any window that pays, and hours apart: it must not cost more than the fixed one.
		"about once a day": {around(24*time.Hour, 50), func(a, f outcome) bool { return a.colds == f.colds && a.idle <= f.idle && a.ahead == 0 }},
		// A schedule, give or take half a minute: started ahead, and unloaded between.
		"every day":       {timer(24*time.Hour, 50), func(a, f outcome) bool { return a.colds <= 4 && a.idle < f.idle/2 }},
		"every hour":      {timer(time.Hour, 200), func(a, f outcome) bool { return a.colds <= 10 && a.idle < f.idle/2 }},
		"every 3 minutes": {timer(3*time.Minute, 200), func(a, f outcome) bool { return a.colds == 0 && a.ahead == 0 }},
		// One arrival of ten is somebody's own: the next one from the schedule comes after a shorter silence.
		"every hour and now and then": {disturbed(timer(time.Hour, 200)), func(a, f outcome) bool { return a.colds < f.colds/2 && a.idle < f.idle }},
		// The schedule changes: as many are missed as it takes to see it.
		"every hour, then every 25 minutes": {append(timer(time.Hour, 50), timer(25*time.Minute, 50)...), func(a, f outcome) bool { return a.colds <= 14 }},
		// No habit at all: hardly ever started ahead.
		"without memory": {memoryless(time.Hour, 500), func(a, f outcome) bool { return a.ahead < 25 }},
	} {
		t.Run(name, func(t *testing.T) {
			k := NewKeepAlive(KeepAliveConfig{})
			adaptive, fixed := replay(tc.gaps, &k), replayFixed(tc.gaps)
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

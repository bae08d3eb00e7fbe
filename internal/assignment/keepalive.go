package assignment

import (
	"math"
	"time"
)

// KeepAliveConfig bounds the keep-alive policy.
type KeepAliveConfig struct {
	Min     time.Duration // never shorter
	Max     time.Duration // never longer; also what the histogram covers
	Initial time.Duration // until enough is known
	// Worth is how much idle time of worthMiB one cold start may cost: the only
	// choice there is between memory and cold starts.
	Worth time.Duration
}

func (c KeepAliveConfig) withDefaults() KeepAliveConfig {
	if c.Min == 0 {
		c.Min = time.Minute
	}
	if c.Max == 0 {
		c.Max = 12 * time.Hour
	}
	if c.Initial == 0 {
		c.Initial = 10 * time.Minute
	}
	if c.Worth == 0 {
		// On a mix of functions like those of "Serverless in the Wild" (USENIX ATC 2020) this takes as
		// much idle memory as ten minutes for everybody; test/bench measures it.
		c.Worth = 40 * time.Minute
	}
	return c
}

const (
	// keepBins divide Min to Max in equal ratios; one more is for what is shorter, one for
	// what is longer.
	keepBins = 62
	// keepEnough observations make the histogram speak.
	keepEnough = 2
	// keepHalve: beyond it all counts are halved, so that old habits fade.
	keepHalve = 2048
	// keepPrior of an observation is taken to lie evenly in all bins before any is made, so
	// that a few alike do not make a certainty.
	keepPrior = 0.2
	// keepLazy: so many idle times below Min may pass before the window is thought about again.
	keepLazy = 32
	// worthMiB is the memory that Worth is told for: an environment of twice as much is
	// kept for half as long.
	worthMiB = 256
)

// KeepAlive learns from a function's idle times how long a warm environment is worth its
// memory. It takes the window for which the cold starts that would have been and the idle
// memory that it would have cost, weighed by Worth, are least together. As every
// function has the same Worth, no memory would spare more cold starts elsewhere.
type KeepAlive struct {
	cfg       KeepAliveConfig
	perRatio  float64 // bins for each e-fold
	bins      [keepBins + 2]float32
	count     float32
	skipped   int // idle times below Min since the window was thought about
	memoryMiB int
	window    time.Duration
	silences  silences
	ahead     Ahead
}

// NewKeepAlive makes a policy that knows nothing yet.
func NewKeepAlive(cfg KeepAliveConfig) KeepAlive {
	cfg = cfg.withDefaults()
	k := KeepAlive{cfg: cfg, memoryMiB: worthMiB}
	if cfg.Max > cfg.Min {
		k.perRatio = keepBins / math.Log(float64(cfg.Max)/float64(cfg.Min))
	}
	k.window = k.clamp(cfg.Initial)
	return k
}

// Observe takes the time that passed between an invoke's end and the next arrival, and the
// function's memory size.
func (k *KeepAlive) Observe(idle time.Duration, memoryMiB int) {
	if idle < 0 {
		return
	}
	i := k.bin(idle)
	k.bins[i]++
	k.count++
	if k.count > keepHalve {
		k.halve()
	}
	k.memoryMiB = max(memoryMiB, 1)
	if k.skipped++; i == 0 && k.skipped < keepLazy && k.count > keepLazy {
		return // a busy function's idle times are all this short
	}
	k.skipped = 0
	if i > 0 {
		k.silences.add(idle)
	}
	if k.count < keepEnough {
		return
	}
	k.window = k.clamp(k.decide())
	if k.ahead = k.foresee(k.window); k.ahead.To > 0 {
		k.window = k.cfg.Min
	}
}

// Window is how long an environment is kept idle after its invoke.
func (k *KeepAlive) Window() time.Duration { return k.window }

func (k *KeepAlive) bin(idle time.Duration) int {
	switch {
	case idle < k.cfg.Min:
		return 0
	case idle >= k.cfg.Max:
		return keepBins + 1
	}
	return min(1+int(math.Log(float64(idle)/float64(k.cfg.Min))*k.perRatio), keepBins)
}

// end is where a bin ends, in seconds.
func (k *KeepAlive) end(bin int) float64 {
	if k.perRatio == 0 {
		return k.cfg.Min.Seconds()
	}
	return k.cfg.Min.Seconds() * math.Exp(float64(bin)/k.perRatio)
}

// decide goes through the windows that end with a bin. Costs are in seconds of idle time.
func (k *KeepAlive) decide() time.Duration {
	const prior = float64(keepPrior) / (keepBins + 2)
	worth := k.worth()
	longer := float64(k.count) + keepPrior // how many idle times outlast the window
	best, window := math.Inf(1), 0.0
	begin, idle := 0.0, 0.0
	for i := range keepBins + 1 {
		end := k.end(i)
		n := float64(k.bins[i]) + prior
		idle += n * (begin + end) / 2
		longer -= n
		if cost := longer*worth + idle + longer*end; cost < best {
			best, window = cost, end
		}
		begin = end
	}
	return time.Duration(window * float64(time.Second))
}

// worth is how many seconds of the function's idle time a cold start may cost.
func (k *KeepAlive) worth() float64 { return k.cfg.Worth.Seconds() * worthMiB / float64(k.memoryMiB) }

func (k *KeepAlive) halve() {
	k.count = 0
	for i := range k.bins {
		k.bins[i] /= 2
		k.count += k.bins[i]
	}
}

func (k *KeepAlive) clamp(d time.Duration) time.Duration {
	return min(max(d, k.cfg.Min), k.cfg.Max)
}

package assignment

import "time"

// KeepAliveConfig bounds the keep-alive policy.
type KeepAliveConfig struct {
	Min     time.Duration // never shorter
	Max     time.Duration // never longer; also what the histogram covers
	Initial time.Duration // until enough is known
}

func (c KeepAliveConfig) withDefaults() KeepAliveConfig {
	if c.Min == 0 {
		c.Min = time.Minute
	}
	if c.Max == 0 {
		c.Max = time.Hour
	}
	if c.Initial == 0 {
		c.Initial = 10 * time.Minute
	}
	return c
}

const (
	// keepBins divide Max.
	keepBins = 120
	// keepEnough observations make the histogram speak.
	keepEnough = 8
	// keepHalve: beyond it all counts are halved, so that old habits fade.
	keepHalve = 512
	// keepTail is the share of idle times that a window must cover, in
	// thousandths, and keepMargin widens it, in hundredths. Source: the hybrid
	// histogram policy of "Serverless in the Wild" (USENIX ATC 2020): the tail at
	// the 99th percentile and a margin of 10 %.
	keepTail   = 990
	keepMargin = 110
	// keepOutside: if more than half of the idle times lie outside the histogram, it
	// says nothing, and Initial holds.
	keepOutside = 2
)

// KeepAlive learns from a function's idle times how long a warm environment is
// worth its memory: a histogram, and a window that covers its tail.
type KeepAlive struct {
	cfg     KeepAliveConfig
	width   time.Duration
	bins    [keepBins]uint16
	inside  int
	outside int
	window  time.Duration
}

// NewKeepAlive makes a policy that knows nothing yet.
func NewKeepAlive(cfg KeepAliveConfig) KeepAlive {
	cfg = cfg.withDefaults()
	k := KeepAlive{cfg: cfg, width: max(cfg.Max/keepBins, 1)}
	k.window = k.clamp(cfg.Initial)
	return k
}

// Observe takes the time that passed between an invoke's end and the next arrival.
func (k *KeepAlive) Observe(idle time.Duration) {
	i := int(idle / k.width)
	switch {
	case idle < 0:
		return
	case i < keepBins:
		k.bins[i]++
		k.inside++
	default:
		k.outside++
	}
	if k.inside+k.outside > keepHalve {
		k.halve()
	}
	// A busy function's idle times all fall into the first bin: nothing to think about.
	if i == 0 && k.window == k.cfg.Min {
		return
	}
	k.window = k.clamp(k.decide())
}

// Window is how long an idle environment is kept.
func (k *KeepAlive) Window() time.Duration { return k.window }

func (k *KeepAlive) decide() time.Duration {
	if k.inside+k.outside < keepEnough || k.outside*keepOutside > k.inside+k.outside {
		return k.cfg.Initial
	}
	need := (k.inside*keepTail + 999) / 1000
	seen := 0
	for i, n := range k.bins {
		if seen += int(n); seen >= need {
			return time.Duration(i+1) * k.width * keepMargin / 100
		}
	}
	return k.cfg.Max
}

func (k *KeepAlive) halve() {
	k.inside = 0
	for i := range k.bins {
		k.bins[i] /= 2
		k.inside += int(k.bins[i])
	}
	k.outside /= 2
}

func (k *KeepAlive) clamp(d time.Duration) time.Duration {
	return min(max(d, k.cfg.Min), k.cfg.Max)
}

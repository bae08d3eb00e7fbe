package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// traced is one function of a synthetic trace: its memory size and the times between its
// invokes.
type traced struct {
	kind      string
	memoryMiB int
	gaps      []time.Duration
}

const (
	traceLength = 14 * 24 * time.Hour
	day         = 24 * time.Hour
)

// azureLike makes a trace in the manner of the one that "Serverless in the Wild" (USENIX ATC 2020)
// describes of Azure Functions: invoke rates spread over many orders of magnitude with most
// functions rare, about a third on timers, the rest by people and other programs, with days and
// nights, or in bursts with heavy-tailed silence between. A seed makes the same trace
// everywhere. It is synthetic: shapes and shares are the paper's, no figure is a measured one.
func azureLike(seed uint64, functions int) []traced {
	rng := rand.New(rand.NewPCG(seed, 0))
	sizes := []int{128, 128, 128, 256, 256, 512, 512, 1024}
	all := make([]traced, 0, functions)
	for range functions {
		f := traced{memoryMiB: sizes[rng.IntN(len(sizes))]}
		// Log-normal with a median of 30 invokes a day.
		perDay := min(max(math.Exp(math.Log(30)+2.6*rng.NormFloat64()), 1.0/7), 20_000)
		switch share := rng.Float64(); {
		case share < 0.30:
			f.kind, f.gaps = "timer", timerGaps(rng)
		case share < 0.65:
			f.kind, f.gaps = "Poisson, day and night", poissonGaps(rng, perDay)
		default:
			f.kind, f.gaps = "bursts", burstGaps(rng, perDay)
		}
		all = append(all, f)
	}
	return all
}

// timerGaps are those of a schedule that people write, give or take seconds.
func timerGaps(rng *rand.Rand) []time.Duration {
	periods := []time.Duration{time.Minute, 5 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, time.Hour, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, day}
	period := periods[rng.IntN(len(periods))]
	return fill(func(time.Duration) time.Duration {
		return period + time.Duration(rng.NormFloat64()*float64(2*time.Second))
	})
}

// poissonGaps are without memory, at a rate that goes up and down with the day.
func poissonGaps(rng *rand.Rand, perDay float64) []time.Duration {
	return fill(func(now time.Duration) time.Duration {
		hour := math.Mod(now.Hours(), 24)
		rate := perDay * (1 + 0.8*math.Sin(2*math.Pi*hour/24))
		return time.Duration(rng.ExpFloat64() * float64(day) / rate)
	})
}

// burstGaps are seconds within a burst and a Pareto distributed silence (shape 1.5) between two.
func burstGaps(rng *rand.Rand, perDay float64) []time.Duration {
	size := 1 + 20*rng.ExpFloat64()
	silence := float64(day) / perDay * size
	return fill(func(time.Duration) time.Duration {
		if rng.Float64() < 1/size {
			return time.Duration(silence / 3 * math.Pow(1-rng.Float64(), -1/1.5))
		}
		return time.Duration(rng.ExpFloat64() * float64(10*time.Second))
	})
}

func fill(next func(now time.Duration) time.Duration) (gaps []time.Duration) {
	for now := time.Duration(0); now < traceLength; {
		gap := max(next(now), 0)
		gaps = append(gaps, gap)
		now += gap
	}
	return gaps
}

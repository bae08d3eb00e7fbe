package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lambdad/lambdad/internal/assignment"
)

// keepAliveSeeds are three traces: a policy must not be good at one only.
var keepAliveSeeds = []uint64{1, 7, 2020}

// benchKeepAlive replays synthetic traces against the policy of assignment, and against
// ten minutes for everybody: the cold starts and the memory of environments that wait.
func benchKeepAlive(_ context.Context, b *bench) error {
	functions := 2000
	if b.quick {
		functions = 200
	}
	var rows [][]string
	var fewer, memory, equally []float64
	for _, seed := range keepAliveSeeds {
		trace := azureLike(seed, functions)
		was, is := fixedCost(trace, fixedWindow), map[string]idleCost{}
		for _, f := range trace {
			policy := assignment.NewKeepAlive(assignment.KeepAliveConfig{})
			cost := f.replay(policy.Window, policy.Ahead, func(idle time.Duration) { policy.Observe(idle, f.memoryMiB) })
			is[f.kind], is[allKinds] = is[f.kind].plus(cost), is[allKinds].plus(cost)
		}
		equal := sameMemory(trace, is[allKinds].gbSeconds)
		at := fixedCost(trace, equal)
		for _, kind := range []string{"timer", "Poisson, day and night", "bursts", allKinds} {
			w, l := was[kind], is[kind]
			same := "-"
			if kind == allKinds {
				ratio := float64(at[kind].colds) / float64(max(l.colds, 1))
				same = fmt.Sprintf("%.2f (%v)", ratio, equal.Round(time.Second))
				fewer, memory, equally = append(fewer, float64(w.colds)/float64(max(l.colds, 1))), append(memory, l.gbSeconds/w.gbSeconds), append(equally, ratio)
			}
			rows = append(rows, []string{fmt.Sprint(seed), kind, fmt.Sprint(w.invokes), fmt.Sprint(w.colds), fmt.Sprint(l.colds),
				fmt.Sprintf("%.2f", float64(w.colds)/float64(max(l.colds, 1))), fmt.Sprintf("%.2f", l.gbSeconds/w.gbSeconds), same, fmt.Sprint(l.ahead)})
		}
	}
	spread := func(of []float64) string { return fmt.Sprintf("%.2f to %.2f", slices.Min(of), slices.Max(of)) }
	rows = append(rows, []string{"spread", allKinds, "-", "-", "-", spread(fewer), spread(memory), spread(equally), "-"})
	b.report.table(fmt.Sprintf("Keep-alive: %d functions of a synthetic Azure-like trace, %d days", functions, traceLength/day),
		[]string{"seed", "functions", "invokes", "cold starts, 10 minutes fixed", "cold starts, learned", "times fewer", "idle GB-s / fixed", "times fewer than the fixed window of equal GB-s", "started ahead"}, rows,
		"Each function has one environment and its invokes take no time, so that only the policy counts. test/bench/trace.go makes the traces; its timers are late or early by two seconds (one standard deviation), which makes them easy to foresee.")
	return nil
}

const (
	fixedWindow = 10 * time.Minute
	allKinds    = "all"
)

// fixedCost is what one window for everybody costs.
func fixedCost(trace []traced, window time.Duration) map[string]idleCost {
	costs := map[string]idleCost{}
	for _, f := range trace {
		cost := f.replay(func() time.Duration { return window }, never, func(time.Duration) {})
		costs[f.kind], costs[allKinds] = costs[f.kind].plus(cost), costs[allKinds].plus(cost)
	}
	return costs
}

// sameMemory is the fixed window that costs as much memory.
func sameMemory(trace []traced, gbSeconds float64) time.Duration {
	low, high := time.Duration(0), 4*time.Hour
	for high-low > 5*time.Second {
		middle := (low + high) / 2
		if fixedCost(trace, middle)[allKinds].gbSeconds < gbSeconds {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// idleCost is what a policy cost.
type idleCost struct {
	invokes, colds int
	ahead          int     // environments started ahead of an arrival
	gbSeconds      float64 // of environments that wait
}

func (c idleCost) plus(o idleCost) idleCost {
	return idleCost{c.invokes + o.invokes, c.colds + o.colds, c.ahead + o.ahead, c.gbSeconds + o.gbSeconds}
}

func never() (assignment.Ahead, bool) { return assignment.Ahead{}, false }

func (f *traced) replay(window func() time.Duration, ahead func() (assignment.Ahead, bool), observe func(time.Duration)) (c idleCost) {
	for _, gap := range f.gaps {
		kept := window()
		waited, warm := min(gap, kept), gap <= kept
		if next, ok := ahead(); ok && gap > next.From {
			c.ahead++
			waited += min(gap, next.To) - next.From
			warm = gap <= next.To
		}
		if !warm {
			c.colds++
		}
		c.gbSeconds += waited.Seconds() * float64(f.memoryMiB) / 1024
		observe(gap)
	}
	c.invokes = len(f.gaps)
	return c
}

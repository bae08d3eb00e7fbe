package main

import (
	"context"
	"fmt"
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
	for _, seed := range keepAliveSeeds {
		trace := azureLike(seed, functions)
		was, is := fixedCost(trace, fixedWindow), map[string]idleCost{}
		for _, f := range trace {
			policy := assignment.NewKeepAlive(assignment.KeepAliveConfig{})
			cost := f.replay(policy.Window, func(idle time.Duration) { policy.Observe(idle, f.memoryMiB) })
			is[f.kind], is[allKinds] = is[f.kind].plus(cost), is[allKinds].plus(cost)
		}
		equal := sameMemory(trace, is[allKinds].gbSeconds)
		at := fixedCost(trace, equal)
		for _, kind := range []string{"timer", "Poisson, day and night", "bursts", allKinds} {
			w, l := was[kind], is[kind]
			same := "-"
			if kind == allKinds {
				same = fmt.Sprintf("%.2f (%v)", float64(at[kind].colds)/float64(max(l.colds, 1)), equal.Round(time.Second))
			}
			rows = append(rows, []string{fmt.Sprint(seed), kind, fmt.Sprint(w.invokes), fmt.Sprint(w.colds), fmt.Sprint(l.colds),
				fmt.Sprintf("%.2f", float64(w.colds)/float64(max(l.colds, 1))), fmt.Sprintf("%.2f", l.gbSeconds/w.gbSeconds), same})
		}
	}
	b.report.table(fmt.Sprintf("Keep-alive: %d functions of a synthetic Azure-like trace, %d days", functions, traceLength/day),
		[]string{"seed", "functions", "invokes", "cold starts, 10 minutes fixed", "cold starts, learned", "times fewer", "idle GB-s / fixed", "times fewer than the fixed window of equal GB-s"}, rows,
		"Each function has one environment and its invokes take no time, so that only the policy counts. test/bench/trace.go makes the traces.")
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
		cost := f.replay(func() time.Duration { return window }, func(time.Duration) {})
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
	gbSeconds      float64 // of environments that wait
}

func (c idleCost) plus(o idleCost) idleCost {
	return idleCost{c.invokes + o.invokes, c.colds + o.colds, c.gbSeconds + o.gbSeconds}
}

func (f *traced) replay(window func() time.Duration, observe func(time.Duration)) (c idleCost) {
	for _, gap := range f.gaps {
		kept := window()
		if gap > kept {
			c.colds++
		}
		c.gbSeconds += min(gap, kept).Seconds() * float64(f.memoryMiB) / 1024
		observe(gap)
	}
	c.invokes = len(f.gaps)
	return c
}

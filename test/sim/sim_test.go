package sim

import (
	"flag"
	"fmt"
	"testing"
)

var (
	oneSeed = flag.Uint64("seed", 0, "replay one seed")
	seeds   = flag.Int("seeds", 60, "how many seeds to try")
	steps   = flag.Int("steps", 5000, "steps of each seed")
)

func TestInvokePath(t *testing.T) {
	if *oneSeed != 0 {
		w := newWorld(*oneSeed, false)
		err := w.run(*steps)
		t.Logf("seed %d: %+v", *oneSeed, w.stats)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	n := *seeds
	if testing.Short() {
		n = 10
	}
	var total stats
	for seed := uint64(1); seed <= uint64(n); seed++ {
		w := newWorld(seed, false)
		if err := w.run(*steps); err != nil {
			t.Errorf("seed %d: %v\nreplay: go test ./test/sim -run TestInvokePath -seed %d -steps %d", seed, err, seed, *steps)
		}
		total.assigned += w.stats.assigned
		total.throttled += w.stats.throttled
		total.rejected += w.stats.rejected
		total.started += w.stats.started
		total.crashed += w.stats.crashed
		total.destroyed += w.stats.destroyed
		total.reclaimed += w.stats.reclaimed
		total.tooFast += w.stats.tooFast
		total.provisioned += w.stats.provisioned
	}
	t.Logf("%d seeds: %+v", n, total)
	// A world in which something never happens proves nothing about it.
	for what, n := range map[string]int{"assigned": total.assigned, "throttled": total.throttled, "rejected": total.rejected, "crashed": total.crashed, "reclaimed": total.reclaimed, "refused for growing too fast": total.tooFast, "run in a provisioned environment": total.provisioned} {
		if n == 0 {
			t.Errorf("no invoke was ever %s", what)
		}
	}
}

func TestSeedReplays(t *testing.T) {
	trace := func() string {
		w := newWorld(42, false)
		if err := w.run(3000); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v %v", w.stats, w.now)
	}
	if a, b := trace(), trace(); a != b {
		t.Errorf("the same seed made two worlds:\n%s\n%s", a, b)
	}
}

// TestStartedAhead lets schedules invoke the functions: what is started ahead keeps all that must
// hold, and most arrivals find it there.
func TestStartedAhead(t *testing.T) {
	var ahead, foreseen, assigned int
	for seed := uint64(1); seed <= 5; seed++ {
		w := newWorld(seed, true)
		if err := w.run(40_000); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		ahead, foreseen, assigned = ahead+w.stats.ahead, foreseen+w.stats.foreseen, assigned+w.stats.assigned
	}
	t.Logf("%d invokes, %d environments started ahead, %d of them found an invoke", assigned, ahead, foreseen)
	if ahead == 0 || foreseen < ahead/2 {
		t.Errorf("%d of %d environments that were started ahead found an invoke", foreseen, ahead)
	}
}

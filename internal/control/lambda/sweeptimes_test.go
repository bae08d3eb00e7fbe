package lambda

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
)

// TestSweepTimes: a package that was removed soon after it came is swept, too, though nothing is removed afterwards.
func TestSweepTimes(t *testing.T) {
	var times sweepTimes
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		after time.Duration
		noted bool
		want  bool
	}{
		{0, false, false},
		{sweepEvery, true, true}, // spares what is new
		{2 * sweepEvery, false, false},
		{sweepEvery + artifact.SweepGrace, false, true},
		{2*sweepEvery + artifact.SweepGrace, false, false},
		{3*sweepEvery + artifact.SweepGrace, true, true},
		{4*sweepEvery + artifact.SweepGrace, true, true},
		{3*sweepEvery + 2*artifact.SweepGrace, false, false}, // the later note counts
		{4*sweepEvery + 2*artifact.SweepGrace, false, true},
	} {
		if got := times.due(start.Add(tc.after), tc.noted); got != tc.want {
			t.Errorf("after %v, noted %v: %v", tc.after, tc.noted, got)
		}
	}
}

package worker

import "time"

const (
	// nextGraceMin is how long an invoke always waits for a runtime that has answered the
	// one before and not called GET next yet.
	nextGraceMin = 25 * time.Millisecond
	// nextGraceMax bounds the wait for functions whose start takes longer than clients like
	// to wait for a runtime that may be busy until its timeout.
	nextGraceMax = time.Second
)

// graceFor is how long to wait for GET next instead of starting another environment: as
// long as a start took. So the wait costs at most as much again as what it may spare.
func graceFor(start time.Duration) time.Duration {
	return min(max(start, nextGraceMin), nextGraceMax)
}

package assignment

import (
	"errors"
	"time"
)

// A function gets scalingRateDefault new environments every scalingPeriod. Source:
// Lambda developer guide, "Understanding Lambda function scaling", concurrency scaling
// rate: 1,000 execution environments every 10 seconds for each function, refilled
// continuously, and what is not used is not saved up.
const (
	scalingRateDefault = 1000
	scalingPeriod      = 10 * time.Second
)

// ErrScalingRate means that a function grows faster than it may; match with errors.Is.
var ErrScalingRate = errors.New("assignment: the function's scaling rate is exceeded")

// scalingRate is a token bucket. It counts in the time that a token takes to come
// back, so that nothing is ever rounded.
type scalingRate struct {
	each  time.Duration // between two tokens
	full  time.Duration // each times the size of the bucket
	saved time.Duration
	at    time.Time // when saved was true
}

func newScalingRate(perPeriod int) scalingRate {
	each := max(scalingPeriod/time.Duration(perPeriod), 1)
	full := each * time.Duration(perPeriod)
	return scalingRate{each: each, full: full, saved: full}
}

// take takes one token if there is one.
func (r *scalingRate) take(now time.Time) bool {
	if since := now.Sub(r.at); since > 0 {
		r.saved = min(r.full, r.saved+min(since, r.full))
		r.at = now
	}
	if r.saved < r.each {
		return false
	}
	r.saved -= r.each
	return true
}

// giveBack returns a token that was taken for an environment which was not made after all.
func (r *scalingRate) giveBack() { r.saved = min(r.full, r.saved+r.each) }

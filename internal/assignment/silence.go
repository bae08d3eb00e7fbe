package assignment

import (
	"slices"
	"time"
)

const (
	// silencesKept are the latest silences of a function that a prediction is made of.
	silencesKept = 8
	// silencesEnough of them make one.
	silencesEnough = 3
	// silenceMissed of them at most, as one in so many, may lie outside of it.
	silenceMissed = 4
	// silenceSpread: the others differ by no more than this part of the shortest.
	silenceSpread = 5
	// aheadMargin is how long before the earliest expected arrival an environment is started
	// (an INIT takes up to ten seconds), and after the latest how long it waits.
	aheadMargin = 10 * time.Second
	// aheadStartCost is what a start costs, told as idle time: less than this and the environment
	// is kept rather than made again.
	aheadStartCost = 2 * time.Minute
)

// silences are a function's latest idle times that were too long to keep an environment over
// them without a thought. They tell whether its next arrival can be foreseen.
type silences struct {
	latest [silencesKept]time.Duration // a ring
	count  int
	next   int
}

func (s *silences) add(d time.Duration) {
	s.latest[s.next] = d
	s.next = (s.next + 1) % silencesKept
	s.count = min(s.count+1, silencesKept)
}

// expected is the narrowest span that holds nearly all of them, and how many it misses; false when it is
// not narrow, or when there are too few.
func (s *silences) expected() (earliest, latest time.Duration, missed int, ok bool) {
	if s.count < silencesEnough {
		return 0, 0, 0, false
	}
	var sorted [silencesKept]time.Duration
	known := sorted[:copy(sorted[:], s.latest[:s.count])]
	slices.Sort(known)
	for missed = range s.count/silenceMissed + 1 {
		held := s.count - missed
		for i := 0; i+held <= s.count; i++ {
			first, last := known[i], known[i+held-1]
			if last-first <= first/silenceSpread && (!ok || last-first < latest-earliest) {
				earliest, latest, ok = first, last, true
			}
		}
		if ok {
			return earliest, latest, missed, true
		}
	}
	return 0, 0, 0, false
}

// Ahead is when a function's next arrival is expected, counted from the end of its last invoke:
// with it an environment is given up early, started again at From and kept until To.
type Ahead struct{ From, To time.Duration }

// Ahead foresees the next arrival; false where that is uncertain or where keeping an environment
// is as good.
func (k *KeepAlive) Ahead() (Ahead, bool) { return k.ahead, k.ahead.To > 0 }

// foresee weighs keeping an environment for the window against starting one ahead, in seconds of
// idle time for one silence.
func (k *KeepAlive) foresee(window time.Duration) Ahead {
	earliest, latest, missed, ok := k.silences.expected()
	margin := aheadMargin + (latest-earliest)/3 // the few that are known are not the extremes
	ahead := Ahead{From: earliest - margin, To: latest + margin}
	if !ok || ahead.From <= 2*k.cfg.Min {
		return Ahead{}
	}
	worth := k.worth()
	typical := ((earliest + latest) / 2).Seconds()
	keep := typical
	if window < latest {
		keep = window.Seconds() + worth
	}
	// As if half of one more had been missed, so that a few alike do not make a certainty.
	wrong := (float64(missed) + 0.5) / float64(k.silences.count+1)
	start := (k.cfg.Min + aheadStartCost + ahead.To - ahead.From).Seconds() + wrong*worth
	if start >= keep {
		return Ahead{}
	}
	return ahead
}

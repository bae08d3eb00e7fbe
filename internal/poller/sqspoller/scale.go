package sqspoller

import "time"

const (
	// scaleFirst is how many batches of a standard queue run at once at first, and scaleEvery how soon
	// there is one more while all of them do. Source: Lambda developer guide, "Configuring scaling
	// behavior for SQS event source mappings": five, up to 300 more a minute, and back to
	// five when traffic is low.
	scaleFirst = 5
	scaleEvery = time.Minute / 300
)

// scale is how many batches may run at once.
type scale struct {
	places int
	most   int       // that ran at once since the last place was added
	full   time.Time // since when all places are wanted, or the last one was added; zero: they are not
}

// busy learns how many batches run, and tells when to look again, zero for never. Between a batch's end and
// the next one's messages a place is free, which says nothing: so it counts how many ran at most.
func (s *scale) busy(now time.Time, running int) time.Time {
	s.most = max(s.most, running)
	if s.full.IsZero() && s.most >= s.places {
		s.full = now
	}
	if s.full.IsZero() || s.places == concurrencyMax {
		return time.Time{}
	}
	return s.full.Add(scaleEvery)
}

// grow adds the places that are due, if those that there are were taken meanwhile.
func (s *scale) grow(now time.Time, running int) {
	n := int(now.Sub(s.full) / scaleEvery)
	if s.full.IsZero() || n < 1 {
		return
	}
	if s.most < s.places {
		s.full = time.Time{}
	} else {
		s.places, s.full = min(s.places+n, concurrencyMax), s.full.Add(time.Duration(n)*scaleEvery)
	}
	s.most = running
}

// quiet learns that the queue had nothing.
func (s *scale) quiet() { *s = scale{places: max(scaleFirst, s.places/2)} }

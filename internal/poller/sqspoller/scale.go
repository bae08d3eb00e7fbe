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
	room   bool      // some place was free when last looked
	full   time.Time // since when all places are taken, or the last one was added
}

// step learns how many batches run or wait now. It tells when to look again, zero for never.
func (s *scale) step(now time.Time, busy int) time.Time {
	if busy < s.places {
		s.room = true
		return time.Time{}
	}
	// A place that was just added is free until it has messages: that does not count.
	if s.room && now.Sub(s.full) > scaleEvery {
		s.full = now
	}
	s.room = false
	if n := int(now.Sub(s.full) / scaleEvery); n > 0 {
		s.places, s.full = min(s.places+n, concurrencyMax), s.full.Add(time.Duration(n)*scaleEvery)
	}
	if s.places == concurrencyMax {
		return time.Time{}
	}
	return s.full.Add(scaleEvery)
}

// quiet learns that the queue had nothing.
func (s *scale) quiet() { s.places = max(scaleFirst, s.places/2) }

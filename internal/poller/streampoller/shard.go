package streampoller

import (
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// shard is one shard that is read. place is what a crash must not lose.
type shard struct {
	id     string
	place  record.StreamShard
	dirty  bool // place is not on disk, nor on its way there
	kept   bool // some place is on disk
	ended  bool // that it has ended is on disk
	listed bool // the stream has it
	fresh  bool // LATEST was not asked for yet

	iterator string
	last     string    // sequence number of the last record that was read
	trimmed  bool      // the stream has no more what follows last: it is read from its beginning
	skip     time.Time // records from before are left out
	closed   bool      // the stream has nothing more of it
	reading  bool
	readAt   time.Time // when the last read that ended began, and the one that runs
	askedAt  time.Time
	empty    bool // that read brought nothing, and there was nothing more
	next     time.Time
	pause    time.Duration

	entries []*entry // read, in order, not all done
	count   int      // entries ever
	lanes   []*lane
	window  *Window
	wake    time.Time
}

// entry is a record on its way, as the shard's place needs it.
type entry struct {
	number   int
	sequence string
	done     bool
	old      bool // it was there before the mapping's beginning
}

// plan does what can be done of a shard.
func (c *Core) plan(now time.Time, s *shard, effects []any) []any {
	s.wake = time.Time{}
	if s.ended || s.place.Ended || !s.kept || !c.mayBegin(s) {
		return effects
	}
	c.relane(s)
	for _, l := range s.lanes {
		effects = c.run(now, l, effects)
	}
	c.advance(s)
	if s.closed && len(s.entries) == 0 && s.idle() && s.window == nil {
		s.place.Ended, s.dirty = true, true
		return effects
	}
	if limit := c.room(s); limit > 0 && !s.closed && !s.reading {
		if now.Before(s.next) {
			s.wakeAt(s.next)
		} else {
			s.reading, s.askedAt = true, now
			effects = append(effects, ReadShard{s.id, s.from(), limit})
		}
	}
	return effects
}

func (s *shard) wakeAt(t time.Time) {
	if s.wake.IsZero() || t.Before(s.wake) {
		s.wake = t
	}
}

// idle tells whether no batch of the shard runs or waits to run again.
func (s *shard) idle() bool {
	for _, l := range s.lanes {
		if l.batch != nil || len(l.todo) > 0 || len(l.waiting) > 0 {
			return false
		}
	}
	return true
}

// room is how many records a read may bring: none where a lane has enough for its next batch.
func (c *Core) room(s *shard) int {
	if len(s.entries) >= aheadMax {
		return 0
	}
	for _, l := range s.lanes {
		if len(l.waiting) >= c.config.BatchSize || l.bytes >= batchBytesMax {
			return 0
		}
	}
	if c.held > heldBytesMax {
		if len(s.entries) > 0 {
			return 0
		}
		return readScarce
	}
	return min(max(c.config.BatchSize*c.config.Lanes, readLeast), readMax, c.config.ReadMax)
}

// from is where the next read begins. LATEST is asked for once: what was written since then is meant by
// it when it is asked for again.
func (s *shard) from() From {
	switch {
	case s.iterator != "":
		return From{Iterator: s.iterator}
	case s.trimmed:
		return From{Position: record.PositionTrimHorizon}
	case s.last != "":
		return From{After: s.last}
	case s.place.Position == record.PositionLatest && s.fresh:
		s.fresh = false
		return From{Position: record.PositionLatest}
	case s.place.Position == record.PositionTrimHorizon:
		return From{Position: record.PositionTrimHorizon}
	}
	s.skip = s.place.Since.Truncate(time.Millisecond) // streams know no finer times
	return From{Position: record.PositionAtTimestamp, Since: s.place.Since}
}

// read takes what a read brought.
func (c *Core) read(now time.Time, e Read) *shard {
	s := c.shards[e.Shard]
	if s == nil || !s.reading {
		return nil
	}
	s.reading, s.readAt = false, s.askedAt
	if e.Outcome != ReadDone {
		s.failed(c, now, e.Outcome)
		return s
	}
	s.pause, s.iterator, s.closed = pauseFirst, e.Next, e.Next == ""
	s.empty = len(e.Records) == 0 && !e.Behind
	s.next = s.askedAt.Add(readEvery)
	if s.empty {
		s.next = s.askedAt.Add(max(c.config.IdlePause, readEvery))
	}
	if c.stopped {
		return nil
	}
	c.relane(s)
	for _, r := range e.Records {
		s.last, s.trimmed = r.Sequence, false
		s.count++
		n := &entry{number: s.count, sequence: r.Sequence, old: r.Arrived.Before(s.skip)}
		n.done = n.old || !r.Passes
		s.entries = append(s.entries, n)
		if !n.done {
			c.held += len(r.Body)
			s.lane(r.Key).add(now, item{r, n})
		}
	}
	return s
}

func (s *shard) failed(c *Core, now time.Time, outcome ReadOutcome) {
	switch outcome {
	case ReadExpired:
		s.iterator = ""
	case ReadTrimmed:
		s.iterator, s.trimmed = "", true
	case ReadGone:
		s.iterator = ""
		// What the stream neither lists nor reads, it has forgotten.
		s.closed = !s.listed
		c.listNext = now
	}
	s.next = now.Add(s.pause)
	s.pause = min(2*s.pause, pauseMax)
}

// advance moves the shard's place over what is done.
func (c *Core) advance(s *shard) {
	if s.window != nil && s.window.Early {
		return // the records go with a state that is not kept
	}
	n := 0
	for n < len(s.entries) && s.entries[n].done {
		n++
	}
	if n == 0 {
		return
	}
	s.place.After, s.dirty = s.entries[n-1].sequence, true
	if !s.entries[n-1].old {
		s.place.Since = time.Time{} // nothing is left out any more
	}
	s.entries = append(s.entries[:0], s.entries[n:]...)
	s.keepWindow()
}

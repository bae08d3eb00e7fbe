package streampoller

import (
	"hash/fnv"
	"slices"
	"time"
)

// lane is a part of a shard whose records run one batch after the other. A shard has as many as
// ParallelizationFactor says, and a key's records share one.
type lane struct {
	shard   *shard
	waiting []item
	bytes   int // of waiting
	first   time.Time
	batch   *Batch   // that runs, or whose failure is being told
	todo    []*Batch // to be run before what waits
}

type item struct {
	record Record
	entry  *entry
}

func (s *shard) lane(key string) *lane {
	if len(s.lanes) == 1 {
		return s.lanes[0]
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	return s.lanes[h.Sum32()%uint32(len(s.lanes))]
}

func (l *lane) add(now time.Time, i item) {
	if len(l.waiting) == 0 {
		l.first = now
	}
	l.waiting, l.bytes = append(l.waiting, i), l.bytes+len(i.record.Body)+1
}

// relane gives a shard the lanes that are configured, when nothing of it runs.
func (c *Core) relane(s *shard) {
	if len(s.lanes) == c.config.Lanes || slices.ContainsFunc(s.lanes, func(l *lane) bool { return l.batch != nil }) {
		return
	}
	var all []item
	var first time.Time
	for _, l := range s.lanes {
		for _, b := range l.todo {
			for i, r := range b.Records {
				all = append(all, item{r, b.entries[i]})
			}
		}
		all = append(all, l.waiting...)
		if len(l.waiting) > 0 && (first.IsZero() || l.first.Before(first)) {
			first = l.first
		}
	}
	slices.SortFunc(all, func(a, b item) int { return a.entry.number - b.entry.number })
	s.lanes = make([]*lane, c.config.Lanes)
	for i := range s.lanes {
		s.lanes[i] = &lane{shard: s}
	}
	for _, i := range all {
		s.lane(i.record.Key).add(first, i)
	}
}

// run starts the lane's next batch if there is one and it is time.
func (c *Core) run(now time.Time, l *lane, effects []any) []any {
	s := l.shard
	for l.batch == nil && len(s.lanes) == c.config.Lanes {
		if len(l.todo) == 0 {
			b := c.batch(now, l)
			if b == nil {
				return effects
			}
			l.todo = []*Batch{b}
		}
		b := l.todo[0]
		switch n := c.aged(now, b); {
		case n > 0:
			return c.giveUp(l, n, RecordAgeExceeded, effects)
		case b.exhausted && len(b.Records) == 0: // a window whose last invoke failed
			l.todo = l.todo[1:]
			s.closeWindow()
			continue
		case b.exhausted:
			return c.giveUp(l, len(b.Records), RetryAttemptsExhausted, effects)
		}
		if now.Before(b.again) {
			s.wakeAt(b.again)
			return effects
		}
		if b.Window != nil && !b.Window.Final && s.window != nil {
			b.Window.State = s.window.State // what the records before it came to
		}
		l.batch, l.todo = b, l.todo[1:]
		c.running[b.Number] = l
		return append(effects, Invoke{b})
	}
	return effects
}

// batch forms the next batch of what waits: nil where it is not full and may still grow.
func (c *Core) batch(now time.Time, l *lane) *Batch {
	s := l.shard
	if b := c.finalBatch(now, s, l); b != nil {
		return b
	}
	n, bytes, full, most := 0, 0, s.closed, batchBytesMax
	if s.window != nil {
		most -= len(s.window.State)
	}
	for ; n < len(l.waiting); n++ {
		size := len(l.waiting[n].record.Body) + 1
		if n == c.config.BatchSize || n > 0 && bytes+size > most || s.window != nil && !s.holds(l.waiting[n].record) {
			full = true
			break
		}
		bytes += size
	}
	if n == 0 {
		return nil
	}
	if due := l.first.Add(c.config.Window); !full && n < c.config.BatchSize && now.Before(due) {
		s.wakeAt(due)
		return nil
	}
	b := c.newBatch(s)
	for _, i := range l.waiting[:n] {
		b.Records, b.entries = append(b.Records, i.record), append(b.entries, i.entry)
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	l.bytes -= bytes
	l.first = now
	if s.window != nil {
		b.Window = &Window{StreamWindow: s.window.StreamWindow}
	}
	return b
}

func (c *Core) newBatch(s *shard) *Batch {
	c.next++
	return &Batch{Number: c.next, Shard: s.id, pause: pauseFirst}
}

// invoked takes what came of a batch.
func (c *Core) invoked(now time.Time, e Invoked) *shard {
	l := c.running[e.Number]
	if l == nil || l.batch == nil || l.batch.told > 0 {
		return nil
	}
	delete(c.running, e.Number)
	b, s := l.batch, l.shard
	l.batch = nil
	switch e.Outcome {
	case Throttled, Unavailable:
		b.wait(now)
		l.todo = append([]*Batch{b}, l.todo...)
		return s
	}
	b.Invokes, b.Last = b.Invokes+1, e
	switch {
	case e.Outcome == Succeeded && e.Done == len(b.Records):
		c.result(resultOK)
		c.keepState(s, b, e)
		c.finish(l, b, len(b.Records))
	case e.Outcome == Succeeded && e.Done > 0:
		// The rest is a batch of its own, with all its retries (recorded: test_dynamodb_report_batch_item_failures).
		c.result(resultFailed)
		c.keepState(s, b, e)
		rest := c.part(b, e.Done, len(b.Records))
		c.finish(l, b, e.Done)
		rest.wait(now)
		l.todo = append([]*Batch{rest}, l.todo...)
	default:
		c.result(resultFailed)
		c.fail(now, l, b, e.Outcome == Refused)
	}
	return s
}

// fail decides what becomes of a batch that failed: it is halved, tried again, or given up. Halving uses up no
// retry. Source: Lambda developer guide, "Retain discarded batch records", error handling.
func (c *Core) fail(now time.Time, l *lane, b *Batch, refused bool) {
	if len(b.Records) > 1 && (c.config.Bisect || refused) {
		half := len(b.Records) / 2
		parts := []*Batch{c.part(b, 0, half), c.part(b, half, len(b.Records))}
		for _, p := range parts {
			p.retries = b.retries
		}
		parts[0].wait(now)
		l.todo = append(parts, l.todo...)
		return
	}
	if refused || c.config.MaxRetries >= 0 && b.retries >= c.config.MaxRetries {
		b.exhausted = true // run gives it up
	} else {
		b.retries++
		b.wait(now)
	}
	l.todo = append([]*Batch{b}, l.todo...)
}

// part is a batch of some of another's records.
func (c *Core) part(b *Batch, from, to int) *Batch {
	p := c.newBatch(c.shards[b.Shard])
	p.Records, p.entries = b.Records[from:to:to], b.entries[from:to:to]
	if b.Window != nil {
		p.Window = &Window{StreamWindow: b.Window.StreamWindow}
	}
	return p
}

// aged is how many of a batch's first records are too old to be run.
func (c *Core) aged(now time.Time, b *Batch) (n int) {
	for c.config.MaxAge > 0 && n < len(b.Records) && now.Sub(b.Records[n].Arrived) > c.config.MaxAge {
		n++
	}
	return n
}

// giveUp has the failure of the lane's next batch told, of its first n records.
func (c *Core) giveUp(l *lane, n int, why Condition, effects []any) []any {
	b := l.todo[0]
	l.batch, l.todo, b.told = b, l.todo[1:], n
	c.running[b.Number] = l
	return append(effects, Report{b, b.Records[:n], why})
}

// reported goes on behind what was given up.
func (c *Core) reported(e Reported) *shard {
	l := c.running[e.Number]
	if l == nil || l.batch == nil || l.batch.told == 0 {
		return nil
	}
	delete(c.running, e.Number)
	b := l.batch
	l.batch = nil
	if b.told < len(b.Records) {
		rest := c.part(b, b.told, len(b.Records))
		rest.Invokes, rest.Last, rest.retries, rest.again, rest.pause, rest.exhausted = b.Invokes, b.Last, b.retries, b.again, b.pause, b.exhausted
		l.todo = append([]*Batch{rest}, l.todo...)
	}
	c.finish(l, b, b.told)
	return l.shard
}

func (b *Batch) wait(now time.Time) {
	b.again = now.Add(b.pause)
	b.pause = min(2*b.pause, pauseMax)
}

// finish is done with a batch's first records.
func (c *Core) finish(l *lane, b *Batch, n int) {
	for i := range n {
		b.entries[i].done = true
		c.held -= len(b.Records[i].Body)
	}
	if b.Window != nil && b.Window.Final {
		l.shard.closeWindow()
	}
}

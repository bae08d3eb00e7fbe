package sqspoller

import "time"

const (
	// receiveMax is what one receive brings at most. Source: SQS API, ReceiveMessage.
	receiveMax = 10
	// widthMax bounds the receives of one mapping that wait or work at once.
	widthMax = 32
	// concurrencyMax bounds the batches of a mapping that run at once where ScalingConfig does
	// not. Source: Lambda developer guide, "Configuring scaling behavior for SQS event source
	// mappings".
	concurrencyMax = 1000
	// batchBytesMax closes a batch before its event is larger than an invoke may be. Source:
	// Lambda quotas, 6 MB for synchronous invokes; the rest is for what stands around records.
	batchBytesMax = 6<<20 - 64<<10
	// pauseFirst and pauseMax bound how long nothing is received after a throttle or a failure.
	pauseFirst = 200 * time.Millisecond
	pauseMax   = 20 * time.Second
)

// Message is a received message, as far as decisions need it.
type Message struct {
	Receipt string
	ID      string
	Group   string // of FIFO queues
	Bytes   int    // of its record
	Passes  bool   // the filters
	Record  []byte // as the function sees it
	Trace   string // its sender's
}

// Batch is what one invoke gets.
type Batch struct {
	Number   int
	Messages []Message
	bytes    int
	first    time.Time // when its first message came
	again    time.Time // throttled: not before
}

// Config is what the mapping, its queue and its function say.
type Config struct {
	FIFO           bool
	BatchSize      int
	Window         time.Duration
	Concurrency    int // 0: none of its own
	ReportFailures bool
	// Patience is how long a message may wait here for its turn: the visibility timeout without
	// the function's. What waits longer is left to the queue.
	Patience time.Duration
}

// most is how many batches may ever run at once.
func (c *Config) most() int {
	if c.Concurrency > 0 {
		return c.Concurrency
	}
	return concurrencyMax
}

// Outcome is what came of an invoke.
type Outcome int

const (
	Succeeded   Outcome = iota
	Failed              // the function ran and failed, or cannot take the event
	Throttled           // it did not run for want of concurrency
	Unavailable         // it did not run for another reason
)

// The events of a Core.
type (
	// Configured comes first, and again with each change.
	Configured struct{ Config Config }
	// Received is what a receive brought.
	Received struct {
		Asked    int
		Messages []Message
		Failed   bool
	}
	// Invoked is what came of a batch. Rejected are the messages that the function named as
	// failed, by their place.
	Invoked struct {
		Number   int
		Outcome  Outcome
		Rejected map[int]bool
	}
	// Tick is that time has passed.
	Tick struct{}
	// Stopped is that nothing more may be received.
	Stopped struct{}
)

// The effects of a Core.
type (
	// Receive asks the queue for messages; it is answered by Received.
	Receive struct{ Max int }
	// Invoke runs the function; it is answered by Invoked.
	Invoke struct{ Batch *Batch }
	// Delete removes messages that are done.
	Delete struct{ Messages []Message }
	// Release gives messages back, visible at once.
	Release struct{ Messages []Message }
	// Wake asks for a Tick at a time.
	Wake struct{ At time.Time }
)

// Core decides what one mapping receives, invokes and deletes. It is a pure machine: what it
// forgets in a crash the queue delivers again.
type Core struct {
	config  Config
	stopped bool
	next    int

	asked, receives int // messages and receives outstanding
	width           int // receives that may be outstanding
	open            *Batch
	ready           []*Batch // waiting for a place
	running         map[int]*Batch
	limit           int // places, learned from throttles
	scale           scale
	good            int // batches that ran since the limit last changed

	pause  time.Duration
	paused time.Time
}

// NewCore makes a core that waits to be configured.
func NewCore() *Core {
	return &Core{stopped: true, width: 1, running: map[int]*Batch{}, limit: concurrencyMax, scale: scale{places: scaleFirst}, pause: pauseFirst}
}

// Step takes one event and returns what is to be done.
func (c *Core) Step(now time.Time, event any) (effects []any) {
	switch e := event.(type) {
	case Configured:
		c.config, c.stopped = e.Config, false
	case Stopped:
		c.stopped = true
		effects = c.releaseAll(effects)
	case Received:
		effects = c.received(now, e, effects)
	case Invoked:
		effects = c.invoked(now, e, effects)
	}
	return c.plan(now, effects)
}

// Idle tells whether nothing is outstanding.
func (c *Core) Idle() bool { return c.receives == 0 && len(c.running) == 0 }

func (c *Core) received(now time.Time, e Received, effects []any) []any {
	c.receives--
	c.asked -= e.Asked
	switch {
	case e.Failed:
		c.hold(now)
		c.width = 1
	case len(e.Messages) == 0:
		c.width = max(1, c.width/2)
		c.scale.quiet()
	default:
		c.width = min(c.width*2, widthMax)
	}
	var out, pass []Message
	for _, m := range e.Messages {
		if m.Passes {
			pass = append(pass, m)
		} else {
			out = append(out, m)
		}
	}
	if len(out) > 0 {
		effects = append(effects, Delete{out})
	}
	if c.stopped {
		return release(effects, pass)
	}
	for i, m := range pass {
		if c.open != nil && c.open.bytes+m.Bytes > batchBytesMax {
			if c.config.FIFO {
				// The next batch would run beside this one: the queue keeps the order better.
				effects = release(effects, pass[i:])
				break
			}
			c.shut()
		}
		if c.open == nil {
			c.open = &Batch{first: now}
		}
		c.open.Messages, c.open.bytes = append(c.open.Messages, m), c.open.bytes+m.Bytes
		if len(c.open.Messages) >= c.config.BatchSize {
			c.shut()
		}
	}
	if c.config.Window == 0 && c.open != nil {
		c.shut()
	}
	return effects
}

// shut ends the collecting of a batch.
func (c *Core) shut() {
	c.next++
	c.open.Number = c.next
	c.ready, c.open = append(c.ready, c.open), nil
}

func (c *Core) invoked(now time.Time, e Invoked, effects []any) []any {
	b := c.running[e.Number]
	if b == nil {
		return effects
	}
	delete(c.running, e.Number)
	switch e.Outcome {
	case Succeeded:
		c.grow()
		if done := c.done(b, e.Rejected); len(done) > 0 {
			effects = append(effects, Delete{done})
		}
	case Failed: // its messages come again after their visibility timeout
		if c.config.ReportFailures {
			c.grow()
		} else {
			c.shrink()
		}
	default:
		if e.Outcome == Throttled {
			c.limit, c.good = max(1, len(c.running)), 0
		}
		c.hold(now)
		b.again = c.paused
		if c.stopped {
			return release(effects, b.Messages)
		}
		c.ready = append([]*Batch{b}, c.ready...)
	}
	return effects
}

// done are the messages of a batch that need not come again. In a FIFO queue nothing of a
// group is done that follows what failed of it, so that the group's order is kept.
func (c *Core) done(b *Batch, rejected map[int]bool) []Message {
	if len(rejected) == 0 {
		return b.Messages
	}
	var out []Message
	broken := map[string]bool{}
	for i, m := range b.Messages {
		if rejected[i] {
			broken[m.Group] = true
		} else if !c.config.FIFO || !broken[m.Group] {
			out = append(out, m)
		}
	}
	return out
}

// hold lets nothing be received or run for a while, longer each time.
func (c *Core) hold(now time.Time) {
	c.paused = now.Add(c.pause)
	c.pause = min(2*c.pause, pauseMax)
}

// grow learns that the function takes what it is given: after as many good batches as there
// are places, there may be one more.
func (c *Core) grow() {
	c.pause = pauseFirst
	if c.good++; c.good >= c.limit && c.limit < concurrencyMax {
		c.limit, c.good = c.limit+1, 0
	}
}

// shrink learns that the function failed: it gets one batch less at once. A mapping with partial batch responses
// does not, as a failure is one of some messages there. Source: Lambda developer guide, "Handling errors for an
// SQS event source in Lambda", backoff strategy, and the note of partial batch responses on polling.
func (c *Core) shrink() {
	c.limit, c.good = max(1, min(c.limit, c.places())-1), 0
	c.pause = pauseFirst
}

// places are how many batches may run.
func (c *Core) places() int {
	most := min(c.limit, c.config.most())
	if !c.config.FIFO { // its groups bound it
		most = min(most, c.scale.places)
	}
	return most
}

// plan starts what may start.
func (c *Core) plan(now time.Time, effects []any) []any {
	if c.stopped {
		return effects
	}
	if c.open != nil && !now.Before(c.open.first.Add(c.config.Window)) {
		c.shut()
	}
	var wake time.Time
	at := func(t time.Time) {
		if t.After(now) && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	c.scale.grow(now, len(c.running))
	waiting := c.ready[:0]
	for _, b := range c.ready {
		late := b.first.Add(c.config.Window + c.config.Patience)
		switch {
		case !b.again.IsZero() && !now.Before(late), c.config.FIFO && now.After(late):
			// It has waited too long: the queue has its messages again, or soon. Of a FIFO queue
			// they would run twice at once, and out of order.
		case len(c.running) < c.places() && !now.Before(b.again):
			c.running[b.Number] = b
			effects = append(effects, Invoke{b})
		default:
			waiting = append(waiting, b)
			at(b.again)
			if !b.again.IsZero() || c.config.FIFO {
				at(late.Add(time.Millisecond))
			}
		}
	}
	c.ready = waiting
	if again := c.scale.busy(now, len(c.running)); len(c.running) < c.config.most() {
		at(again)
	}
	if now.Before(c.paused) {
		at(c.paused)
	} else {
		effects = c.receive(effects)
	}
	if c.open != nil {
		at(c.open.first.Add(c.config.Window))
	}
	if !wake.IsZero() {
		effects = append(effects, Wake{wake})
	}
	return effects
}

// receive asks for what there is room for: what is received must not wait for a place.
func (c *Core) receive(effects []any) []any {
	for c.receives < c.width {
		room := min(receiveMax, c.config.BatchSize)
		if c.config.Window > 0 {
			// All receives fill one batch.
			room = c.config.BatchSize - c.asked
			if c.open != nil {
				room -= len(c.open.Messages)
			}
			room = min(room, receiveMax)
			if len(c.ready) > 0 || len(c.running) >= c.places() {
				room = 0
			}
		} else if len(c.running)+len(c.ready)+c.receives >= c.places() {
			room = 0
		}
		if room <= 0 {
			break
		}
		c.receives++
		c.asked += room
		effects = append(effects, Receive{room})
	}
	return effects
}

func (c *Core) releaseAll(effects []any) []any {
	if c.open != nil {
		effects = release(effects, c.open.Messages)
	}
	for _, b := range c.ready {
		effects = release(effects, b.Messages)
	}
	c.open, c.ready = nil, nil
	return effects
}

func release(effects []any, messages []Message) []any {
	if len(messages) == 0 {
		return effects
	}
	return append(effects, Release{messages})
}

package streampoller

import (
	"encoding/json"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

const (
	// batchBytesMax closes a batch before its event is larger than an invoke may be. Source:
	// Lambda quotas, 6 MB for synchronous invokes; the rest is for what stands around records.
	batchBytesMax = 6<<20 - 64<<10
	// readMax is what one read brings at most. Source: Kinesis API, GetRecords, Limit.
	readMax = 10_000
	// readLeast is what a read asks for even where batches are small.
	readLeast = 100
	// heldBytesMax bounds what a mapping holds of all shards. Beyond it a shard is read only where
	// nothing of it is held, and only readScarce records, so that none starves.
	heldBytesMax = 64 << 20
	readScarce   = 10
	// aheadMax is how many records of a shard are known behind the first that is not done. A crash reads them again.
	aheadMax = 10_000
	// readEvery is the pause between reads that bring something. Source: Kinesis quotas, five
	// reads of a shard a second.
	readEvery = 200 * time.Millisecond
	// listEvery is how often shards are looked for; the end of a shard asks at once.
	listEvery = 30 * time.Second
	// pauseFirst and pauseMax bound how long nothing is tried after a throttle or a failure.
	pauseFirst = 200 * time.Millisecond
	pauseMax   = 20 * time.Second
	// saveMax bounds the shards of one commit.
	saveMax = 1000
)

// Record is a record of a stream, as far as decisions need it.
type Record struct {
	Sequence string
	Key      string    // records of one key keep their order
	Arrived  time.Time // approximately
	Passes   bool      // the filters
	Body     []byte    // as the function sees it
}

// Batch is what one invoke gets.
type Batch struct {
	Number  int
	Shard   string
	Records []Record
	// Invokes is how often the function saw it, and Last what came of that.
	Invokes int
	Last    Invoked
	// Window is nil without tumbling windows.
	Window *Window

	entries   []*entry
	retries   int
	again     time.Time // not before
	pause     time.Duration
	exhausted bool // it is not tried again
	told      int  // of so many of its first records the failure is being told
}

// Window is what an invoke sees of its tumbling window.
type Window struct {
	record.StreamWindow
	Final, Early bool
}

// Config is what the mapping, its stream and its function say.
type Config struct {
	// Start is where a mapping begins that has read nothing yet.
	Start record.StreamShard
	// ReadMax bounds a read, IdlePause is how long the next one waits when one brought nothing.
	ReadMax   int
	IdlePause time.Duration

	BatchSize      int
	Window         time.Duration
	Lanes          int // batches of a shard that may run at once
	Tumbling       time.Duration
	MaxAge         time.Duration // 0: none
	MaxRetries     int           // -1: no bound
	Bisect         bool
	ReportFailures bool
}

// Outcome is what came of an invoke.
type Outcome int

const (
	Succeeded   Outcome = iota
	Failed              // the function ran and failed
	Refused             // no function can take the event
	Throttled           // it did not run for want of concurrency
	Unavailable         // it did not run for another reason
)

// What LastProcessingResult says. Source: Lambda developer guide, "Using AWS Lambda with Amazon Kinesis"; recorded.
const (
	resultOK     = "OK"
	resultFailed = "PROBLEM: Function call failed"
)

// ReadOutcome is what came of a read.
type ReadOutcome int

const (
	ReadDone    ReadOutcome = iota
	ReadFailed              // throttles, too
	ReadExpired             // the iterator is too old
	ReadTrimmed             // the stream has no more what was asked for
	ReadGone                // there is no such shard
)

// ShardInfo is a shard as the stream lists it.
type ShardInfo struct {
	ID      string
	Parents []string
	Closed  bool // nothing is written to it any more
}

// The events of a Core.
type (
	// Restored comes first: what is on disk.
	Restored struct {
		Progress record.StreamProgress
		Shards   map[string]record.StreamShard
	}
	// Configured comes next, and again with each change.
	Configured struct{ Config Config }
	// Listed is all shards of the stream. At is the stream's time before it looked.
	Listed struct {
		Shards []ShardInfo
		At     time.Time
		Failed bool
	}
	// Read is what a read brought. Next is the iterator of the next one, "" where the shard has ended.
	Read struct {
		Shard   string
		Outcome ReadOutcome
		Records []Record
		Next    string
		Behind  bool // there is more
	}
	// Invoked is what came of a batch. Done is how many of its first records are done where the
	// function named the others as failed; State what it made of a tumbling window.
	Invoked struct {
		Number  int
		Outcome Outcome
		Done    int
		State   json.RawMessage

		RequestID, Version, FunctionError string // of invokes that ran
	}
	// Reported is that a failure was told, or could not be.
	Reported struct{ Number int }
	// Saved answers Save.
	Saved struct{ Failed bool }
	// Tick is that time has passed.
	Tick struct{}
	// Stopped is that nothing more may be read or run.
	Stopped struct{}
)

// From is where a read begins: at the iterator, or, without one, after a record or at a position.
type From struct {
	Iterator string
	After    string
	Position string
	Since    time.Time
}

// Condition is why records were given up. Source: recorded, and the Lambda developer guide.
type Condition string

const (
	RetryAttemptsExhausted Condition = "RetryAttemptsExhausted"
	RecordAgeExceeded      Condition = "RecordAgeExceeded"
)

// The effects of a Core.
type (
	// List asks for the stream's shards.
	List struct{}
	// ReadShard asks for records.
	ReadShard struct {
		Shard string
		From  From
		Limit int
	}
	// Invoke runs the function.
	Invoke struct{ Batch *Batch }
	// Report tells of the first records of a batch, which are given up.
	Report struct {
		Batch     *Batch
		Records   []Record
		Condition Condition
	}
	// Save makes all of it durable in one step.
	Save struct {
		Progress *record.StreamProgress
		Shards   map[string]record.StreamShard
		Dropped  []string
	}
	// Wake asks for a Tick.
	Wake struct{ At time.Time }
)

// Core decides how a mapping reads a stream: which shards, in which order, in which batches, and what
// becomes of those that fail. What is done of a shard is a prefix of its records and is
// durable; what lies behind it, a crash reads again.
type Core struct {
	config     Config
	configured bool
	stopped    bool
	next       int // number of the last batch

	progress      record.StreamProgress
	progressDirty bool
	shards        map[string]*shard
	order         []*shard // of Step's effects
	dropped       []string // records of shards that the stream has forgotten
	held          int      // bytes of records

	listing   bool
	listNext  time.Time
	listPause time.Duration

	saving    *Save
	saveNext  time.Time
	savePause time.Duration
	running   map[int]*lane // by the batch's number, told ones, too
}

// NewCore makes a core that waits for Restored and Configured.
func NewCore() *Core {
	return &Core{shards: map[string]*shard{}, running: map[int]*lane{}, listPause: pauseFirst, savePause: pauseFirst}
}

// Step takes one event and returns what is to be done.
func (c *Core) Step(now time.Time, event any) (effects []any) {
	var one *shard // that the event is of
	all := false
	switch e := event.(type) {
	case Read:
		one = c.read(now, e)
	case Invoked:
		one = c.invoked(now, e)
	case Reported:
		one = c.reported(e)
	case Restored:
		c.restore(e)
	case Configured:
		c.config, c.configured, all = e.Config, true, true
	case Listed:
		c.listed(now, e)
		all = true
	case Saved:
		c.saved(now, e)
		all = true
	case Tick:
		all = true
	case Stopped:
		c.stopped = true
	}
	if c.configured && !c.stopped {
		if one != nil {
			effects = c.plan(now, one, effects)
		}
		for i := 0; all && i < len(c.order); i++ {
			effects = c.plan(now, c.order[i], effects)
		}
		if !c.listing && !now.Before(c.listNext) {
			c.listing = true
			effects = append(effects, List{})
		}
	}
	effects = c.save(now, effects)
	if at := c.wake(now); !at.IsZero() {
		effects = append(effects, Wake{at})
	}
	return effects
}

// Idle tells whether nothing is outstanding.
func (c *Core) Idle() bool {
	if c.listing || c.saving != nil || len(c.running) > 0 || c.progressDirty || len(c.dropped) > 0 {
		return false
	}
	for _, s := range c.order {
		if s.reading || s.dirty {
			return false
		}
	}
	return true
}

// wake is when the next Tick is due.
func (c *Core) wake(now time.Time) (first time.Time) {
	at := func(t time.Time) {
		if t.After(now) && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if c.saving == nil {
		at(c.saveNext)
	}
	if c.stopped {
		return first
	}
	if !c.listing {
		at(c.listNext)
	}
	for _, s := range c.order {
		at(s.wake)
	}
	return first
}

// save has what has changed made durable, one commit at a time: those that change meanwhile share
// the next.
func (c *Core) save(now time.Time, effects []any) []any {
	if c.saving != nil || now.Before(c.saveNext) {
		return effects
	}
	out := Save{Shards: map[string]record.StreamShard{}}
	left := false
	for _, s := range c.order {
		if !s.dirty {
			continue
		}
		if left = len(out.Shards) == saveMax; left {
			break
		}
		out.Shards[s.id], s.dirty = s.place, false
	}
	if !left && c.progressDirty { // Begun is true of all that was saved before, too
		p := c.progress
		out.Progress, c.progressDirty = &p, false
	}
	n := min(len(c.dropped), saveMax-len(out.Shards))
	out.Dropped, c.dropped = c.dropped[:n:n], c.dropped[n:]
	if len(out.Shards) == 0 && out.Progress == nil && len(out.Dropped) == 0 {
		return effects
	}
	c.saving = &out
	return append(effects, out)
}

func (c *Core) saved(now time.Time, e Saved) {
	done := c.saving
	c.saving = nil
	if done == nil {
		return
	}
	if e.Failed {
		for id := range done.Shards {
			if s := c.shards[id]; s != nil {
				s.dirty = true
			}
		}
		c.progressDirty = c.progressDirty || done.Progress != nil
		for _, id := range done.Dropped {
			if c.shards[id] == nil {
				c.dropped = append(c.dropped, id)
			}
		}
		c.saveNext = now.Add(c.savePause)
		c.savePause = min(2*c.savePause, pauseMax)
		return
	}
	c.savePause, c.saveNext = pauseFirst, time.Time{}
	for id, place := range done.Shards {
		s := c.shards[id]
		if s == nil {
			continue
		}
		s.kept = true
		if place.Ended && !s.ended {
			s.ended = true
			c.listNext = now // what follows it may be new
		}
	}
}

// result notes LastProcessingResult.
func (c *Core) result(text string) {
	if c.progress.Result != text {
		c.progress.Result, c.progressDirty = text, true
	}
}

package telemetryapi

import (
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// Retries of a batch that was not taken. Source: Lambda developer guide, "Specifying a destination
// protocol": again, with backoff; the figures are ours.
const (
	backoffFirst = 50 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// slack is how many times a batch's bounds may wait while another batch is on its way: a burst must not
// lose what the sender would have taken a moment later.
const slack = 2

// never is a wait without an end.
const never = time.Duration(1<<63 - 1)

// core decides for one subscriber what is kept, dropped and sent. It has no clock and no goroutine.
type core struct {
	limits   Buffering
	platform bool // wants to be told what was dropped
	schema   platform.Schema

	waiting      [][]byte
	waitingBytes int
	since        time.Time // when the first of them came

	batch     [][]byte // on its way, or to be sent again
	sending   bool
	failures  int
	retryAt   time.Time
	hurry     bool // no wait for a batch to fill: the environment ends
	paused    bool // the environment is frozen
	dropped   platform.LogsDropped
	toldDrops platform.LogsDropped // of the batch that was made last
}

// add takes an event, or drops it.
func (c *core) add(now time.Time, event []byte) {
	if len(c.waiting) > 0 && (c.waitingBytes+len(event) > slack*c.limits.MaxBytes || len(c.waiting) >= slack*c.limits.MaxItems) {
		c.dropped.DroppedRecords++
		c.dropped.DroppedBytes += int64(len(event))
		return
	}
	if len(c.waiting) == 0 {
		c.since = now
	}
	c.waiting = append(c.waiting, event)
	c.waitingBytes += len(event)
}

// next returns a batch that is to be sent now, or how long there is nothing to do.
func (c *core) next(now time.Time) (batch [][]byte, wait time.Duration) {
	if c.sending || c.paused {
		return nil, never
	}
	if c.batch == nil {
		if wait := c.fills(now); wait > 0 {
			return nil, wait
		}
		c.take(now)
	}
	if wait := c.retryAt.Sub(now); wait > 0 {
		return nil, wait
	}
	c.sending = true
	return c.batch, 0
}

// fills is how long what waits may wait.
func (c *core) fills(now time.Time) time.Duration {
	switch {
	case len(c.waiting) == 0:
		return never
	case c.hurry, len(c.waiting) >= c.limits.MaxItems, c.waitingBytes >= c.limits.MaxBytes:
		return 0
	}
	return c.since.Add(c.limits.Timeout).Sub(now)
}

// take makes a batch of what waits, within the bounds, and tells in it what was dropped meanwhile.
func (c *core) take(now time.Time) {
	n, bytes := 0, 0
	for n < len(c.waiting) && n < c.limits.MaxItems && (n == 0 || bytes+len(c.waiting[n]) <= c.limits.MaxBytes) {
		bytes += len(c.waiting[n])
		n++
	}
	c.batch = append([][]byte(nil), c.waiting[:n]...)
	c.waiting = append([][]byte(nil), c.waiting[n:]...)
	c.waitingBytes -= bytes
	c.since = now
	c.toldDrops = platform.LogsDropped{}
	if c.dropped.DroppedRecords == 0 {
		return
	}
	c.toldDrops, c.dropped = c.dropped, platform.LogsDropped{}
	c.toldDrops.Reason = platform.ReasonFallenBehind
	if c.platform {
		event, _ := platform.Event(c.schema, now, c.toldDrops)
		c.batch = append(c.batch, event)
	}
}

// sent ends a try.
func (c *core) sent(now time.Time, ok bool) {
	c.sending = false
	if ok {
		c.batch, c.failures, c.retryAt = nil, 0, time.Time{}
		return
	}
	c.failures++
	backoff := backoffFirst << min(c.failures-1, 16)
	c.retryAt = now.Add(min(backoff, backoffMax))
}

// thawed ends a pause: what failed because nobody could answer is tried at once.
func (c *core) thawed() {
	c.paused = false
	c.retryAt = time.Time{}
}

func (c *core) empty() bool { return c.batch == nil && len(c.waiting) == 0 }

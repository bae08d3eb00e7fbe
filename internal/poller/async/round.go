package async

import (
	"context"
	"sync/atomic"
	"time"
)

// round is what a shard is handling, known to the one goroutine that leases for it.
type round struct {
	shard  *shard
	window window
	held   map[string]*holding // by receipt
	ended  chan result
	// full says that there was as much in the queue as was asked for last.
	full bool
}

// holding is one event that is being handled.
type holding struct {
	leased, received time.Time
	long             bool
	began            atomic.Int64 // when an environment took it, in nanoseconds; 0: none has yet
}

// begin notes that an environment takes the event.
func (h *holding) begin() { h.began.CompareAndSwap(0, time.Now().UnixNano()) }

// ran is how long the function has run, 0 if it has not begun.
func (h *holding) ran(now time.Time) time.Duration {
	if began := h.began.Load(); began != 0 {
		return max(1, time.Duration(now.UnixNano()-began))
	}
	return 0
}

// lease begins as many as the window lets, and reports whether there may be more.
func (r *round) lease(leasing, life context.Context) bool {
	s, free := r.shard, r.window.free()
	leased, err := s.queue.opts.Queues.Lease(leasing, s.name, free, leaseFor)
	if err != nil {
		if leasing.Err() == nil {
			s.queue.opts.Log.Warn("asynchronous invokes cannot be read and are read again later", "shard", s.name, "error", err)
		}
		return false
	}
	r.full = len(leased) == free
	r.window.began(len(leased))
	for i := range leased {
		h := &holding{leased: time.Now(), received: leased[i].Enqueued}
		r.held[leased[i].Receipt] = h
		go func() {
			over := s.handle(life, &leased[i], h)
			select {
			case r.ended <- over:
			case <-life.Done():
			}
		}()
	}
	return r.full && r.window.free() > 0
}

// end frees the place of an event.
func (r *round) end(over result) {
	h := r.held[over.receipt]
	delete(r.held, over.receipt)
	r.window.ended(h.long, over.throttled, h.ran(time.Now()))
}

// look tells the window how things stand.
func (r *round) look() {
	now, oldest := time.Now(), time.Duration(0)
	for _, h := range r.held {
		ran := h.ran(now)
		if !h.long && (ran >= lookEvery || ran == 0 && now.Sub(h.leased) >= startMax) {
			h.long = true
			r.window.lengthened(ran)
		}
		oldest = max(oldest, h.leased.Sub(h.received))
	}
	waiting := 0
	if r.full {
		waiting = max(0, int(r.shard.waiting.Load())-len(r.held))
	}
	r.window.look(waiting, oldest, r.shard.queue.opts.Idle())
}

// renew keeps what is being handled from being leased by others.
func (r *round) renew(ctx context.Context) {
	s := r.shard
	for receipt := range r.held {
		if err := s.queue.opts.Queues.Extend(ctx, s.name, receipt, leaseFor); err != nil {
			// Lost, or just over: then somebody else runs it again, as at-least-once allows.
			s.queue.opts.Log.Debug("a lease was not renewed", "shard", s.name, "error", err)
		}
	}
}

package async

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

const (
	// shardCount is how many queues there are. A function has two of them and takes the emptier
	// one, so that one that floods its own leaves most others without a queue in common, and
	// the rest with one that is free. Source: Lambda's architects tell of shuffle sharding; the
	// count is ours.
	shardCount = 64
	// leaseFor is how long an event stays hidden if this process ends; while it lives the lease
	// is renewed.
	leaseFor   = 30 * time.Second
	renewEvery = 10 * time.Second
)

// shard is one of the queues, and who empties it.
type shard struct {
	queue *Queue
	name  string
	// waiting is how many events are in the queue: what it held when it was first asked for,
	// one more for each that was written, one less for each that was removed. To ask the store
	// each time would cost more than to write the event.
	waiting atomic.Int64
	counted sync.Once
}

func newShard(q *Queue, i int) *shard {
	return &shard{queue: q, name: fmt.Sprintf("lambda/async/%02d", i)}
}

// shardOf chooses the emptier of a function's two shards.
func (q *Queue) shardOf(id record.FunctionID) *shard {
	a, b := twoOf(id)
	first, second := q.shards[a], q.shards[b]
	if second.depth() < first.depth() {
		return second
	}
	return first
}

// twoOf are the two shards of a function, never the same.
func twoOf(id record.FunctionID) (int, int) {
	h := fnv.New64a()
	for _, part := range []string{string(id.Account), string(id.Region), id.Name} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	n := h.Sum64()
	n ^= n >> 33 // the low bits of FNV mix badly
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	a := int(n % shardCount)
	b := int(n / shardCount % (shardCount - 1))
	if b >= a {
		b++
	}
	return a, b
}

// depth is how many events are in the shard; a store that cannot tell makes none of them
// fuller than the other.
func (s *shard) depth() int64 {
	s.counted.Do(func() {
		depth, err := s.queue.opts.Queues.Depth(context.Background(), s.name)
		if err != nil {
			s.queue.opts.Log.Warn("a queue of asynchronous invokes cannot be counted", "shard", s.name, "error", err)
		}
		s.waiting.Add(int64(depth.Visible + depth.Delayed + depth.Leased))
	})
	return s.waiting.Load()
}

// enqueue writes one event to the shard.
func (s *shard) enqueue(ctx context.Context, e *event, delay time.Duration) error {
	body, err := encode(e)
	if err != nil {
		return err
	}
	if _, err := s.queue.opts.Queues.Enqueue(ctx, s.name, store.Message{Body: body, Delay: delay}); err != nil {
		return err
	}
	s.waiting.Add(1)
	return nil
}

// remove takes an event out of the shard.
func (s *shard) remove(ctx context.Context, receipt string) error {
	err := s.queue.opts.Queues.Ack(ctx, s.name, receipt)
	if err == nil {
		s.waiting.Add(-1)
	}
	return err
}

// run leases events and has them handled until leasing ends, and waits for what it began.
func (s *shard) run(leasing, life context.Context) {
	s.depth() // before anything changes it
	r := &round{shard: s, window: newWindow(), held: map[string]*holding{}, ended: make(chan result)}
	ready := s.queue.opts.Queues.Ready(s.name)
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	look := time.NewTimer(lookEvery)
	defer look.Stop()
	looking := true
	for done := leasing.Done(); done != nil || len(r.held) > 0; {
		if done != nil && r.window.free() > 0 && r.lease(leasing, life) {
			continue
		}
		if !looking && !r.window.settled() {
			looking = true
			look.Reset(lookEvery)
		}
		select {
		case <-ready:
		case <-renew.C: // also looks whether the queue has something after all
			r.renew(life)
		case <-look.C:
			looking = false
			r.look()
		case over := <-r.ended:
			r.end(over)
		case <-done:
			done = nil
		case <-life.Done():
			return
		}
	}
}

// result is what the shard learns of an event that was handled.
type result struct {
	receipt   string
	throttled bool
}

// handle takes one event as far as it goes now.
func (s *shard) handle(ctx context.Context, d *store.Delivery, h *holding) result {
	r := result{receipt: d.Receipt}
	e, err := decode(d.Body)
	if err != nil {
		s.queue.opts.Log.Error("an asynchronous invoke cannot be read and is dropped", "shard", s.name, "error", err)
		s.settle("drop", s.remove(ctx, d.Receipt))
		return r
	}
	t := &try{queue: s.queue, event: e, leases: d.Attempts, began: h.begin}
	next := t.run(ctx)
	r.throttled = t.throttled
	switch next.action {
	case actRetry:
		s.settle("retry", s.again(ctx, d.Receipt, e, s.queue.scaled(next.pause)))
	case actPostpone:
		s.settle("postpone", s.queue.opts.Queues.Nack(ctx, s.name, d.Receipt, s.queue.scaled(next.pause)))
	default:
		s.settle("finish", s.remove(ctx, d.Receipt))
	}
	return r
}

// again puts the event, which has changed, in its own place. It is there twice for a moment
// rather than not at all.
func (s *shard) again(ctx context.Context, receipt string, e *event, pause time.Duration) error {
	if err := s.enqueue(ctx, e, pause); err != nil {
		return err
	}
	return s.remove(ctx, receipt)
}

// settle tells of a step that did not reach the disk: the lease runs out and the event comes again.
func (s *shard) settle(what string, err error) {
	if err != nil {
		s.queue.opts.Log.Warn("an asynchronous invoke stays in its queue and comes again", "could not", what, "shard", s.name, "error", err)
	}
}

package sqs

import (
	"context"
	"time"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

// sweepEvery is how often expired messages are looked for; none is delivered
// meanwhile.
const sweepEvery = 30 * time.Second

// sweepMax bounds what one sweep removes from one queue.
const sweepMax = 10_000

// sweep removes what has expired, for the life of the service.
func (s *Service) sweep() {
	s.resumePurges()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			s.sweepOnce(s.ctx)
		}
	}
}

func (s *Service) all() []*queue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*queue, 0, len(s.queues))
	for _, q := range s.queues {
		out = append(out, q)
	}
	return out
}

func (s *Service) sweepOnce(ctx context.Context) {
	for _, q := range s.all() {
		if ctx.Err() != nil {
			return
		}
		if err := s.sweepQueue(ctx, q); err != nil && ctx.Err() == nil {
			s.log.Warn("queue not swept", "queue", q.name.ARN(), "error", err)
		}
	}
}

func (s *Service) sweepQueue(ctx context.Context, q *queue) error {
	if err := s.sweepDedup(ctx, q); err != nil {
		return err
	}
	if q.unused() {
		old, err := s.hasExpired(ctx, q)
		if err != nil || !old {
			return err
		}
	}
	if err := s.lock(ctx, q); err != nil {
		return nil // deleted meanwhile
	}
	q.flow.Configure(q.flowSettings(0))
	err := s.fill(ctx, q)
	expired := q.flow.Expired(s.instant(), sweepMax)
	q.mu.Unlock()
	s.discard(ctx, q, expired)
	return err
}

func (q *queue) unused() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.flow == nil
}

// hasExpired looks at the oldest message of a queue that nobody uses.
func (s *Service) hasExpired(ctx context.Context, q *queue) (bool, error) {
	page, _, err := s.records.List(ctx, placePrefix(q.id), placeKey(q.id, q.record.Load().PurgedTo), 1)
	if err != nil || len(page) == 0 {
		return false, err
	}
	place, err := decodePlace(page[0].Value)
	return place.Sent+flow.Instant(q.settings.Load().retention.Milliseconds()) <= s.instant(), err
}

// resumePurges removes what a purge before the last stop left on disk.
func (s *Service) resumePurges() {
	for _, q := range s.all() {
		if to := q.record.Load().PurgedTo; to > 0 {
			s.removePurged(q, to)
		}
	}
}

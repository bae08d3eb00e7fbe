package pebble

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lambdad/lambdad/internal/store"
)

// Enqueue makes messages durable, atomically.
func (s *Store) Enqueue(ctx context.Context, name string, messages ...store.Message) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.CheckMessages(name, messages); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if len(messages) == 0 {
		return nil, nil
	}
	if err := s.mayWrite(spaceToWrite); err != nil {
		return nil, err
	}
	q, err := s.lockQueue(name)
	if err != nil {
		return nil, err
	}
	b, now := s.db.NewBatch(), s.now()
	ids := make([]string, len(messages))
	soonest := messages[0].Delay
	for i := range messages {
		ids[i] = rand.Text()
		q.last++
		due := instant(now.Add(max(messages[i].Delay, 0)))
		soonest = min(soonest, messages[i].Delay)
		q.first = min(q.first, due)
		m := message{id: ids[i], enqueued: now, body: messages[i].Body}
		err = errors.Join(err,
			b.Set(q.messageKey(q.last), m.encode(), nil),
			b.Set(q.dueKey(due, q.last), appendUint64(nil, 0), nil))
	}
	if q.waiting >= 0 {
		q.waiting += len(messages)
	}
	if err = s.submit(q, b, pebble.Sync, err); err != nil {
		return nil, err
	}
	if err := s.sync(b); err != nil {
		return nil, err
	}
	s.bells.RingIn(name, soonest)
	return ids, nil
}

// submit puts the batch into the pipeline and unlocks the queue. The order of
// batches in the log is then the order in which the queue's lock was held.
func (s *Store) submit(q *queue, b *pebble.Batch, o *pebble.WriteOptions, err error) error {
	defer q.mu.Unlock()
	if err == nil {
		if o.Sync {
			err = s.db.ApplyNoSyncWait(b, o)
		} else {
			err = s.db.Apply(b, o)
		}
	}
	if err != nil {
		return s.fail(fmt.Errorf("queue %q: %w", q.name, err))
	}
	return nil
}

// Extend moves a lease's end. Like the lease it is not synced.
func (s *Store) Extend(ctx context.Context, name, receipt string, duration time.Duration) error {
	if err := store.CheckLease(duration); err != nil {
		return err
	}
	return s.leased(ctx, name, receipt, pebble.NoSync, func(q *queue, l *lease, b *pebble.Batch, now time.Time) error {
		q.leases.remove(l)
		l.expiry = now.Add(duration)
		q.leases.add(l)
		s.bells.RingIn(name, duration)
		return b.Set(q.leaseKey(l.sequence), l.encode(), nil)
	})
}

// Ack removes a leased message for good.
func (s *Store) Ack(ctx context.Context, name, receipt string) error {
	return s.leased(ctx, name, receipt, pebble.Sync, func(q *queue, l *lease, b *pebble.Batch, _ time.Time) error {
		q.leases.remove(l)
		return errors.Join(b.Delete(q.leaseKey(l.sequence), nil), b.Delete(q.messageKey(l.sequence), nil))
	})
}

// Nack gives a leased message back.
func (s *Store) Nack(ctx context.Context, name, receipt string, delay time.Duration) error {
	return s.leased(ctx, name, receipt, pebble.Sync, func(q *queue, l *lease, b *pebble.Batch, now time.Time) error {
		q.leases.remove(l)
		if q.waiting >= 0 {
			q.waiting++
		}
		due := instant(now.Add(max(delay, 0)))
		q.first = min(q.first, due)
		s.bells.RingIn(name, delay)
		return errors.Join(
			b.Delete(q.leaseKey(l.sequence), nil),
			b.Set(q.dueKey(due, l.sequence), appendUint64(nil, l.attempts), nil))
	})
}

// leased lets change write what happens to the message that receipt is a lease
// of, and returns when that is durable, if o asks for it.
func (s *Store) leased(ctx context.Context, name, receipt string, o *pebble.WriteOptions,
	change func(*queue, *lease, *pebble.Batch, time.Time) error,
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.life.RUnlock()
	lost := fmt.Errorf("queue %q: %w", name, store.ErrLeaseLost)
	sequence, ok := receiptSequence(receipt)
	if !ok || store.CheckQueue(name) != nil {
		return lost
	}
	if err := s.mayWrite(spaceToFree); err != nil {
		return err
	}
	q, err := s.lockQueue(name)
	if err != nil {
		return err
	}
	now := s.now()
	l := q.leases.bySequence[sequence]
	if l == nil || !l.expiry.After(now) || subtle.ConstantTimeCompare([]byte(l.receipt), []byte(receipt)) != 1 {
		q.mu.Unlock()
		return lost
	}
	b := s.db.NewBatch()
	if err := s.submit(q, b, o, change(q, l, b, now)); err != nil {
		return err
	}
	if !o.Sync {
		return b.Close()
	}
	return s.sync(b)
}

// Ready returns the queue's bell.
func (s *Store) Ready(name string) <-chan struct{} { return s.bells.Channel(name) }

package pebble

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
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

// Lease takes due messages. The lease itself is written but not synced: what a
// crash can undo is only that somebody was working on the message, and it is
// delivered again.
func (s *Store) Lease(ctx context.Context, name string, limit int, duration time.Duration) ([]store.Delivery, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.CheckQueue(name); err != nil {
		return nil, err
	}
	if err := store.CheckLease(duration); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if err := s.mayWrite(spaceToFree); err != nil {
		return nil, err
	}
	q, err := s.lockQueue(name)
	if err != nil {
		return nil, err
	}
	now := s.now()
	taken, next, err := s.due(q, now, min(limit, store.ListLimitMax))
	if err != nil {
		q.mu.Unlock()
		return nil, fmt.Errorf("queue %q: %w", name, err)
	}
	b := s.db.NewBatch()
	defer b.Close()
	deliveries := make([]store.Delivery, 0, len(taken))
	leases := make([]*lease, 0, len(taken))
	for _, c := range taken {
		m, err := s.message(q, c.sequence)
		if err != nil {
			q.mu.Unlock()
			return nil, fmt.Errorf("queue %q: %w", name, err)
		}
		l := &lease{
			sequence: c.sequence,
			attempts: c.attempts + 1,
			expiry:   now.Add(duration),
			receipt:  makeReceipt(c.sequence, rand.Text()),
		}
		leases = append(leases, l)
		if c.lease == nil {
			err = b.Delete(q.dueKey(c.due, c.sequence), nil)
		}
		if err := errors.Join(err, b.Set(q.leaseKey(l.sequence), l.encode(), nil)); err != nil {
			q.mu.Unlock()
			return nil, fmt.Errorf("queue %q: %w", name, err)
		}
		deliveries = append(deliveries, store.Delivery{
			ID: m.id, Receipt: l.receipt, Body: m.body, Enqueued: m.enqueued, Attempts: int(l.attempts),
		})
	}
	for i, c := range taken {
		if c.lease != nil {
			q.leases.remove(c.lease)
		} else {
			q.first = c.due
			if q.waiting >= 0 {
				q.waiting--
			}
		}
		q.leases.add(leases[i])
	}
	if l := q.leases.byExpiry; len(l) > 0 && (next == 0 || instant(l[0].expiry) < next) {
		next = instant(l[0].expiry)
	}
	if err := s.submit(q, b, pebble.NoSync, nil); err != nil {
		return nil, err
	}
	if next != 0 {
		s.bells.RingIn(name, fromInstant(next).Sub(now))
	}
	return deliveries, nil
}

// candidate is a message that can be leased now.
type candidate struct {
	sequence uint64
	due      uint64
	attempts uint64
	lease    *lease // the expired one; nil: it was waiting
}

// due finds up to limit messages whose time has come, of the waiting and of
// those whose lease ended, in the order of their times; and when the first of
// the waiting that are left is due (0: none is left). The caller holds q.mu.
func (s *Store) due(q *queue, now time.Time, limit int) (taken []candidate, next uint64, err error) {
	at := instant(now)
	expired := q.expired(at, limit)
	err = s.scan(q, spaceDue, appendUint64(nil, q.first), func(it *pebble.Iterator, rest []byte) (bool, error) {
		if len(rest) != 16 {
			return false, fmt.Errorf("due key: %w", errCorrupt)
		}
		c := candidate{due: binary.BigEndian.Uint64(rest), sequence: binary.BigEndian.Uint64(rest[8:])}
		for len(taken) < limit && len(expired) > 0 && expired[0].due <= c.due {
			taken, expired = append(taken, expired[0]), expired[1:]
		}
		if c.due > at || len(taken) >= limit {
			next = c.due
			return false, nil
		}
		v, err := it.ValueAndErr()
		if err != nil || len(v) != 8 {
			return false, errors.Join(errCorrupt, err)
		}
		c.attempts = binary.BigEndian.Uint64(v)
		taken = append(taken, c)
		return true, nil
	})
	if left := limit - len(taken); left > 0 {
		taken = append(taken, expired[:min(left, len(expired))]...)
	}
	if err == nil && !slices.ContainsFunc(taken, func(c candidate) bool { return c.lease == nil }) {
		// The scan met no due one: the next scan need not walk there again.
		q.first = next
		if next == 0 {
			q.first = math.MaxUint64
		}
	}
	return taken, next, err
}

// expired returns up to limit messages whose lease has ended, the longest ended first.
func (q *queue) expired(at uint64, limit int) []candidate {
	var out []candidate
	var popped []*lease
	for len(out) < limit && len(q.leases.byExpiry) > 0 && instant(q.leases.byExpiry[0].expiry) <= at {
		l := q.leases.byExpiry[0]
		q.leases.remove(l)
		popped = append(popped, l)
		out = append(out, candidate{sequence: l.sequence, due: instant(l.expiry), attempts: l.attempts, lease: l})
	}
	for _, l := range popped {
		q.leases.add(l)
	}
	return out
}

func (s *Store) message(q *queue, sequence uint64) (message, error) {
	v, closer, err := s.db.Get(q.messageKey(sequence))
	if err != nil {
		return message{}, fmt.Errorf("message %d: %w", sequence, err)
	}
	m, err := decodeMessage(v)
	return m, errors.Join(err, closer.Close())
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

// Depth counts a queue's messages. It walks the delayed ones, and the first
// time after Open all that wait.
func (s *Store) Depth(ctx context.Context, name string) (store.Depth, error) {
	if err := ctx.Err(); err != nil {
		return store.Depth{}, err
	}
	if err := s.begin(); err != nil {
		return store.Depth{}, err
	}
	defer s.life.RUnlock()
	if err := store.CheckQueue(name); err != nil {
		return store.Depth{}, err
	}
	q, err := s.lockQueue(name)
	if err != nil {
		return store.Depth{}, err
	}
	defer q.mu.Unlock()
	d, err := s.depth(q, s.now())
	if err != nil {
		return store.Depth{}, fmt.Errorf("queue %q: %w", name, err)
	}
	return d, nil
}

func (s *Store) depth(q *queue, now time.Time) (store.Depth, error) {
	var d store.Depth
	count := func(from uint64) (n int, err error) {
		err = s.scan(q, spaceDue, appendUint64(nil, from), func(*pebble.Iterator, []byte) (bool, error) {
			n++
			return true, nil
		})
		return n, err
	}
	var err error
	if q.waiting < 0 {
		if q.waiting, err = count(0); err != nil {
			q.waiting = -1
			return d, err
		}
	}
	if d.Delayed, err = count(instant(now) + 1); err != nil {
		return d, err
	}
	d.Visible = q.waiting - d.Delayed
	for _, l := range q.leases.byExpiry {
		if l.expiry.After(now) {
			d.Leased++
		} else {
			d.Visible++
		}
	}
	from := q.oldest
	q.oldest = q.last + 1
	err = s.scan(q, spaceMessage, appendUint64(nil, from), func(it *pebble.Iterator, rest []byte) (bool, error) {
		v, err := it.ValueAndErr()
		if err != nil {
			return false, err
		}
		m, err := decodeMessage(v)
		if err != nil || len(rest) != 8 {
			return false, errors.Join(errCorrupt, err)
		}
		q.oldest = binary.BigEndian.Uint64(rest)
		d.Oldest = now.Sub(m.enqueued)
		return false, nil
	})
	return d, err
}

// Ready returns the queue's bell.
func (s *Store) Ready(name string) <-chan struct{} { return s.bells.Channel(name) }

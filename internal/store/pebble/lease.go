package pebble

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lambdad/lambdad/internal/store"
)

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

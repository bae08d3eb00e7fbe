package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lambdad/lambdad/internal/store"
)

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

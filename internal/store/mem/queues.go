package mem

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

// queue keeps its messages in the order of their due time, then arrival. A
// leased message is due when its lease expires.
type queue struct {
	messages []*message
	leases   map[string]*message // by receipt; an expired one stays until the next lease
	arrivals uint64
}

type message struct {
	id       string
	arrival  uint64
	body     []byte
	enqueued time.Time
	due      time.Time
	attempts int
	receipt  string // "" when not leased
}

func compareDue(a, b *message) int {
	if c := a.due.Compare(b.due); c != 0 {
		return c
	}
	return int(int64(a.arrival) - int64(b.arrival))
}

func (q *queue) insert(m *message) {
	i, _ := slices.BinarySearchFunc(q.messages, m, compareDue)
	q.messages = slices.Insert(q.messages, i, m)
}

func (q *queue) remove(m *message) {
	if i, found := slices.BinarySearchFunc(q.messages, m, compareDue); found {
		q.messages = slices.Delete(q.messages, i, i+1)
	}
}

// unlease makes the message one that nobody holds.
func (q *queue) unlease(m *message) {
	delete(q.leases, m.receipt)
	m.receipt = ""
}

// Enqueue adds messages atomically.
func (s *Store) Enqueue(ctx context.Context, name string, messages ...store.Message) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := store.CheckMessages(name, messages); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	q, now := s.queue(name), s.now()
	ids := make([]string, len(messages))
	for i := range messages {
		ids[i] = rand.Text()
		q.arrivals++
		q.insert(&message{
			id:       ids[i],
			arrival:  q.arrivals,
			body:     append([]byte{}, messages[i].Body...),
			enqueued: now,
			due:      now.Add(max(messages[i].Delay, 0)),
		})
	}
	s.ringNext(name, q, now)
	return ids, nil
}

// Lease takes due messages.
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
	limit = min(limit, store.ListLimitMax)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	q, now := s.queue(name), s.now()
	n := 0
	for n < len(q.messages) && n < limit && !q.messages[n].due.After(now) {
		n++
	}
	due := slices.Clone(q.messages[:n])
	q.messages = slices.Delete(q.messages, 0, n)
	var deliveries []store.Delivery
	for _, m := range due {
		q.unlease(m)
		m.receipt = rand.Text()
		m.attempts++
		m.due = now.Add(duration)
		q.leases[m.receipt] = m
		q.insert(m)
		deliveries = append(deliveries, store.Delivery{
			ID: m.id, Receipt: m.receipt, Body: m.body, Enqueued: m.enqueued, Attempts: m.attempts,
		})
	}
	s.ringNext(name, q, now)
	return deliveries, nil
}

// Extend moves a lease's end.
func (s *Store) Extend(ctx context.Context, name, receipt string, duration time.Duration) error {
	if err := store.CheckLease(duration); err != nil {
		return err
	}
	return s.leased(ctx, name, receipt, func(q *queue, m *message, now time.Time) {
		q.remove(m)
		m.due = now.Add(duration)
		q.insert(m)
	})
}

// Ack removes a leased message.
func (s *Store) Ack(ctx context.Context, name, receipt string) error {
	return s.leased(ctx, name, receipt, func(q *queue, m *message, _ time.Time) {
		q.unlease(m)
		q.remove(m)
	})
}

// Nack gives a leased message back.
func (s *Store) Nack(ctx context.Context, name, receipt string, delay time.Duration) error {
	return s.leased(ctx, name, receipt, func(q *queue, m *message, now time.Time) {
		q.unlease(m)
		q.remove(m)
		m.due = now.Add(max(delay, 0))
		q.insert(m)
	})
}

// leased calls do with the message that receipt is a lease of.
func (s *Store) leased(ctx context.Context, name, receipt string, do func(*queue, *message, time.Time)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	q, now := s.queues[name], s.now()
	if q == nil {
		return fmt.Errorf("queue %q: %w", name, store.ErrLeaseLost)
	}
	m := q.leases[receipt]
	if m == nil || !m.due.After(now) {
		return fmt.Errorf("queue %q: %w", name, store.ErrLeaseLost)
	}
	do(q, m, now)
	s.ringNext(name, q, now)
	return nil
}

// Depth counts a queue's messages.
func (s *Store) Depth(ctx context.Context, name string) (store.Depth, error) {
	if err := ctx.Err(); err != nil {
		return store.Depth{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Depth{}, store.ErrClosed
	}
	q, now := s.queues[name], s.now()
	var d store.Depth
	if q == nil {
		return d, nil
	}
	for _, m := range q.messages {
		switch {
		case !m.due.After(now):
			d.Visible++
		case m.receipt != "":
			d.Leased++
		default:
			d.Delayed++
		}
		d.Oldest = max(d.Oldest, now.Sub(m.enqueued))
	}
	return d, nil
}

// Ready returns the queue's bell.
func (s *Store) Ready(name string) <-chan struct{} { return s.bells.Channel(name) }

// ringNext rings when the first message is due; the caller holds s.mu.
func (s *Store) ringNext(name string, q *queue, now time.Time) {
	if len(q.messages) > 0 {
		s.bells.RingIn(name, q.messages[0].due.Sub(now))
	}
}

func (s *Store) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{leases: make(map[string]*message)}
		s.queues[name] = q
	}
	return q
}

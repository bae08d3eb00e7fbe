package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// queueRecord is a queue at rest. It is never changed once it is in a queue.
type queueRecord struct {
	ID         string
	Attributes map[string]string // as they were set
	Tags       map[string]string `json:",omitempty"`
	Created    time.Time
	Modified   time.Time
	// PurgedTo: messages up to here are gone, whatever is still on disk of them.
	PurgedTo flow.Sequence `json:",omitempty"`
	PurgedAt time.Time     `json:",omitzero"`
}

// queue is one queue and its messages in memory.
type queue struct {
	name Name
	id   string
	// record is what Create, Set and the like have made of the queue.
	record   atomic.Pointer[queueRecord]
	settings atomic.Pointer[settings] // read of the record
	change   sync.Mutex               // held while the record is being changed

	// mu is held for the time of a decision; the disk is only read under it, when
	// the queue's messages are looked for.
	mu      sync.Mutex
	gone    bool
	flow    *flow.Flow // nil until the queue is used
	stored  map[flow.Sequence]delivery
	waiting waiters
	// outcome is closed, and made anew, when a send has got to disk or has not.
	outcome chan struct{}
}

func newQueue(name Name, r *queueRecord) *queue {
	q := &queue{name: name, id: r.ID, outcome: make(chan struct{})}
	q.use(r)
	return q
}

func (q *queue) use(r *queueRecord) {
	q.record.Store(r)
	set := readSettings(r.Attributes)
	q.settings.Store(&set)
}

// loadQueues reads all queues, and goes on removing what is left of deleted ones.
func (s *Service) loadQueues(ctx context.Context) error {
	err := s.each(ctx, queuePrefix, func(r store.Record) error {
		var q queueRecord
		if err := json.Unmarshal(r.Value, &q); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		name, ok := nameOfKey(r.Key)
		if !ok {
			return fmt.Errorf("%s: %w", r.Key, errCorrupt)
		}
		s.queues[name] = newQueue(name, &q)
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqs: read the queues: %w", err)
	}
	err = s.each(ctx, gonePrefix, func(r store.Record) error {
		var g goneRecord
		if err := json.Unmarshal(r.Value, &g); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		s.deleted[g.Name] = g.Deleted
		s.spawn(func() { s.removeAll(r.Key[len(gonePrefix):], g) })
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqs: read the deleted queues: %w", err)
	}
	return nil
}

// each walks all records of a prefix.
func (s *Service) each(ctx context.Context, prefix string, visit func(store.Record) error) error {
	after := ""
	for {
		page, more, err := s.records.List(ctx, prefix, after, store.ListLimitMax)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := visit(r); err != nil {
				return err
			}
			after = r.Key
		}
		if !more {
			return nil
		}
	}
}

// lock gives the queue locked and ready for use; ErrNoQueue when it was deleted.
func (s *Service) lock(ctx context.Context, q *queue) error {
	q.mu.Lock()
	if q.gone {
		q.mu.Unlock()
		return ErrNoQueue
	}
	if q.flow == nil {
		if err := s.open(ctx, q); err != nil {
			q.mu.Unlock()
			return fmt.Errorf("queue %s: %w", q.name.Queue, err)
		}
	}
	return nil
}

// open counts the queue's messages on disk and reads what else must be known
// before the first is delivered. The messages are read in pages, as they are wanted.
func (s *Service) open(ctx context.Context, q *queue) error {
	from := q.record.Load().PurgedTo
	after, waiting, newest := placeKey(q.id, from), 0, from
	for more := true; more; {
		var page []store.Record
		var err error
		if page, more, err = s.records.List(ctx, placePrefix(q.id), after, store.ListLimitMax); err != nil {
			return err
		}
		waiting += len(page)
		if len(page) > 0 {
			after = page[len(page)-1].Key
			newest, _ = sequenceOf(after)
		}
	}
	stored := map[flow.Sequence]delivery{}
	err := s.each(ctx, deliveryPrefix(q.id), func(r store.Record) error {
		d, err := decodeDelivery(r.Value)
		sequence, ok := sequenceOf(r.Key)
		if err != nil || !ok {
			return fmt.Errorf("%s: %w", r.Key, errCorrupt)
		}
		if sequence > from {
			stored[sequence] = d
		}
		return nil
	})
	if err != nil {
		return err
	}
	f := flow.New(q.flowSettings(0), from, waiting)
	f.Seen(newest)
	if err := s.loadDedup(ctx, q, f); err != nil {
		return err
	}
	q.flow, q.stored = f, stored
	return nil
}

// flowSettings are the settings that bear on the order; maxReceives is 0 where no
// dead-letter queue is there.
func (q *queue) flowSettings(maxReceives int) flow.Settings {
	set := q.settings.Load()
	out := flow.Settings{
		FIFO: q.name.FIFO(), Retention: flow.Instant(set.retention.Milliseconds()), MaxReceives: maxReceives, InFlightMax: inFlightMax,
	}
	return out
}

// inFlightMax bounds the messages in flight of a queue: 120,000 for standard queues,
// and since November 2024 for FIFO queues too (developer guide, queue quotas).
const inFlightMax = 120_000

// fill reads messages from disk into the window. The caller holds q.mu.
func (s *Service) fill(ctx context.Context, q *queue) error {
	for {
		after, end, limit, wanted := q.flow.Page()
		if !wanted {
			return nil
		}
		page, more, err := s.records.List(ctx, placePrefix(q.id), placeKey(q.id, after), min(limit, store.ListLimitMax))
		if err != nil {
			return err
		}
		messages := make([]flow.Stored, 0, len(page))
		for _, r := range page {
			sequence, ok := sequenceOf(r.Key)
			draft, err := decodePlace(r.Value)
			if err != nil || !ok {
				return fmt.Errorf("%s: %w", r.Key, errCorrupt)
			}
			if end != 0 && sequence >= end {
				more = true
				break
			}
			d := q.stored[sequence]
			delete(q.stored, sequence)
			messages = append(messages, flow.Stored{Sequence: sequence, Draft: draft, Receives: d.receives, First: d.first, Visible: d.visible})
		}
		q.flow.Load(s.instant(), messages, more)
		if len(messages) == 0 {
			return nil
		}
	}
}

// content reads what a message carries; store.ErrNotFound when it is gone.
func (s *Service) content(ctx context.Context, id string, sequence flow.Sequence, parts int) (*content, error) {
	var all []byte
	for part := range parts {
		r, err := s.records.Get(ctx, contentKey(id, sequence, part))
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", sequence, err)
		}
		if parts == 1 {
			all = r.Value
		} else {
			all = append(all, r.Value...)
		}
	}
	return decodeContent(all, s.vault, id)
}

// removal is the writes that take a message off the disk. Its records are there, but for the delivery of one that was never noted.
func (q *queue) removal(sequence flow.Sequence, parts int) []store.Write {
	writes := []store.Write{
		{Kind: store.WriteErase, Key: placeKey(q.id, sequence)},
		{Kind: store.WriteErase, Key: deliveryKey(q.id, sequence)},
	}
	for part := range parts {
		writes = append(writes, store.Write{Kind: store.WriteErase, Key: contentKey(q.id, sequence, part)})
	}
	return writes
}

package sqs

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// dedupRecord is a deduplication id at rest: it outlives the message.
type dedupRecord struct {
	Key       string
	MessageID string
	Sequence  flow.Sequence
	Sent      flow.Instant
}

func dedupWrite(queueID, key string, d flow.Duplicate) store.Write {
	value, err := json.Marshal(dedupRecord{Key: key, MessageID: d.MessageID, Sequence: d.Sequence, Sent: d.Sent})
	if err != nil {
		panic("a deduplication record does not encode: " + err.Error()) // strings and numbers always do
	}
	return store.Write{Key: dedupKey(queueID, d.Sent, d.Sequence), Value: value}
}

// loadDedup reads the deduplication ids that still count; those that do not are
// removed by the sweep.
func (s *Service) loadDedup(ctx context.Context, q *queue, f *flow.Flow) error {
	if !q.name.FIFO() {
		return nil
	}
	now := s.instant()
	return s.each(ctx, dedupPrefix(q.id), func(r store.Record) error {
		var d dedupRecord
		if err := json.Unmarshal(r.Value, &d); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		f.Seen(d.Sequence)
		if d.Sequence > q.record.Load().PurgedTo && d.Sent+flow.DedupLife > now {
			f.Remember(d.Key, flow.Duplicate{Sequence: d.Sequence, MessageID: d.MessageID, Sent: d.Sent})
		}
		return nil
	})
}

// sweepDedup removes from disk the deduplication ids that count no more.
func (s *Service) sweepDedup(ctx context.Context, q *queue) error {
	if !q.name.FIFO() {
		return nil
	}
	end := dedupPrefix(q.id) + hex16(uint64(max(s.instant()-flow.DedupLife, 0)))
	for {
		page, _, err := s.records.List(ctx, dedupPrefix(q.id), "", store.ListLimitMax)
		if err != nil {
			return err
		}
		var writes []store.Write
		for _, r := range page {
			if r.Key < end {
				writes = append(writes, store.Write{Kind: store.WriteDelete, Key: r.Key})
			}
		}
		if len(writes) == 0 {
			return nil
		}
		if _, err := s.records.Commit(ctx, writes...); err != nil {
			return err
		}
	}
}

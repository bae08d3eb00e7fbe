package sqs

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// Outgoing is a message to send. It must have been checked for its queue.
type Outgoing struct {
	Body       string
	Attributes map[string]Attribute
	Trace      string // AWSTraceHeader
	// tracedByHeader: it is the request's, so the sender is not told its digest.
	tracedByHeader bool
	// Delay is the message's own; nil: the queue's.
	Delay   *time.Duration
	Group   string
	DedupID string
	Sender  string
}

// Sent tells what became of a message.
type Sent struct {
	MessageID string
	// Number is the sequence number of a message of a FIFO queue, else 0.
	Number uint64
}

// draft is a message on its way to disk.
type draft struct {
	out   *Outgoing
	sent  *Sent
	id    string   // of the message, if it is no duplicate
	parts [][]byte // of its content
	key   string   // of its deduplication, "" without one
	dup   *flow.Duplicate
}

// send makes messages durable, all or none, and then lets them be received. What
// repeats an earlier message is not sent again, and answered as that one was.
func (s *Service) send(ctx context.Context, q *queue, messages []Outgoing) ([]Sent, error) {
	sent := make([]Sent, len(messages))
	rest := make([]*draft, len(messages))
	for i := range messages {
		d := &draft{out: &messages[i], sent: &sent[i], id: string(aws.NewRequestID())}
		var err error
		if d.parts, err = s.encode(q, d.content()); err != nil {
			return nil, err
		}
		rest[i] = d
	}
	for len(rest) > 0 {
		if err := s.lock(ctx, q); err != nil {
			return nil, err
		}
		now := s.instant()
		if q.name.FIFO() && q.flow.DedupFull(now) {
			q.mu.Unlock()
			return nil, errThrottled
		}
		fresh, wait := q.sift(now, rest)
		outcome := q.outcome
		if len(fresh) == 0 && len(wait) > 0 {
			// Somebody else is sending the same: it is a duplicate if that gets to disk.
			q.mu.Unlock()
			select {
			case <-outcome:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			rest = wait
			continue
		}
		if err := s.write(ctx, q, now, fresh); err != nil { // unlocks
			return nil, err
		}
		rest = wait
	}
	return sent, nil
}

func (d *draft) content() *content {
	return &content{
		MessageID: d.id, SenderID: d.out.Sender, Group: d.out.Group, DedupID: d.out.DedupID, Trace: d.out.Trace,
		Attributes: d.out.Attributes, Body: d.out.Body,
	}
}

// encode makes the parts of a content in a queue.
func (s *Service) encode(q *queue, c *content) ([][]byte, error) {
	return c.encode(s.vault, q.settings.Load().sealing(s.now()), q.id)
}

// sift answers duplicates, and separates what is new from what repeats a message
// that is not on disk yet. The caller holds q.mu.
func (q *queue) sift(now flow.Instant, drafts []*draft) (fresh, wait []*draft) {
	set := q.settings.Load()
	for _, d := range drafts {
		if q.name.FIFO() {
			d.key = d.out.DedupID
			if set.dedupByGroup {
				d.key = d.out.Group + "\x00" + d.out.DedupID
			}
			switch dup := q.flow.Duplicate(now, d.key); {
			case dup != nil && dup.Pending:
				wait = append(wait, d)
				continue
			case dup != nil:
				*d.sent = Sent{MessageID: dup.MessageID, Number: number(dup.Sequence)}
				continue
			}
			d.dup = q.flow.Remember(d.key, flow.Duplicate{MessageID: d.id, Sent: now, Pending: true})
		}
		fresh = append(fresh, d)
	}
	return fresh, wait
}

// number is a sequence as FIFO queues tell it: 20 digits, as AWS's are.
func number(s flow.Sequence) uint64 { return numberBase + uint64(s) }

const numberBase = 18_000_000_000_000_000_000

// write gets fresh messages to disk. It is called with q.mu held, and gives it back.
func (s *Service) write(ctx context.Context, q *queue, now flow.Instant, fresh []*draft) error {
	if len(fresh) == 0 {
		q.mu.Unlock()
		return nil
	}
	set := q.settings.Load()
	places := make([]flow.Draft, len(fresh))
	for i, d := range fresh {
		delay := set.delay
		if d.out.Delay != nil {
			delay = *d.out.Delay
		}
		places[i] = flow.Draft{Sent: now, Due: now + flow.Instant(delay.Milliseconds()), Parts: len(d.parts), Group: d.out.Group}
	}
	sequences := q.flow.Reserve(now, places)
	var writes []store.Write
	for i, d := range fresh {
		*d.sent = Sent{MessageID: d.id}
		writes = append(writes, q.placing(sequences[i], places[i], d.parts)...)
		if d.dup != nil {
			d.sent.Number, d.dup.Sequence = number(sequences[i]), sequences[i]
			writes = append(writes, dedupWrite(q.id, d.key, *d.dup))
		}
	}
	q.mu.Unlock()

	_, err := s.records.Commit(ctx, writes...)

	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range fresh {
		if d.dup == nil {
			continue
		}
		if d.dup.Pending = false; err != nil {
			q.flow.Forget(d.dup)
		}
	}
	if err != nil {
		q.flow.Abort(sequences)
	} else {
		q.flow.Confirm(s.instant(), sequences)
		q.waiting.wake(len(sequences))
	}
	close(q.outcome)
	q.outcome = make(chan struct{})
	if err != nil {
		return fmt.Errorf("send to %s: %w", q.name.Queue, err)
	}
	if q.gone {
		return ErrNoQueue
	}
	return nil
}

// placing is the writes that put a message on disk.
func (q *queue) placing(sequence flow.Sequence, place flow.Draft, parts [][]byte) []store.Write {
	writes := []store.Write{{Key: placeKey(q.id, sequence), Value: encodePlace(place)}}
	for i, part := range parts {
		writes = append(writes, store.Write{Key: contentKey(q.id, sequence, i), Value: part})
	}
	return writes
}

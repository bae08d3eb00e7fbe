package sqs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// Received is a delivered message.
type Received struct {
	MessageID  string
	Receipt    string
	Body       string
	Attributes map[string]Attribute
	Trace      string // AWSTraceHeader
	Sender     string
	Group      string
	DedupID    string
	Number     uint64 // of a FIFO queue, else 0
	DeadFrom   string // ARN of the queue whose dead letter it is
	Receives   int    // including this one
	Sent       time.Time
	First      time.Time // received
}

// BodyDigest is MD5OfBody.
func (r *Received) BodyDigest() string { return md5Hex([]byte(r.Body)) }

// AttributesDigest is MD5OfMessageAttributes of all attributes, "" without any.
func (r *Received) AttributesDigest() string { return attributesDigest(r.Attributes) }

// Ask is what a receive wants.
type Ask struct {
	Limit      int
	Visibility time.Duration
	Wait       time.Duration
	AttemptID  string
}

// receive takes messages, and waits for them as long as it is asked to.
func (s *Service) receive(ctx context.Context, q *queue, ask Ask) ([]Received, error) {
	until := time.Now().Add(ask.Wait) // waiting is real, whatever clock the queue has
	for round := 0; ; round++ {
		turn, next, batch, err := s.take(ctx, q, ask)
		if err != nil {
			return nil, err
		}
		moved := s.putAside(ctx, q, batch)
		got, err := s.deliver(ctx, q, batch.Taken)
		if err != nil || len(got) > 0 {
			return got, err
		}
		left := time.Until(until)
		if moved && (left > 0 || round < asideRounds) {
			s.leave(q, turn)
			continue
		}
		if left <= 0 || s.polls.Err() != nil {
			s.leave(q, turn)
			return nil, nil
		}
		if next > 0 && next < left {
			left = next
		}
		if err := s.await(ctx, q, turn, left); err != nil {
			return nil, err
		}
	}
}

// asideRounds bounds how often a receive that does not wait looks behind messages that had
// to be moved first.
const asideRounds = 8

// take asks the queue's order. Without messages it joins those that wait, and tells
// in how long time itself may bring some (0: it does not).
func (s *Service) take(ctx context.Context, q *queue, ask Ask) (turn chan struct{}, next time.Duration, batch flow.Batch, err error) {
	dead := s.deadLetters(q)
	if err := s.lock(ctx, q); err != nil {
		return nil, 0, batch, err
	}
	defer q.mu.Unlock()
	if err := s.fill(ctx, q); err != nil {
		return nil, 0, batch, err
	}
	maxReceives := 0
	if dead != nil {
		maxReceives = q.settings.Load().redrive.MaxReceives
	}
	q.flow.Configure(q.flowSettings(maxReceives))
	now := s.instant()
	batch, err = q.flow.Receive(now, flow.Ask{Limit: ask.Limit, Visibility: flow.Instant(ask.Visibility.Milliseconds()), AttemptID: ask.AttemptID})
	if errors.Is(err, flow.ErrOverLimit) && ask.Wait > 0 {
		err = nil // told to those alone who do not wait (developer guide, queue quotas)
	}
	if err != nil || len(batch.Taken) > 0 {
		return nil, 0, batch, err
	}
	if at, ok := q.flow.Next(); ok {
		next = max(time.Duration(at-now), 1) * time.Millisecond
	}
	return q.waiting.join(), next, batch, nil
}

// await waits for the turn, or for time to pass.
func (s *Service) await(ctx context.Context, q *queue, turn chan struct{}, left time.Duration) error {
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
	case <-s.polls.Done():
	case <-ctx.Done():
	}
	s.leave(q, turn)
	return ctx.Err()
}

// leave ends a wait; a turn that had come already goes to the next.
func (s *Service) leave(q *queue, turn chan struct{}) {
	if turn == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.leave(turn) {
		q.waiting.wake(1)
	}
}

// deliver reads what the taken messages carry.
func (s *Service) deliver(ctx context.Context, q *queue, taken []flow.Taken) ([]Received, error) {
	got := make([]Received, 0, len(taken))
	for _, t := range taken {
		c, err := s.content(ctx, q.id, t.Sequence, t.Parts)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted or purged since
		}
		if err != nil {
			s.giveBack(q, taken) // nobody gets them: the client is gone, or the disk is
			return nil, fmt.Errorf("receive from %s: %w", q.name.Queue, err)
		}
		s.states.note(q, t.Sequence)
		r := Received{
			MessageID: c.MessageID, Receipt: s.receipts.handle(q.id, flow.Receipt{Sequence: t.Sequence, Receives: t.Receives}),
			Body: c.Body, Attributes: c.Attributes, Trace: c.Trace, Sender: c.SenderID, Group: c.Group, DedupID: c.DedupID,
			DeadFrom: c.DeadFrom, Receives: t.Receives, Sent: time.UnixMilli(int64(t.Sent)), First: time.UnixMilli(int64(t.First)),
		}
		if q.name.FIFO() {
			r.Number = number(t.Sequence)
		}
		got = append(got, r)
	}
	return got, nil
}

// giveBack lets others have messages that were taken in vain.
func (s *Service) giveBack(q *queue, taken []flow.Taken) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := s.instant()
	for _, t := range taken {
		// One that is gone meanwhile needs nothing.
		_ = q.flow.Hide(now, flow.Receipt{Sequence: t.Sequence, Receives: t.Receives}, 0)
	}
	q.waiting.wake(len(taken))
}

// putAside removes expired messages and moves dead ones; true: it is worth to look again.
func (s *Service) putAside(ctx context.Context, q *queue, b flow.Batch) bool {
	if len(b.Expired) > 0 {
		s.discard(ctx, q, b.Expired)
	}
	if len(b.Dead) > 0 {
		s.bury(ctx, q, b.Dead)
	}
	return len(b.Expired)+len(b.Dead) > 0
}

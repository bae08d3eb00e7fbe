package sqs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/store"
)

// errHandle tells a receipt handle that is none of the queue's.
var errHandle = errors.New("sqs: no receipt handle of this queue")

// errExpiredHandle tells one that gives no right any more.
var errExpiredHandle = errors.New("sqs: the receipt handle has expired")

// remove deletes a delivered message; the answer is as AWS's: what is gone already,
// and what a standard queue has delivered again since, is no error.
func (s *Service) remove(ctx context.Context, q *queue, handle string) error {
	receipt, ok := s.receipts.open(q.id, handle)
	if !ok {
		return errHandle
	}
	if err := s.lock(ctx, q); err != nil {
		return err
	}
	err := q.flow.Delete(s.instant(), receipt)
	parts := q.flow.Parts(receipt.Sequence)
	q.mu.Unlock()
	switch {
	case errors.Is(err, flow.ErrGone), errors.Is(err, flow.ErrStale) && !q.name.FIFO():
		return nil
	case err != nil:
		return errExpiredHandle
	}
	return s.erase(ctx, q, []flow.Sequence{receipt.Sequence}, []int{parts})
}

// erase takes messages off the disk that the order has let go already.
func (s *Service) erase(ctx context.Context, q *queue, sequences []flow.Sequence, parts []int) error {
	var writes []store.Write
	for i, sequence := range sequences {
		writes = append(writes, q.removal(sequence, parts[i])...)
	}
	_, err := s.records.Commit(ctx, writes...)
	s.settle(q, sequences, err == nil)
	if err != nil {
		return fmt.Errorf("delete from %s: %w", q.name.Queue, err)
	}
	return nil
}

// settle tells the order whether messages are off the disk.
func (s *Service) settle(q *queue, sequences []flow.Sequence, removed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := s.instant()
	for _, sequence := range sequences {
		if removed {
			q.flow.Removed(sequence)
		} else {
			q.flow.Restore(now, sequence)
		}
	}
	// In a FIFO queue the next of the group may be delivered now.
	if q.flow.Deliverable() {
		q.waiting.wake(len(sequences))
	}
}

// eraseMax bounds the messages that one commit removes: each is three records and more.
const eraseMax = 200

// discard removes expired messages; those that cannot be removed now are met again.
func (s *Service) discard(ctx context.Context, q *queue, sequences []flow.Sequence) {
	for len(sequences) > 0 {
		n := min(len(sequences), eraseMax)
		parts := make([]int, n)
		q.mu.Lock()
		for i := range n {
			parts[i] = q.flow.Parts(sequences[i])
		}
		q.mu.Unlock()
		if err := s.erase(ctx, q, sequences[:n], parts); err != nil {
			s.log.Warn("expired messages not removed", "queue", q.name.ARN(), "error", err)
		}
		sequences = sequences[n:]
	}
}

// hide changes how long a delivery hides its message.
func (s *Service) hide(ctx context.Context, q *queue, handle string, visibility time.Duration) error {
	receipt, ok := s.receipts.open(q.id, handle)
	if !ok {
		return errHandle
	}
	if err := s.lock(ctx, q); err != nil {
		return err
	}
	err := q.flow.Hide(s.instant(), receipt, flow.Instant(visibility.Milliseconds()))
	if err == nil {
		// Those that wait look again, if only for how long they still have to.
		q.waiting.wake(1)
	}
	q.mu.Unlock()
	if err == nil {
		s.states.note(q, receipt.Sequence)
	}
	return err
}

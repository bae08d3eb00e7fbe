package sqs

import (
	"context"
	"time"

	"github.com/lambdad/lambdad/internal/wire"
)

// The functions below are SQS for the rooms of this node, by ARN and without
// authorisation: whoever calls them has asked already.

// Create makes a queue; one that is there with these attributes is as good.
func (s *Service) Create(ctx context.Context, arn string, attributes map[string]string) error {
	name, ok := ParseARN(arn)
	if !ok {
		return ErrNoQueue
	}
	_, err := s.create(ctx, name, attributes, nil)
	return err
}

// Send puts messages into a queue; when it returns they are on disk. They are taken as
// they are: a FIFO queue needs Group and DedupID (or content-based deduplication).
func (s *Service) Send(ctx context.Context, arn string, messages ...Outgoing) ([]Sent, error) {
	q, err := s.byARN(arn)
	if err != nil {
		return nil, err
	}
	checked := make([]Outgoing, len(messages))
	for i, m := range messages {
		if checked[i], err = q.admit(m); err != nil {
			return nil, err
		}
	}
	return s.send(ctx, q, checked)
}

// Receive takes messages, and waits for them as long as Wait says. No Visibility is
// the queue's own.
func (s *Service) Receive(ctx context.Context, arn string, ask Ask) ([]Received, error) {
	q, err := s.byARN(arn)
	if err != nil {
		return nil, err
	}
	if ask.Visibility == 0 {
		ask.Visibility = q.settings.Load().visibility
	}
	ask.Limit = min(max(ask.Limit, 1), receiveMax)
	return s.receive(ctx, q, ask)
}

// Delete removes a received message.
func (s *Service) Delete(ctx context.Context, arn, receipt string) error {
	q, err := s.byARN(arn)
	if err != nil {
		return err
	}
	return handleFault(s.remove(ctx, q, receipt), receipt)
}

// ChangeVisibility hides a received message for so long from now on; 0 gives it back.
func (s *Service) ChangeVisibility(ctx context.Context, arn, receipt string, visibility time.Duration) error {
	q, err := s.byARN(arn)
	if err != nil {
		return err
	}
	return s.changeVisibility(ctx, q, receipt, int32(visibility/time.Second))
}

// Attributes are all of a queue's attributes, as GetQueueAttributes has them.
func (s *Service) Attributes(ctx context.Context, arn string) (map[string]string, error) {
	q, err := s.byARN(arn)
	if err != nil {
		return nil, err
	}
	return s.attributes(ctx, q, []string{"All"})
}

// MaySend returns the refusal, if a caller may not send to a queue, with the queue's own
// policy; ErrNoQueue where there is none.
func (s *Service) MaySend(ctx context.Context, call *wire.Call, arn string) error {
	name, ok := ParseARN(arn)
	if !ok {
		return ErrNoQueue
	}
	if _, err := s.find(name); err != nil {
		return err
	}
	if s.authorize == nil {
		return nil
	}
	return s.ask(ctx, call, "SendMessage", name, nil)
}

// Exists tells whether a queue is there.
func (s *Service) Exists(arn string) bool {
	_, err := s.byARN(arn)
	return err == nil
}

func (s *Service) byARN(arn string) (*queue, error) {
	name, ok := ParseARN(arn)
	if !ok {
		return nil, ErrNoQueue
	}
	return s.find(name)
}

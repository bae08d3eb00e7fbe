package sqs

import (
	"context"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

// destination is where a message of a move goes: the task's queue, or the one that the
// message came from.
func (s *Service) destination(ctx context.Context, source *queue, m *moveRecord, sequence flow.Sequence, parts int) (*queue, error) {
	arn := m.Destination
	if arn == "" {
		c, err := s.content(ctx, source.id, sequence, parts)
		if err != nil {
			return nil, err
		}
		arn = c.DeadFrom
	}
	if arn == "" {
		return nil, moveFailure("CouldNotDetermineMessageSource")
	}
	name, _ := ParseARN(arn)
	to, err := s.find(name)
	if err != nil {
		return nil, moveFailure("AWS.SimpleQueueService.NonExistentQueue")
	}
	return to, nil
}

func sequences(taken []flow.Taken) []flow.Sequence {
	out := make([]flow.Sequence, len(taken))
	for i, t := range taken {
		out[i] = t.Sequence
	}
	return out
}

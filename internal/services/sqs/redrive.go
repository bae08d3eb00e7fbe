package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/lambdad/lambdad/internal/services/sqs/flow"
)

const (
	maxReceivesTop = 1000 // API reference, SetQueueAttributes, RedrivePolicy
	sourcesMax     = 10   // RedriveAllowPolicy, byQueue
)

// parseRedrive reads a RedrivePolicy. Its number may stand in quotes.
func parseRedrive(text string) (*redrivePolicy, error) {
	var raw struct {
		Target      string `json:"deadLetterTargetArn"`
		MaxReceives any    `json:"maxReceiveCount"`
	}
	refuse := func(reason string) (*redrivePolicy, error) {
		return nil, invalidParameter(text, "RedrivePolicy", reason)
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return refuse("Redrive policy is not a valid JSON map.")
	}
	if raw.MaxReceives == nil {
		return refuse("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
	}
	if raw.Target == "" {
		return refuse("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
	}
	count := fmt.Sprint(raw.MaxReceives)
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxReceivesTop {
		return refuse("Invalid value for maxReceiveCount: " + count + ", valid values are from 1 to 1000 both inclusive.")
	}
	return &redrivePolicy{Target: raw.Target, MaxReceives: n}, nil
}

// checkRedrive refuses a RedrivePolicy whose queue is not there, is of another kind or
// does not allow it.
func (s *Service) checkRedrive(name Name, text string) error {
	r, err := parseRedrive(text)
	if err != nil {
		return err
	}
	refuse := func(reason string) error { return invalidParameter(text, "RedrivePolicy", reason) }
	target, ok := ParseARN(r.Target)
	if !ok {
		return refuse("Invalid value for deadLetterTargetArn.")
	}
	if target.Account != name.Account || target.Region != name.Region {
		return refuse("Dead letter target does not exist.")
	}
	q, err := s.find(target)
	if err != nil {
		return refuse("Dead letter target does not exist.")
	}
	if target.FIFO() != name.FIFO() {
		return refuse("Dead-letter queue must be same type of queue as the source.")
	}
	if !q.settings.Load().allow.allows(name.ARN()) {
		return refuse("Queue does not have permission to redrive to the dead-letter queue.")
	}
	return nil
}

func (p *redriveAllowPolicy) allows(source string) bool {
	return p == nil || p.Permission == "" || p.Permission == "allowAll" || p.Permission == "byQueue" && slices.Contains(p.Sources, source)
}

func checkRedriveAllow(text string) error {
	var p redriveAllowPolicy
	refuse := func(reason string) error { return invalidParameter(text, "RedriveAllowPolicy", reason) }
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return refuse("Amazon SQS can't create the redrive allow policy, as it's in an unsupported format.")
	}
	switch {
	case p.Permission == "byQueue" && (len(p.Sources) == 0 || len(p.Sources) > sourcesMax):
		return refuse("Amazon SQS can't create the redrive allow policy. Specify from 1 to 10 sourceQueueArns.")
	case p.Permission == "byQueue":
		for _, arn := range p.Sources {
			if _, ok := ParseARN(arn); !ok {
				return refuse("Amazon SQS can't create the redrive allow policy, as a sourceQueueArn is invalid.")
			}
		}
	case p.Permission != "allowAll" && p.Permission != "denyAll":
		return refuse("Amazon SQS can't create the redrive allow policy, as the redrivePermission is invalid.")
	case len(p.Sources) > 0:
		return refuse("Amazon SQS can't create the redrive allow policy, as sourceQueueArns go with byQueue only.")
	}
	return nil
}

// deadLetters is the queue's dead-letter queue, nil where it has none.
func (s *Service) deadLetters(q *queue) *queue {
	redrive := q.settings.Load().redrive
	if redrive == nil {
		return nil
	}
	name, ok := ParseARN(redrive.Target)
	if !ok {
		return nil
	}
	dead, err := s.find(name)
	if err != nil || dead == q || !dead.settings.Load().allow.allows(q.name.ARN()) {
		return nil
	}
	return dead
}

// bury moves messages that were received too often to the dead-letter queue.
func (s *Service) bury(ctx context.Context, q *queue, sequences []flow.Sequence) {
	dead := s.deadLetters(q)
	if dead == nil {
		s.settle(q, sequences, false)
		return
	}
	// Side by side: they share flushes of the disk. A FIFO queue's are of different groups.
	for _, err := range together(len(sequences), func(i int) error { return s.transfer(ctx, q, dead, sequences[i], q.name.ARN()) }) {
		if err != nil {
			s.log.Warn("message not moved to the dead-letter queue", "queue", q.name.ARN(), "error", err)
		}
	}
}

// transfer moves a message, which the source's order has let go, to another queue in
// one commit: it is in exactly one of them, whatever happens. deadFrom is what it tells
// of its origin.
func (s *Service) transfer(ctx context.Context, from, to *queue, sequence flow.Sequence, deadFrom string) (err error) {
	moved := false
	defer func() { s.settle(from, []flow.Sequence{sequence}, moved) }()
	from.mu.Lock()
	parts, sent := from.flow.Parts(sequence), from.flow.Sent(sequence)
	from.mu.Unlock()
	c, err := s.content(ctx, from.id, sequence, parts)
	if err != nil {
		return err
	}
	c.DeadFrom = deadFrom
	encoded, err := s.encode(to, c)
	if err != nil {
		return err
	}
	if err := s.lock(ctx, to); err != nil {
		return err
	}
	now := s.instant()
	place := flow.Draft{Sent: sent, Due: now, Parts: len(encoded), Group: c.Group}
	if to.name.FIFO() {
		// A standard queue's message keeps its age, a FIFO queue's begins a new one
		// (developer guide, "Using dead-letter queues").
		place.Sent = now
	}
	placed := to.flow.Reserve(now, []flow.Draft{place})
	to.mu.Unlock()

	_, err = s.records.Commit(ctx, append(to.placing(placed[0], place, encoded), from.removal(sequence, parts)...)...)

	to.mu.Lock()
	defer to.mu.Unlock()
	if err != nil {
		to.flow.Abort(placed)
		return err
	}
	moved = true
	to.flow.Confirm(s.instant(), placed)
	to.waiting.wake(1)
	return nil
}

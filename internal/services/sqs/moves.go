package sqs

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Bounds of message moves (API reference, StartMessageMoveTask and
// ListMessageMoveTasks).
const (
	moveRateMax = 500 // messages a second
	moveListMax = 10
	moveKeep    = 10 // tasks of a queue that are remembered
)

// The states of a move.
const (
	moveRunning    = "RUNNING"
	moveCompleted  = "COMPLETED"
	moveCancelling = "CANCELLING"
	moveCancelled  = "CANCELLED"
	moveFailed     = "FAILED"
)

// moveRecord is a move of messages at rest.
type moveRecord struct {
	ID          string
	Source      string // ARN
	Destination string `json:",omitempty"` // ARN; "": where each message came from
	Rate        int    `json:",omitempty"` // 0: as fast as it goes
	Status      string
	Moved       int64
	ToMove      int64
	Failure     string `json:",omitempty"`
	Started     time.Time
}

// moveTask is a move in this process. Service.mu guards its record.
type moveTask struct {
	record moveRecord
	cancel context.CancelFunc // nil: it does not run
}

// loadMoves reads the moves, and goes on with those that ran.
func (s *Service) loadMoves(ctx context.Context) error {
	err := s.each(ctx, movePrefix, func(r store.Record) error {
		var m moveRecord
		if err := json.Unmarshal(r.Value, &m); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		t := &moveTask{record: m}
		s.moves[m.ID] = t
		switch m.Status {
		case moveRunning:
			s.startMove(t)
		case moveCancelling:
			t.record.Status = moveCancelled
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqs: read the message moves: %w", err)
	}
	return nil
}

func (s *Service) startMove(t *moveTask) {
	ctx, cancel := context.WithCancel(s.ctx)
	t.cancel = cancel
	s.spawn(func() {
		defer cancel()
		s.runMove(ctx, t)
	})
}

// runMove moves message after message until none is left that nobody has.
func (s *Service) runMove(ctx context.Context, t *moveTask) {
	s.mu.RLock()
	m := t.record
	s.mu.RUnlock()
	var tick <-chan time.Time
	if m.Rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(m.Rate))
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		if tick != nil {
			select {
			case <-tick:
			case <-ctx.Done():
			}
		}
		if s.ctx.Err() != nil {
			return // the next start goes on
		}
		if ctx.Err() != nil {
			s.endMove(t, moveCancelled, "")
			return
		}
		moved, err := s.moveOne(ctx, &m)
		switch {
		case s.ctx.Err() != nil:
			return
		case ctx.Err() != nil:
			s.endMove(t, moveCancelled, "")
			return
		case err != nil:
			s.endMove(t, moveFailed, err.Error())
			return
		case !moved:
			s.endMove(t, moveCompleted, "")
			return
		}
		s.mu.Lock()
		t.record.Moved++
		s.mu.Unlock()
	}
}

func (s *Service) endMove(t *moveTask, status, failure string) {
	s.mu.Lock()
	t.record.Status, t.record.Failure = status, failure
	t.cancel = nil
	r := t.record
	s.mu.Unlock()
	if err := s.saveMove(s.ctx, &r); err != nil && s.ctx.Err() == nil {
		s.log.Warn("end of a message move not remembered", "source", r.Source, "error", err)
	}
}

// moveFailure is what a task tells of its failure (developer guide, "Error codes for
// dead-letter queue redrive").
type moveFailure string

func (f moveFailure) Error() string { return string(f) }

// moveOne moves the oldest message that nobody has; false: there is none.
func (s *Service) moveOne(ctx context.Context, m *moveRecord) (bool, error) {
	name, _ := ParseARN(m.Source)
	source, err := s.find(name)
	if err != nil {
		return false, moveFailure("AWS.SimpleQueueService.NonExistentQueue")
	}
	if err := s.lock(ctx, source); err != nil {
		return false, err
	}
	err = s.fill(ctx, source)
	taken := source.flow.TakeAny(s.instant(), 1)
	source.mu.Unlock()
	if err != nil || len(taken) == 0 {
		return false, err
	}
	to, err := s.destination(ctx, source, m, taken[0].Sequence, taken[0].Parts)
	if err != nil {
		s.settle(source, sequences(taken), false)
		return false, err
	}
	return true, s.transfer(ctx, source, to, taken[0].Sequence, "")
}

func (s *Service) startMessageMoveTask(ctx context.Context, call *wire.Call, in *api.StartMessageMoveTaskRequest) (*api.StartMessageMoveTaskResult, error) {
	source, err := s.queueOfARN("SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	feeding := s.names(call, func(q *queue) bool { return q.feeds(source) })
	if len(feeding) == 0 {
		return nil, invalidValue("Source queue must be configured as a Dead Letter Queue.")
	}
	rate := int(value(in.MaxNumberOfMessagesPerSecond))
	if in.MaxNumberOfMessagesPerSecond != nil && (rate < 1 || rate > moveRateMax) {
		return nil, invalidParameter(fmt.Sprint(rate), "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
	}
	if in.DestinationArn != nil {
		to, err := s.queueOfARN("DestinationArn", in.DestinationArn)
		if err != nil {
			return nil, err
		}
		if to == source || to.name.FIFO() != source.name.FIFO() {
			return nil, invalidParameter(*in.DestinationArn, "DestinationArn", "The destination must be another queue of the same type.")
		}
	}
	all := map[string]string{}
	if err := s.counts(ctx, source, all); err != nil {
		return nil, fault(err)
	}
	toMove := int64(0)
	_, _ = fmt.Sscan(all["ApproximateNumberOfMessages"], &toMove) // it is a number that was just written
	t := &moveTask{record: moveRecord{
		ID: string(aws.NewRequestID()), Source: source.name.ARN(), Destination: value(in.DestinationArn), Rate: rate,
		Status: moveRunning, ToMove: toMove, Started: s.now().UTC(),
	}}
	s.mu.Lock()
	for _, other := range s.moves {
		if other.record.Source == t.record.Source && (other.record.Status == moveRunning || other.record.Status == moveCancelling) {
			s.mu.Unlock()
			return nil, invalidValue("There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		}
	}
	s.moves[t.record.ID] = t
	s.mu.Unlock()
	if err := s.saveMove(ctx, &t.record); err != nil {
		s.mu.Lock()
		delete(s.moves, t.record.ID)
		s.mu.Unlock()
		return nil, fault(err)
	}
	s.mu.Lock()
	s.startMove(t)
	s.mu.Unlock()
	s.forgetMoves(ctx, t.record.Source)
	return &api.StartMessageMoveTaskResult{TaskHandle: wire.Ptr(moveHandle(&t.record))}, nil
}

func unsupported(message string) error { return api.NewUnsupportedOperation(message) }

func (s *Service) queueOfARN(parameter string, arn *string) (*queue, error) {
	name, ok := ParseARN(value(arn))
	if !ok {
		return nil, invalidParameter(value(arn), parameter, "You must use this format to specify the "+parameter+": arn:<partition>:<service>:<region>:<account-id>:<resource-id>")
	}
	q, err := s.find(name)
	if err != nil {
		return nil, api.NewResourceNotFoundException("The resource that you specified for the " + parameter + " parameter doesn't exist.")
	}
	return q, nil
}

func (s *Service) saveMove(ctx context.Context, m *moveRecord) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message move: %w", err)
	}
	_, err = s.records.Commit(ctx, store.Write{Key: movePrefix + m.ID, Value: text})
	return err
}

// moveHandle is a task handle: AWS's holds the task's id and its source, too.
func moveHandle(m *moveRecord) string {
	text, err := json.Marshal(map[string]string{"taskId": m.ID, "sourceArn": m.Source})
	if err != nil {
		panic("a task handle does not encode: " + err.Error()) // strings always do
	}
	return base64.StdEncoding.EncodeToString(text)
}

func readMoveHandle(handle string) (id, source string, ok bool) {
	text, err := base64.StdEncoding.DecodeString(handle)
	var h struct{ TaskID, SourceArn string }
	if err != nil || json.Unmarshal(text, &h) != nil || h.TaskID == "" {
		return "", "", false
	}
	return h.TaskID, h.SourceArn, true
}

// moveSource is the queue whose messages a task moves, for its permissions.
func (s *Service) moveSource(handle string) string {
	_, source, _ := readMoveHandle(handle)
	return source
}

func (s *Service) cancelMessageMoveTask(ctx context.Context, _ *wire.Call, in *api.CancelMessageMoveTaskRequest) (*api.CancelMessageMoveTaskResult, error) {
	id, source, ok := readMoveHandle(value(in.TaskHandle))
	if !ok {
		return nil, invalidValue("Value for parameter TaskHandle is invalid.")
	}
	if _, err := s.queueOfARN("SourceArn", &source); err != nil {
		return nil, api.NewResourceNotFoundException("The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	s.mu.Lock()
	t := s.moves[id]
	if t == nil || t.record.Source != source {
		s.mu.Unlock()
		return nil, api.NewResourceNotFoundException("Task does not exist.")
	}
	if t.record.Status != moveRunning {
		s.mu.Unlock()
		return nil, unsupported("Only active tasks can be cancelled.")
	}
	t.record.Status = moveCancelling
	r, cancel := t.record, t.cancel
	s.mu.Unlock()
	if err := s.saveMove(ctx, &r); err != nil {
		return nil, fault(err)
	}
	if cancel != nil {
		cancel()
	}
	return &api.CancelMessageMoveTaskResult{ApproximateNumberOfMessagesMoved: &r.Moved}, nil
}

// movesOf are a queue's tasks, the latest first.
func (s *Service) movesOf(source string) []moveRecord {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []moveRecord
	for _, t := range s.moves {
		if t.record.Source == source {
			out = append(out, t.record)
		}
	}
	slices.SortFunc(out, func(a, b moveRecord) int {
		if c := b.Started.Compare(a.Started); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// forgetMoves keeps a queue's last tasks.
func (s *Service) forgetMoves(ctx context.Context, source string) {
	tasks := s.movesOf(source)
	for i := range tasks {
		if i < moveKeep {
			continue
		}
		if _, err := s.records.Commit(ctx, store.Write{Kind: store.WriteDelete, Key: movePrefix + tasks[i].ID}); err != nil {
			s.log.Warn("an old message move is not forgotten", "source", source, "error", err)
			return
		}
		s.mu.Lock()
		delete(s.moves, tasks[i].ID)
		s.mu.Unlock()
	}
}

func (s *Service) listMessageMoveTasks(_ context.Context, _ *wire.Call, in *api.ListMessageMoveTasksRequest) (*api.ListMessageMoveTasksResult, error) {
	source, err := s.queueOfARN("SourceArn", in.SourceArn)
	if err != nil {
		return nil, err
	}
	limit := int32(1)
	if in.MaxResults != nil {
		if limit = *in.MaxResults; limit < 1 || limit > moveListMax {
			return nil, invalidParameter(fmt.Sprint(limit), "MaxResults", "Must be between 1 and 10, if provided.")
		}
	}
	out := &api.ListMessageMoveTasksResult{}
	for i, m := range s.movesOf(source.name.ARN()) {
		if i == int(limit) {
			break
		}
		e := api.ListMessageMoveTasksResultEntry{
			Status: wire.Ptr(m.Status), SourceArn: wire.Ptr(m.Source), ApproximateNumberOfMessagesMoved: wire.Ptr(m.Moved),
			ApproximateNumberOfMessagesToMove: wire.Ptr(m.ToMove), StartedTimestamp: wire.Ptr(m.Started.UnixMilli()),
		}
		if m.Status == moveRunning {
			e.TaskHandle = wire.Ptr(moveHandle(&m))
		}
		if m.Destination != "" {
			e.DestinationArn = wire.Ptr(m.Destination)
		}
		if m.Rate > 0 {
			e.MaxNumberOfMessagesPerSecond = wire.Ptr(int32(m.Rate))
		}
		if m.Failure != "" {
			e.FailureReason = wire.Ptr(m.Failure)
		}
		out.Results = append(out.Results, e)
	}
	return out, nil
}

package sqs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	batchMax   = 10
	batchIDMax = 80
)

// checkBatch checks what all batches have in common.
func checkBatch(kind string, ids []*string) error {
	if len(ids) == 0 {
		return api.NewEmptyBatchRequest("There should be at least one " + kind + " in the request.")
	}
	if len(ids) > batchMax {
		return api.NewTooManyEntriesInBatchRequest(fmt.Sprintf("Maximum number of entries per request are %d. You have sent %d.", batchMax, len(ids)))
	}
	seen := map[string]bool{}
	for _, p := range ids {
		id := value(p)
		if id == "" || len(id) > batchIDMax || strings.IndexFunc(id, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		}) >= 0 {
			return api.NewInvalidBatchEntryId("A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return api.NewBatchEntryIdsNotDistinct("Id " + id + " repeated.")
		}
		seen[id] = true
	}
	return nil
}

// failed is the entry of a part that failed; an error that is no fault of the
// service's fails the whole batch.
func failed(id *string, err error) (api.BatchResultErrorEntry, bool) {
	var f wire.Fault
	if !errors.As(err, &f) {
		return api.BatchResultErrorEntry{}, false
	}
	return api.BatchResultErrorEntry{
		Id: id, SenderFault: wire.Ptr(f.FaultStatus() < 500), Code: wire.Ptr(wire.QueryCode(f)), Message: wire.Ptr(f.FaultMessage()),
	}, true
}

func (s *Service) sendMessageBatch(ctx context.Context, call *wire.Call, in *api.SendMessageBatchRequest) (*api.SendMessageBatchResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]*string, len(in.Entries))
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
	}
	if err := checkBatch("SendMessageBatchRequestEntry", ids); err != nil {
		return nil, err
	}
	answer := &api.SendMessageBatchResult{}
	var out []Outgoing
	var sentIDs []*string
	total := 0
	for i := range in.Entries {
		o, err := q.outgoing(call, &in.Entries[i])
		total += o.size()
		if err == nil {
			out, sentIDs = append(out, o), append(sentIDs, ids[i])
			continue
		}
		if q.name.FIFO() && wholeBatch(&in.Entries[i], q) {
			return nil, err // recorded: what a FIFO queue needs of each entry fails the request
		}
		entry, ok := failed(ids[i], err)
		if !ok {
			return nil, err
		}
		answer.Failed = append(answer.Failed, entry)
	}
	if total > messageBytesMax {
		return nil, api.NewBatchRequestTooLong(fmt.Sprintf("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", messageBytesMax, total))
	}
	if len(out) == 0 {
		return answer, nil
	}
	sent, err := s.send(ctx, q, out)
	if err != nil {
		return nil, fault(err)
	}
	for i := range sent {
		e := api.SendMessageBatchResultEntry{Id: sentIDs[i], MessageId: &sent[i].MessageID, MD5OfMessageBody: wire.Ptr(md5Hex([]byte(out[i].Body)))}
		e.MD5OfMessageAttributes, e.MD5OfMessageSystemAttributes, e.SequenceNumber = digests(&out[i], sent[i])
		answer.Successful = append(answer.Successful, e)
	}
	return answer, nil
}

func wholeBatch(e *api.SendMessageBatchRequestEntry, q *queue) bool {
	return e.MessageGroupId == nil || e.MessageDeduplicationId == nil && !q.settings.Load().contentDedup
}

func (s *Service) deleteMessageBatch(ctx context.Context, call *wire.Call, in *api.DeleteMessageBatchRequest) (*api.DeleteMessageBatchResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]*string, len(in.Entries))
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
	}
	if err := checkBatch("DeleteMessageBatchRequestEntry", ids); err != nil {
		return nil, err
	}
	// Side by side: they share one flush of the disk.
	errs := together(len(ids), func(i int) error {
		handle := value(in.Entries[i].ReceiptHandle)
		return handleFault(s.remove(ctx, q, handle), handle)
	})
	answer := &api.DeleteMessageBatchResult{}
	for i, err := range errs {
		if err == nil {
			answer.Successful = append(answer.Successful, api.DeleteMessageBatchResultEntry{Id: ids[i]})
			continue
		}
		entry, ok := failed(ids[i], err)
		if !ok {
			return nil, err
		}
		answer.Failed = append(answer.Failed, entry)
	}
	return answer, nil
}

func (s *Service) changeMessageVisibilityBatch(ctx context.Context, call *wire.Call, in *api.ChangeMessageVisibilityBatchRequest) (*api.ChangeMessageVisibilityBatchResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]*string, len(in.Entries))
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
	}
	if err := checkBatch("ChangeMessageVisibilityBatchRequestEntry", ids); err != nil {
		return nil, err
	}
	answer := &api.ChangeMessageVisibilityBatchResult{}
	for i := range in.Entries {
		seconds := int32(q.settings.Load().visibility.Seconds())
		if n := in.Entries[i].VisibilityTimeout; n != nil {
			seconds = *n
		}
		err := s.changeVisibility(ctx, q, value(in.Entries[i].ReceiptHandle), seconds)
		if err == nil {
			answer.Successful = append(answer.Successful, api.ChangeMessageVisibilityBatchResultEntry{Id: ids[i]})
			continue
		}
		entry, ok := failed(ids[i], err)
		if !ok {
			return nil, err
		}
		answer.Failed = append(answer.Failed, entry)
	}
	return answer, nil
}

// together runs n parts side by side.
func together(n int, part func(int) error) []error {
	errs := make([]error, n)
	done := make(chan struct{}, n)
	for i := range n {
		go func() {
			errs[i] = part(i)
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
	return errs
}

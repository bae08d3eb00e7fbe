package sqs

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/services/sqs/flow"
	"github.com/lambdad/lambdad/internal/wire"
)

func (s *Service) sendMessage(ctx context.Context, call *wire.Call, in *api.SendMessageRequest) (*api.SendMessageResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	entry := api.SendMessageBatchRequestEntry{
		MessageBody: in.MessageBody, DelaySeconds: in.DelaySeconds, MessageAttributes: in.MessageAttributes,
		MessageSystemAttributes: in.MessageSystemAttributes, MessageDeduplicationId: in.MessageDeduplicationId, MessageGroupId: in.MessageGroupId,
	}
	if q.name.FIFO() && value(in.MessageGroupId) == "" && in.MessageGroupId == nil {
		return nil, missing("MessageGroupId")
	}
	out, err := q.outgoing(call, &entry)
	if err != nil {
		return nil, err
	}
	sent, err := s.send(ctx, q, []Outgoing{out})
	if err != nil {
		return nil, fault(err)
	}
	answer := &api.SendMessageResult{MessageId: &sent[0].MessageID, MD5OfMessageBody: wire.Ptr(md5Hex([]byte(out.Body)))}
	answer.MD5OfMessageAttributes, answer.MD5OfMessageSystemAttributes, answer.SequenceNumber = digests(&out, sent[0])
	return answer, nil
}

// digests are what a sender is told beside the body's.
func digests(out *Outgoing, sent Sent) (attributes, system, sequence *string) {
	if d := attributesDigest(out.Attributes); d != "" {
		attributes = &d
	}
	if out.Trace != "" && !out.tracedByHeader {
		system = wire.Ptr(attributesDigest(map[string]Attribute{traceHeader: {Type: "String", Text: out.Trace}}))
	}
	if sent.Number != 0 {
		sequence = wire.Ptr(strconv.FormatUint(sent.Number, 10))
	}
	return attributes, system, sequence
}

const traceHeader = "AWSTraceHeader"

// Limits of a receive (API reference, ReceiveMessage).
const (
	receiveMax    = 10
	waitMax       = 20    // seconds
	visibilityMax = 43200 // seconds
)

func (s *Service) receiveMessage(ctx context.Context, call *wire.Call, in *api.ReceiveMessageRequest) (*api.ReceiveMessageResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	set := q.settings.Load()
	ask := Ask{Limit: 1, Visibility: set.visibility, Wait: set.wait}
	if n := in.MaxNumberOfMessages; n != nil {
		if *n < 1 || *n > receiveMax {
			return nil, invalidParameter(strconv.Itoa(int(*n)), "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
		}
		ask.Limit = int(*n)
	}
	if n := in.WaitTimeSeconds; n != nil {
		if *n < 0 || *n > waitMax {
			return nil, invalidParameter(strconv.Itoa(int(*n)), "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
		}
		ask.Wait = time.Duration(*n) * time.Second
	}
	if n := in.VisibilityTimeout; n != nil {
		if *n < 0 || *n > visibilityMax {
			return nil, invalidParameter(strconv.Itoa(int(*n)), "VisibilityTimeout", "Must be between 0 and 43200, if provided.")
		}
		ask.Visibility = time.Duration(*n) * time.Second
	}
	if id := value(in.ReceiveRequestAttemptId); in.ReceiveRequestAttemptId != nil {
		if !q.name.FIFO() {
			return nil, invalidParameter(id, "ReceiveRequestAttemptId", notForThisType)
		}
		if !validToken(id) {
			return nil, invalidParameter(id, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
		ask.AttemptID = id
	}
	got, err := s.receive(ctx, q, ask)
	if err != nil {
		return nil, fault(err)
	}
	out := &api.ReceiveMessageResult{}
	for i := range got {
		out.Messages = append(out.Messages, message(&got[i], in))
	}
	return out, nil
}

// message is a received message with the attributes that were asked for.
func message(r *Received, in *api.ReceiveMessageRequest) api.Message {
	m := api.Message{
		MessageId: &r.MessageID, ReceiptHandle: &r.Receipt, Body: &r.Body, MD5OfBody: wire.Ptr(md5Hex([]byte(r.Body))),
	}
	system := SystemAttributes(r)
	for _, names := range [][]string{in.AttributeNames, in.MessageSystemAttributeNames} {
		for _, name := range names {
			for key, v := range system {
				if name == "All" || name == key {
					if m.Attributes == nil {
						m.Attributes = map[string]string{}
					}
					m.Attributes[key] = v
				}
			}
		}
	}
	chosen := map[string]Attribute{}
	for key, a := range r.Attributes {
		if matchesName(in.MessageAttributeNames, key) {
			chosen[key] = a
		}
	}
	if len(chosen) == 0 {
		return m
	}
	m.MD5OfMessageAttributes = wire.Ptr(attributesDigest(chosen))
	m.MessageAttributes = map[string]api.MessageAttributeValue{}
	for key, a := range chosen {
		v := api.MessageAttributeValue{DataType: wire.Ptr(a.Type)}
		if isBinary(a.Type) {
			v.BinaryValue = a.Binary
		} else {
			v.StringValue = wire.Ptr(a.Text)
		}
		m.MessageAttributes[key] = v
	}
	return m
}

// matchesName reads MessageAttributeNames: names, prefixes (a.*), and All, * or .* for
// all (recorded).
func matchesName(names []string, name string) bool {
	for _, n := range names {
		prefix, isPrefix := strings.CutSuffix(n, ".*")
		if n == name || n == "All" || n == "*" || n == ".*" || isPrefix && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// SystemAttributes are a received message's attributes as SQS names them.
func SystemAttributes(r *Received) map[string]string {
	milli := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	out := map[string]string{
		"SenderId": r.Sender, "SentTimestamp": milli(r.Sent), "ApproximateReceiveCount": strconv.Itoa(r.Receives),
		"ApproximateFirstReceiveTimestamp": milli(r.First),
	}
	for key, v := range map[string]string{
		"MessageGroupId": r.Group, "MessageDeduplicationId": r.DedupID, traceHeader: r.Trace, "DeadLetterQueueSourceArn": r.DeadFrom,
	} {
		if v != "" {
			out[key] = v
		}
	}
	if r.Number != 0 {
		out["SequenceNumber"] = strconv.FormatUint(r.Number, 10)
	}
	return out
}

func (s *Service) deleteMessage(ctx context.Context, call *wire.Call, in *api.DeleteMessageRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	return handleFault(s.remove(ctx, q, value(in.ReceiptHandle)), value(in.ReceiptHandle))
}

func (s *Service) changeMessageVisibility(ctx context.Context, call *wire.Call, in *api.ChangeMessageVisibilityRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	return s.changeVisibility(ctx, q, value(in.ReceiptHandle), value(in.VisibilityTimeout))
}

func (s *Service) changeVisibility(ctx context.Context, q *queue, handle string, seconds int32) error {
	if seconds < 0 || seconds > visibilityMax {
		return invalidParameter(strconv.Itoa(int(seconds)), "VisibilityTimeout", "Must be between 0 and 43200, if provided.")
	}
	err := s.hide(ctx, q, handle, time.Duration(seconds)*time.Second)
	if q.name.FIFO() && (errors.Is(err, flow.ErrNotInFlight) || errors.Is(err, flow.ErrStale)) {
		err = errExpiredHandle
	}
	if errors.Is(err, flow.ErrTooLong) {
		return invalidParameter(strconv.Itoa(int(seconds)), "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	}
	return handleFault(err, handle)
}

// handleFault words what is wrong with a receipt handle.
func handleFault(err error, handle string) error {
	switch {
	case errors.Is(err, errHandle):
		return api.NewReceiptHandleIsInvalid("The input receipt handle \"" + handle + "\" is not a valid receipt handle.")
	case errors.Is(err, errExpiredHandle):
		return invalidParameter(handle, "ReceiptHandle", "The receipt handle has expired.")
	case errors.Is(err, flow.ErrGone):
		return invalidParameter(handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	case errors.Is(err, flow.ErrNotInFlight), errors.Is(err, flow.ErrStale):
		return api.NewMessageNotInflight("")
	}
	return fault(err)
}

// sender is the caller as SenderId tells it: an IAM user's or role's id, or the
// account of a root.
func sender(call *wire.Call) string {
	if call.Principal.Type == aws.PrincipalRoot || call.Principal.UserID == "" {
		return string(call.Account)
	}
	return call.Principal.UserID
}

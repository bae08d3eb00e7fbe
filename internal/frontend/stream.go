package frontend

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

// Stream takes the answer of a function that streams, while it runs. Both are called by the
// goroutine that called Run.
type Stream interface {
	// Begin comes once, when the answer begins; not for an answer that comes whole.
	Begin(head StreamHead)
	// Send gives the next bytes, for the time of the call.
	Send(p []byte)
}

// StreamHead is what is known when an answer begins.
type StreamHead struct {
	ExecutedVersion string
	TraceID         string
	ContentType     string
}

// headed adds the head to what comes from the runtime.
type headed struct {
	to   Stream
	head StreamHead
}

func (h *headed) Begin(contentType string) {
	h.head.ContentType = contentType
	h.to.Begin(h.head)
}

func (h *headed) Send(p []byte) { h.to.Send(p) }

// eventAnswer is the answer that InvokeWithResponseStream gives.
type eventAnswer = wire.EventStream[*api.InvokeWithResponseStreamResponse, *api.InvokeWithResponseStreamResponseEvent]

// InvokeWithResponseStream is the slot of the operation in api/lambda. A client that goes
// away, or reads no more, changes nothing: the invoke runs to its end, as in AWS.
func (f *Frontend) InvokeWithResponseStream(ctx context.Context, call *wire.Call, in *api.InvokeWithResponseStreamRequest, answer eventAnswer) error {
	if len(in.Payload) > payloadBytesMax {
		return api.NewRequestTooLargeException(fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", payloadBytesMax))
	}
	name, err := f.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return err
	}
	clientContext, err := decodeClientContext(value(in.ClientContext))
	if err != nil {
		return err
	}
	to := &eventSink{call: call, events: answer}
	dry := value(in.InvocationType) == api.ResponseStreamingInvocationTypeDryRun
	got, err := f.Run(ctx, &Request{
		Name:          name,
		RequestID:     call.RequestID,
		Payload:       in.Payload,
		ClientContext: clientContext,
		TenantID:      value(in.TenantId),
		TraceID:       call.TraceID,
		Received:      call.Received,
		WantTail:      value(in.LogType) == api.LogTypeTail,
		DryRun:        dry,
		Stream:        to,
	})
	if err != nil {
		return err
	}
	if dry {
		return answer.Begin(&api.InvokeWithResponseStreamResponse{StatusCode: wire.Ptr(int32(http.StatusNoContent))})
	}
	to.end(&got, value(in.LogType) == api.LogTypeTail)
	return nil
}

// eventSink makes an answer into events. Once the client has gone it takes and drops.
type eventSink struct {
	call   *wire.Call
	events eventAnswer
	began  bool
	gone   bool
}

// Begin implements Stream.
func (s *eventSink) Begin(head StreamHead) {
	s.began = true
	if h := s.call.AnswerHeader; h != nil {
		h["X-Amzn-Trace-Id"] = []string{head.TraceID}
	}
	s.gone = s.events.Begin(&api.InvokeWithResponseStreamResponse{ExecutedVersion: &head.ExecutedVersion}) != nil
}

// Send implements Stream.
func (s *eventSink) Send(p []byte) {
	s.send(&api.InvokeWithResponseStreamResponseEvent{PayloadChunk: &api.InvokeResponseStreamUpdate{Payload: p}})
}

func (s *eventSink) send(e *api.InvokeWithResponseStreamResponseEvent) {
	if !s.gone {
		s.gone = s.events.Send(e) != nil
	}
}

// end sends what came whole, and how the invoke ended.
func (s *eventSink) end(got *Answer, wantTail bool) {
	if !s.began {
		s.Begin(StreamHead{ExecutedVersion: got.ExecutedVersion, TraceID: got.TraceID})
	}
	done := &api.InvokeWithResponseStreamCompleteEvent{}
	switch {
	case got.FunctionError != "":
		done.ErrorCode, done.ErrorDetails = &got.FunctionError, wire.Ptr(string(got.Payload))
	case len(got.Payload) > 0:
		s.Send(got.Payload)
	}
	if wantTail {
		done.LogResult = wire.Ptr(base64.StdEncoding.EncodeToString(got.LogTail))
	}
	s.send(&api.InvokeWithResponseStreamResponseEvent{InvokeComplete: done})
}

package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// EventBytesMax bounds the payload of an asynchronous invoke. Source: Lambda quotas,
// "Invocation payload": 1 MB, asynchronous.
const EventBytesMax = 1 << 20

// Event is an asynchronous invoke on its way into the queue.
type Event struct {
	Name          record.Name // as invoked, with its qualifier
	RequestID     aws.RequestID
	Payload       []byte // JSON
	ClientContext string
	TenantID      string
	TraceID       string
	Received      time.Time
}

// Events keeps events until they have run: the queue of asynchronous invokes.
type Events interface {
	// Accept returns when the event is on disk.
	Accept(ctx context.Context, e *Event) error
}

// Send accepts an asynchronous invoke whose caller may make it: from the API, or from another
// room that has a reason of its own to run a function. An error is a fault of the Lambda API.
func (f *Frontend) Send(ctx context.Context, e *Event) error {
	if len(e.Payload) > EventBytesMax {
		return api.NewRequestTooLargeException(fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", EventBytesMax))
	}
	fn, err := f.resolve(ctx, e.Name)
	if err != nil {
		return err
	}
	if err := checkTenant(fn, e.TenantID); err != nil {
		return err
	}
	if len(e.Payload) == 0 {
		e.Payload = []byte("{}")
	} else if fault := payloadFault(e.Payload); fault != "" {
		return badPayload(fault)
	}
	e.TraceID = traceHeader(e.TraceID, fn.TracingMode, e.Received)
	if err := f.events.Accept(ctx, e); errors.Is(err, store.ErrFull) {
		return wire.NewFault(http.StatusServiceUnavailable, "ServiceUnavailableException", "The service has no room for more events; try again.")
	} else if err != nil {
		return fmt.Errorf("accept an event: %w", err)
	}
	return nil
}

func badPayload(fault string) error {
	return api.NewInvalidRequestContentException("Could not parse request body into json: Could not parse payload into json: " + fault)
}

// InvokeAsync is the slot of the operation in api/lambda, which AWS has deprecated.
func (f *Frontend) InvokeAsync(ctx context.Context, call *wire.Call, in *api.InvokeAsyncRequest) (*api.InvokeAsyncResponse, error) {
	name, err := f.named(call, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	var payload []byte
	if in.InvokeArgs != nil {
		defer in.InvokeArgs.Close()
		// One byte more tells that it is too large.
		if payload, err = io.ReadAll(io.LimitReader(in.InvokeArgs, EventBytesMax+1)); err != nil {
			return nil, fmt.Errorf("read the event: %w", err)
		}
	}
	err = f.Send(ctx, &Event{Name: name, RequestID: call.RequestID, Payload: payload, TraceID: call.TraceID, Received: call.Received})
	if err != nil {
		return nil, err
	}
	return &api.InvokeAsyncResponse{Status: wire.Ptr(int32(http.StatusAccepted))}, nil
}

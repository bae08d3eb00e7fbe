package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/record/keys"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/worker"
)

// TestInvokeFaults causes each error of the model's that the ways of invoking share.
func TestInvokeFaults(t *testing.T) {
	const (
		invoke = 1 << iota
		stream
		async
	)
	started := func(err error) func(*Frontend, *invoker) {
		return func(_ *Frontend, i *invoker) { i.err = fmt.Errorf("%w: %w", assignment.ErrStart, err) }
	}
	none := func(*Frontend, *invoker) {}
	for _, tt := range []struct {
		code    string
		ways    int
		name    string
		payload string
		setUp   func(*Frontend, *invoker)
	}{
		{"ResourceNotFoundException", invoke | stream, "absent", `{}`, none},
		{"ResourceNotFoundException", async, "gone", `{}`, none},
		{"InvalidParameterValueException", invoke | stream, "tenanted", `{}`, none},
		{"InvalidRequestContentException", invoke | stream | async, "f", `{`, none},
		{"RequestTooLargeException", invoke | stream, "f", strings.Repeat(" ", payloadBytesMax+1), none},
		{"ResourceConflictException", invoke | stream | async, "pending", `{}`, none},
		{"InvalidRuntimeException", invoke | stream | async, "broken", `{}`, none},
		{"SnapStartNotReadyException", invoke | stream, "snapping:1", `{}`, none},
		{"SnapStartException", invoke | stream, "f", `{}`, started(worker.ErrRestore)},
		{"SnapStartTimeoutException", invoke | stream, "f", `{}`, started(worker.ErrRestoreTimeout)},
		{"ServiceException", invoke | stream, "f", `{}`, started(errors.New("the host has no process left"))},
		{"TooManyRequestsException", invoke | stream, "f", `{}`, func(_ *Frontend, i *invoker) { i.err = assignment.ErrNoCapacity }},
		{"KMSAccessDeniedException", invoke | stream, "f", `{}`, started(keys.ErrDenied)},
		{"KMSDisabledException", invoke | stream, "f", `{}`, started(keys.ErrDisabled)},
		{"KMSInvalidStateException", invoke | stream, "f", `{}`, started(keys.ErrState)},
		{"KMSNotFoundException", invoke | stream, "f", `{}`, started(keys.ErrNotFound)},
	} {
		for way, do := range map[int]func(f *Frontend) error{
			invoke: func(f *Frontend) error {
				_, err := f.Invoke(context.Background(), newCall(), request(tt.name, func(in *api.InvocationRequest) { in.Payload = []byte(tt.payload) }))
				return err
			},
			stream: func(f *Frontend) error {
				return f.InvokeWithResponseStream(context.Background(), newCall(), &api.InvokeWithResponseStreamRequest{FunctionName: &tt.name, Payload: []byte(tt.payload)}, &streamed{})
			},
			async: func(f *Frontend) error {
				_, err := f.InvokeAsync(context.Background(), newCall(), &api.InvokeAsyncRequest{FunctionName: &tt.name, InvokeArgs: io.NopCloser(strings.NewReader(tt.payload))})
				return err
			},
		} {
			if tt.ways&way == 0 {
				continue
			}
			f, i := setUp(t, 0)
			known := f.functions.(*view).known
			tenanted := function("tenanted", record.Latest, record.StateActive)
			tenanted.Tenancy = record.TenancyPerTenant
			known["tenanted:$LATEST"] = tenanted
			snapping := function("snapping", "1", record.StatePending)
			snapping.SnapStart.ApplyOn = record.SnapStartVersions
			known["snapping:1"] = snapping
			tt.setUp(f, i)
			var fault wire.Fault
			if err := do(f); !errors.As(err, &fault) || fault.FaultCode() != tt.code {
				t.Errorf("%s, way %d: %v", tt.code, way, err)
			}
		}
	}
	// A loop is told in a streamed invoke as well.
	f, i := setUp(t, 0)
	call := newCall()
	for range 100 {
		err := f.InvokeWithResponseStream(context.Background(), call, &api.InvokeWithResponseStreamRequest{FunctionName: wire.Ptr("f:1")}, &streamed{})
		var stopped *api.RecursiveInvocationException
		if errors.As(err, &stopped) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		call = newCall()
		call.TraceID = i.in.TraceID
	}
	t.Error("the loop goes on")
}

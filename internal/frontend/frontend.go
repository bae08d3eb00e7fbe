// Package frontend owns the door through which invokes come in: it reads the
// function's name, resolves the version, checks state, size and form, counts
// concurrency, and gives the answer back in Lambda's shapes. It must never import
// control: function records reach it through record's view, so that invokes keep
// working while the control plane is down.
package frontend

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/frontend/counting"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/worker"
)

const (
	// payloadBytesMax bounds a synchronous request. Source: Lambda quotas,
	// "Invocation payload"; the figure is what AWS's error prints.
	payloadBytesMax = 6291456
	// clientContextBytesMax bounds the header, encoded. Source: Lambda API, Invoke, X-Amz-Client-Context.
	clientContextBytesMax = 3583
)

// Functions is the view of function records: *record.Functions.
type Functions interface {
	Function(id record.FunctionID, version string) (*record.Function, bool)
	// Refresh reads the store, for a record written a moment ago.
	Refresh(ctx context.Context, id record.FunctionID, version string) (*record.Function, bool, error)
}

// Aliases is the view of alias records.
type Aliases interface {
	Get(key record.Qualified) (*record.Alias, bool)
	Refresh(ctx context.Context, key record.Qualified) (*record.Alias, bool, error)
}

// Recursions is the view of what becomes of functions' recursive loops.
type Recursions interface {
	Get(key record.Qualified) (*record.Recursion, bool)
}

// Invoker runs an invoke in an environment: *assignment.Assigner.
type Invoker interface {
	Invoke(fn *record.Function, tenantID string, in *worker.Invocation) (worker.Result, error)
}

// Meter is told what runs and what is refused.
type Meter interface {
	// Began and Ended enclose each admitted invoke.
	Began(fn *record.Function, tenantID string)
	Ended(fn *record.Function, tenantID string)
	// Throttled tells of an invoke that was answered 429.
	Throttled(fn *record.Function, tenantID string)
	// Recursed tells of an invoke that was stopped because it is part of a recursive loop.
	Recursed(fn *record.Function)
}

// Options are a frontend's doors.
type Options struct {
	Functions Functions
	Aliases   Aliases
	Invoker   Invoker
	Events    Events
	// Recursions is nil where every function's loops are stopped.
	Recursions Recursions
	Keys       Keys  // nil: no function has a key of its own
	Meter      Meter // nil: nobody is told
	// CrossAccount lets callers of other accounts in: they have been authorised.
	CrossAccount bool
	// Concurrency is what each account may run at once; 0 is Lambda's default.
	Concurrency int
	Log         *slog.Logger // nil: discard
}

// Frontend answers Invoke.
type Frontend struct {
	functions Functions
	aliases   Aliases
	invoker   Invoker
	events    Events
	loops     Recursions
	keys      Keys
	meter     Meter
	counter   *counting.Counter
	log       *slog.Logger

	crossAccount bool
}

// New makes a frontend.
func New(opts Options) (*Frontend, error) {
	if opts.Functions == nil || opts.Aliases == nil || opts.Invoker == nil || opts.Events == nil {
		return nil, errors.New("frontend: a door is missing in the options")
	}
	if opts.Meter == nil {
		opts.Meter = unmetered{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Frontend{functions: opts.Functions, aliases: opts.Aliases, invoker: opts.Invoker, events: opts.Events, loops: opts.Recursions, keys: opts.Keys, log: opts.Log, meter: opts.Meter, counter: counting.New(opts.Concurrency), crossAccount: opts.CrossAccount}, nil
}

// Reserve sets a share of the account's concurrency aside for a version, which is what its
// provisioned concurrency does; 0 takes that back. Source: Lambda developer guide,
// "Understanding reserved and provisioned concurrency".
func (f *Frontend) Reserve(id record.FunctionID, version string, concurrency int) {
	f.counter.Reserve(id, version, concurrency)
}

// Share keeps a function to its reserved concurrency, and that for it; a negative one takes
// that back.
func (f *Frontend) Share(id record.FunctionID, reserved int) { f.counter.Share(id, reserved) }

// Invoke is the slot of the operation in api/lambda. It runs after authorisation. A
// client that goes away changes nothing: the invoke runs to its end, as in AWS.
func (f *Frontend) Invoke(ctx context.Context, call *wire.Call, in *api.InvocationRequest) (*api.InvocationResponse, error) {
	event := value(in.InvocationType) == api.InvocationTypeEvent
	if !event && len(in.Payload) > payloadBytesMax {
		return nil, api.NewRequestTooLargeException(fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", payloadBytesMax))
	}
	name, err := f.named(call, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := refuseUnbuilt(in); err != nil {
		return nil, err
	}
	clientContext, err := decodeClientContext(value(in.ClientContext))
	if err != nil {
		return nil, err
	}
	if event {
		err := f.Send(ctx, &Event{
			Name: name, RequestID: call.RequestID, Payload: in.Payload, ClientContext: clientContext, TenantID: value(in.TenantId), TraceID: call.TraceID, Received: call.Received,
		})
		if err != nil {
			return nil, err
		}
		// Without ExecutedVersion (recorded: test_invocation_type_event).
		return &api.InvocationResponse{StatusCode: wire.Ptr(int32(http.StatusAccepted))}, nil
	}
	answer, err := f.Run(ctx, &Request{
		Name:          name,
		RequestID:     call.RequestID,
		Payload:       in.Payload,
		ClientContext: clientContext,
		TenantID:      value(in.TenantId),
		TraceID:       call.TraceID,
		Received:      call.Received,
		WantTail:      value(in.LogType) == api.LogTypeTail,
		DryRun:        value(in.InvocationType) == api.InvocationTypeDryRun,
		After:         call.After,
	})
	if err != nil {
		return nil, err
	}
	if value(in.InvocationType) == api.InvocationTypeDryRun {
		return &api.InvocationResponse{StatusCode: wire.Ptr(int32(http.StatusNoContent))}, nil
	}
	return invoked(call, in, &answer), nil
}

// invoked is what a client gets of an answer.
func invoked(call *wire.Call, in *api.InvocationRequest, answer *Answer) *api.InvocationResponse {
	if h := call.AnswerHeader; h != nil {
		h["Content-Type"] = []string{"application/json"}
		h["X-Amzn-Remapped-Content-Length"] = []string{"0"}
		h["X-Amzn-Trace-Id"] = []string{answer.TraceID}
	}
	out := &api.InvocationResponse{
		StatusCode:      wire.Ptr(int32(http.StatusOK)),
		Payload:         answer.Payload,
		ExecutedVersion: &answer.ExecutedVersion,
	}
	if answer.FunctionError != "" {
		out.FunctionError = &answer.FunctionError
	}
	if value(in.LogType) == api.LogTypeTail {
		out.LogResult = wire.Ptr(base64.StdEncoding.EncodeToString(answer.LogTail))
	}
	return out
}

// named reads the function that a request names.
func (f *Frontend) named(call *wire.Call, name, qualifier *string) (record.Name, error) {
	n, err := record.ParseQualified(value(name), value(qualifier), record.Scope{Account: call.Account, Region: call.Region})
	switch {
	case errors.Is(err, record.ErrOtherAccount) && f.crossAccount:
		return n, nil // the function's resource-based policy let the caller in
	case errors.Is(err, record.ErrOtherAccount):
		// Nobody looked at the function's resource-based policy. The text is IAM's.
		return n, wire.NewFault(http.StatusForbidden, "AccessDeniedException", "User: %s is not authorized to perform: lambda:InvokeFunction on resource: %s because no resource-based policy allows the lambda:InvokeFunction action",
			call.Principal.ARN, n.ARN())
	case err != nil:
		return n, nameFault(err)
	}
	return n, nil
}

// resolve finds the version that a name means, in a state to be invoked. An alias with
// weights may mean another one each time.
func (f *Frontend) resolve(ctx context.Context, name record.Name) (*record.Function, error) {
	version := name.Qualifier
	switch {
	case version == "":
		version = record.Latest
	case !record.ValidVersion(version):
		alias, err := f.alias(ctx, record.Qualified{ID: name.ID, Qualifier: version})
		if err != nil {
			return nil, err
		}
		version = alias.Route(rand.Float64())
	}
	fn, ok := f.functions.Function(name.ID, version)
	if !ok || fn.State != record.StateActive {
		var err error
		if fn, ok, err = f.functions.Refresh(ctx, name.ID, version); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", name.ARN(), err)
		}
	}
	if !ok {
		// Source: the recorded test_invoke_exceptions names $LATEST.
		return nil, api.NewResourceNotFoundException("Function not found: " + name.ID.QualifiedARN(version))
	}
	if fn.State != record.StateActive {
		return nil, stateFault(fn)
	}
	return fn, nil
}

func (f *Frontend) alias(ctx context.Context, key record.Qualified) (*record.Alias, error) {
	alias, ok := f.aliases.Get(key)
	if !ok {
		var err error
		if alias, ok, err = f.aliases.Refresh(ctx, key); err != nil {
			return nil, fmt.Errorf("resolve %s: %w", key.ID.QualifiedARN(key.Qualifier), err)
		}
	}
	if !ok {
		// Source: the recorded test_lambda_alias_moving.
		return nil, api.NewResourceNotFoundException("Function not found: " + key.ID.QualifiedARN(key.Qualifier))
	}
	return alias, nil
}

// refuseUnbuilt refuses what is not enforced yet, rather than to ignore it.
func refuseUnbuilt(in *api.InvocationRequest) error {
	switch {
	case in.DurableExecutionName != nil:
		return api.NewInvalidParameterValueException("The durable execution name is only supported for durable functions; this function is none.")
	}
	return nil
}

// decodeClientContext gives the JSON inside the header's base64.
func decodeClientContext(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	if len(header) > clientContextBytesMax {
		return "", api.NewInvalidRequestContentException(fmt.Sprintf("Client context must be no larger than %d bytes.", clientContextBytesMax))
	}
	b, err := base64.StdEncoding.DecodeString(header)
	if err != nil || !isClientContext(b) {
		return "", api.NewInvalidRequestContentException("Client context must be a valid Base64-encoded JSON object.")
	}
	return singleLine(b), nil
}

// isClientContext says whether a runtime can read it: they look fields up in it, so that
// an array, a number or a string would fail inside of the function.
func isClientContext(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return json.Valid(b) && (b[0] == '{' || b[0] == 'n') // null counts as none
}

// singleLine makes JSON fit into one header of the Runtime API: outside of strings a
// line break is only space, and inside it is always escaped.
func singleLine(b []byte) string {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
	return string(b)
}

func stateFault(fn *record.Function) error {
	if fn.State == record.StateFailed && fn.StateReasonCode == "InvalidRuntime" {
		return api.NewInvalidRuntimeException(fn.StateReason)
	}
	if fn.AwaitsSnapshot() {
		// Source: Lambda developer guide, "Troubleshooting SnapStart errors".
		return api.NewSnapStartNotReadyException("Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.")
	}
	return api.NewResourceConflictException("The operation cannot be performed at this time. The function is currently in the following state: " + string(fn.State))
}

// invokeFault turns the kinds of assignment into the service's errors. What the host
// lacks is in lambdad's own log, and not for callers.
func invokeFault(fn *record.Function, err error) error {
	if fault := keyFault(err); fault != nil {
		return fault
	}
	switch {
	case errors.Is(err, assignment.ErrTooLarge):
		// No retry would cure it, so it is no throttling.
		return api.NewInvalidParameterValueException(fmt.Sprintf("The function's MemorySize of %d MB is more than this lambdad has for all functions together. Lower it, or start lambdad with a larger --memory.", fn.MemoryMiB))
	case errors.Is(err, worker.ErrIsolation):
		return api.NewInvalidParameterValueException("This host cannot isolate the function as its tag " + record.IsolationTag + " demands; `lambdad doctor` says what the host lacks.")
	case errors.Is(err, worker.ErrExtensions):
		return api.NewInvalidParameterValueException("The function has extensions in /opt/extensions that this lambdad cannot start; it would not run the function without them; its log tells why.")
	case errors.Is(err, assignment.ErrScalingRate):
		return scalesTooFast()
	case errors.Is(err, assignment.ErrQueueFull), errors.Is(err, assignment.ErrNoCapacity):
		return throttled()
	case errors.Is(err, assignment.ErrDraining):
		return wire.NewFault(http.StatusServiceUnavailable, "ServiceUnavailableException", "The service is stopping; try again.")
	case errors.Is(err, worker.ErrRole):
		return wire.NewFault(http.StatusForbidden, "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.")
	// Source: Lambda API, Invoke, "Errors".
	case errors.Is(err, worker.ErrRestoreTimeout):
		return api.NewSnapStartTimeoutException("Lambda couldn't restore the snapshot within the timeout limit.")
	case errors.Is(err, worker.ErrRestore):
		return api.NewSnapStartException("The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs.")
	case errors.Is(err, worker.ErrRuntime):
		return api.NewInvalidRuntimeException("This host has no runtime for the function; its operator finds the reason in lambdad's log.")
	case errors.Is(err, assignment.ErrStart):
		return api.NewServiceException("An error occurred and the request cannot be processed.")
	default:
		return fmt.Errorf("invoke: %w", err)
	}
}

func nameFault(err error) error {
	var name *record.NameError
	switch {
	case !errors.As(err, &name):
		return err
	case errors.Is(err, record.ErrOtherRegion):
		return api.NewResourceNotFoundException(name.Text)
	case errors.Is(err, record.ErrQualifierMismatch):
		return api.NewInvalidParameterValueException(name.Text)
	default:
		return wire.NewFault(http.StatusBadRequest, "ValidationException", "%s", name.Text)
	}
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

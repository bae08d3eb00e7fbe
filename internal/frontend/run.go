package frontend

import (
	"context"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend/counting"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker"
)

// Request is one synchronous invoke whose caller may make it: from the API, or from
// another room that has a reason of its own to run a function.
type Request struct {
	Name          record.Name // without a qualifier it is $LATEST
	RequestID     aws.RequestID
	Payload       []byte // JSON; none is {}
	ClientContext string // decoded
	TenantID      string // X-Amz-Tenant-Id, "" for none
	TraceID       string // the caller's X-Amzn-Trace-Id, "" for a new one
	Received      time.Time
	WantTail      bool
	// Stream, where set, takes an answer that the function streams.
	Stream Stream
	// After, where set, does what it is given once the answer is on its way.
	After func(work func())
	// Began, where set, is called when an environment takes the invoke.
	Began func()
	// DryRun stops before the function would run.
	DryRun bool
}

// Answer is what came of an invoke: the function may have failed all the same.
type Answer struct {
	worker.Result
	ExecutedVersion string
	TraceID         string // what the function saw
}

// Run resolves, counts and runs an invoke. An error is a fault of the Lambda API and
// says that the function did not run.
func (f *Frontend) Run(ctx context.Context, r *Request) (Answer, error) {
	fn, err := f.resolve(ctx, r.Name)
	if err != nil {
		return Answer{}, err
	}
	if err := checkTenant(fn, r.TenantID); err != nil {
		return Answer{}, err
	}
	payload := r.Payload
	if len(payload) == 0 {
		payload = []byte("{}") // Source: recorded invokes without a payload see {}
	} else if fault := payloadFault(payload); fault != "" {
		return Answer{}, badPayload(fault)
	}
	if r.DryRun {
		return Answer{}, nil
	}
	if err := f.checkKey(fn); err != nil {
		return Answer{}, err
	}
	trace, err := f.lineage(fn, traceHeader(r.TraceID, fn.TracingMode, r.Received))
	if err != nil {
		return Answer{}, err
	}
	in := &worker.Invocation{
		RequestID:     r.RequestID,
		FunctionARN:   r.Name.ARN(),
		Payload:       payload,
		ClientContext: r.ClientContext,
		TraceID:       trace,
		WantTail:      r.WantTail,
		After:         r.After,
		Began:         r.Began,
	}
	if r.Stream != nil {
		in.Stream = &headed{to: r.Stream, head: StreamHead{ExecutedVersion: fn.Version, TraceID: trace}}
	}
	res, err := f.admit(fn, r.TenantID, in)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Result: res, ExecutedVersion: fn.Version, TraceID: in.TraceID}, nil
}

// refused is the fault of an invoke that was not admitted.
func (f *Frontend) refused(id record.FunctionID) error {
	if f.counter.Shared(id) {
		return throttledBy(api.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded)
	}
	return throttled()
}

// admit counts an invoke and has it run.
func (f *Frontend) admit(fn *record.Function, tenantID string, in *worker.Invocation) (worker.Result, error) {
	admitted, ok := f.counter.Acquire(fn.ID, fn.Version)
	if !ok {
		f.meter.Throttled(fn, tenantID)
		return worker.Result{}, f.refused(fn.ID)
	}
	f.meter.Began(fn, tenantID)
	res, err := f.invoker.Invoke(fn, tenantID, in)
	if res.Settled == nil {
		f.ended(fn, tenantID, admitted, nil)
	} else { // its environment is busy until its extensions are through, and counts: concurrency is that of environments
		go f.ended(fn, tenantID, admitted, res.Settled)
	}
	if err != nil {
		fault := invokeFault(fn, err)
		if isThrottle(fault) {
			f.meter.Throttled(fn, tenantID)
		}
		return worker.Result{}, fault
	}
	return res, nil
}

// ended gives the place of an invoke back, when it has settled if it has to.
func (f *Frontend) ended(fn *record.Function, tenantID string, admitted counting.Admission, settled <-chan struct{}) {
	if settled != nil {
		<-settled
	}
	f.meter.Ended(fn, tenantID)
	admitted.Release()
}

package async

import (
	"context"
	"errors"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

// sendAttemptsMax and sendPause bound how often one message is sent to a destination.
const (
	sendAttemptsMax = 3
	sendPause       = time.Second
)

// try is one event out of its queue.
type try struct {
	queue     *Queue
	event     *event
	leases    int
	began     func() // called when an environment takes it
	throttled bool
	answer    *frontend.Answer // nil: the function did not run
}

// run has the function run if it may, and tells what to do with the event then. Records are
// sent before it returns that the event is over.
func (t *try) run(ctx context.Context) step {
	key := t.event.Name.PolicyKey()
	config, _ := t.queue.opts.Configs.Get(key)
	reserved, _ := t.queue.opts.Reserved.Get(record.Qualified{ID: key.ID, Qualifier: record.Latest})
	s := settingsOf(config, reserved)
	next := decide(s, t.age(), t.event.Attempts, t.leases, untried)
	if next.action == actInvoke {
		next = decide(s, t.age(), t.event.Attempts, t.leases, t.invoke(ctx))
	}
	if next.action == actFinish {
		t.tell(ctx, config, next.condition)
	}
	return next
}

func (t *try) age() time.Duration {
	return time.Duration(float64(t.queue.opts.Now().Sub(t.event.Received)) / t.queue.opts.TimeScale)
}

// invoke runs the function once.
func (t *try) invoke(ctx context.Context) outcome {
	answer, err := t.queue.opts.Invoke(ctx, &frontend.Request{
		Name: t.event.Name, RequestID: t.event.RequestID, Payload: t.event.payload, ClientContext: t.event.ClientContext,
		TenantID: t.event.TenantID, TraceID: t.event.TraceID, Received: t.event.Received, Began: t.began,
	})
	var missing *api.ResourceNotFoundException
	var throttle *api.TooManyRequestsException
	var loop *api.RecursiveInvocationException
	var fault wire.Fault
	switch {
	case errors.As(err, &missing):
		t.queue.opts.Log.Info("an asynchronous invoke of a function that is gone is dropped", "function", t.event.Name.ARN(), "requestId", t.event.RequestID)
		return gone
	case errors.As(err, &throttle):
		t.throttled = true
		return postponed
	case errors.As(err, &loop):
		return stopped
	case err != nil:
		if !errors.As(err, &fault) {
			t.queue.opts.Log.Error("an asynchronous invoke failed and is tried again", "function", t.event.Name.ARN(), "requestId", t.event.RequestID, "error", err)
		}
		return postponed
	}
	t.event.Attempts++
	t.answer = &answer
	if answer.FunctionError != "" {
		return failed
	}
	return ran
}

// tell sends what is configured for an event that is over.
func (t *try) tell(ctx context.Context, config *record.EventInvokeConfig, c condition) {
	fn, ok := t.queue.opts.Functions.Function(t.event.Name.ID, record.Latest)
	if !ok {
		return
	}
	destination := ""
	if config != nil {
		destination = config.OnFailure
		if c == succeeded {
			destination = config.OnSuccess
		}
	}
	d := Delivery{
		From: fn.ID, FunctionARN: t.functionARN(), Role: fn.Role, RequestID: t.event.RequestID, TraceID: t.event.TraceID, Success: c == succeeded,
	}
	if destination != "" {
		record := d
		record.Destination, record.Body = destination, t.record(c)
		t.send(ctx, &record)
	}
	if c != succeeded && fn.DeadLetterARN != "" {
		letter := d
		letter.Destination, letter.Body, letter.DeadLetter = fn.DeadLetterARN, t.event.payload, t.deadLetter(c)
		t.send(ctx, &letter)
	}
}

func (t *try) send(ctx context.Context, d *Delivery) {
	var err error
	for attempt := range sendAttemptsMax {
		if attempt > 0 {
			select {
			case <-time.After(sendPause << attempt):
			case <-ctx.Done():
				return
			}
		}
		if err = t.queue.opts.Sender.Send(ctx, d); err == nil {
			return
		}
	}
	t.queue.opts.Log.Error("the record of an asynchronous invoke could not be delivered and is lost", "function", d.FunctionARN, "requestId", d.RequestID, "destination", d.Destination, "error", err)
}

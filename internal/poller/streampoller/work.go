package streampoller

import (
	"context"
	"errors"
	"fmt"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

const (
	// eventBytesMax is the largest event. Source: Lambda quotas, 6 MB for synchronous invokes.
	eventBytesMax = 6 << 20
	// reportTries and reportPause bound how often a failure is told; then the stream goes on.
	reportTries = 4
	reportPause = 500 * time.Millisecond
	// sinceMargin covers the difference of clocks where what LATEST meant is found again by its time.
	sinceMargin = 2 * time.Second
)

// work is what one effect is done with; it is not changed after.
type work struct {
	poller  *Poller
	key     record.Scoped
	mapping *record.Mapping
	role    string
	filters filter.Set
}

func (w *work) warn(ctx context.Context, what string, err error, more ...any) {
	if ctx.Err() == nil {
		w.poller.opts.Log.Warn(what, append([]any{"mapping", w.key.Name, "source", w.mapping.Source, "error", err}, more...)...)
	}
}

func (w *work) origin(shard string) *origin {
	return &origin{source: w.mapping.Source, shard: shard, role: w.role, region: w.key.Region}
}

func (w *work) list(ctx context.Context) any {
	at := time.Now().Add(-sinceMargin)
	got, err := w.poller.opts.Streams.Shards(ctx, w.role, w.mapping.Source)
	if err != nil {
		w.warn(ctx, "a stream cannot be read and is tried again", err)
		return Listed{Failed: true}
	}
	return retained{Listed{Shards: got.Shards, At: at}, got.Retention}
}

func (w *work) read(ctx context.Context, e ReadShard) Read {
	out := Read{Shard: e.Shard}
	page, err := w.poller.opts.Streams.Read(ctx, w.role, w.mapping.Source, e.Shard, e.From, e.Limit)
	switch {
	case errors.Is(err, ErrExpired):
		out.Outcome = ReadExpired
	case errors.Is(err, ErrTrimmed):
		w.warn(ctx, "a stream has dropped records that were not read yet", err, "shard", e.Shard)
		out.Outcome = ReadTrimmed
	case errors.Is(err, ErrGone):
		out.Outcome = ReadGone
	case err != nil:
		w.warn(ctx, "a shard cannot be read and is tried again", err, "shard", e.Shard)
		out.Outcome = ReadFailed
	}
	if err != nil {
		return out
	}
	out.Next, out.Behind = page.Next, page.Behind
	o := w.origin(e.Shard)
	for i := range page.Records {
		r := &page.Records[i]
		body, err := o.encode(r)
		if err != nil { // the stream goes on without it
			w.poller.opts.Log.Error("a record cannot be told to a function", "mapping", w.key.Name, "shard", e.Shard, "record", r.Sequence, "error", err)
		}
		out.Records = append(out.Records, Record{
			Sequence: r.Sequence, Key: r.Key, Arrived: r.Arrived, Passes: err == nil && passes(w.filters, r, body), Body: body,
		})
	}
	return out
}

// invoke runs the function with a batch.
func (w *work) invoke(ctx context.Context, b *Batch) Invoked {
	id := aws.NewRequestID()
	out := Invoked{Number: b.Number, RequestID: string(id)}
	payload, err := encodeEvent(b, w.origin(b.Shard))
	if err == nil && len(payload) > eventBytesMax {
		err = fmt.Errorf("its event has %d bytes, at most %d are possible", len(payload), eventBytesMax)
	}
	if err != nil {
		w.poller.opts.Log.Error("a batch cannot be told to a function", "mapping", w.key.Name, "shard", b.Shard, "error", err)
		out.Outcome = Refused
		return out
	}
	answer, err := w.poller.opts.Invoke(ctx, &frontend.Request{Name: w.mapping.Function, RequestID: id, Payload: payload, Received: time.Now()})
	if err != nil {
		out.Outcome = w.outcomeOf(err)
		return out
	}
	out.Version, out.FunctionError = answer.ExecutedVersion, answer.FunctionError
	if answer.FunctionError != "" {
		out.Outcome = Failed
		return out
	}
	var ok bool
	if out.Done, out.State, ok = verdict(answer.Payload, b, w.mapping.ReportFailures); !ok {
		out.Outcome = Failed
	}
	return out
}

// outcomeOf reads why the function did not run.
func (w *work) outcomeOf(err error) Outcome {
	var throttle *api.TooManyRequestsException
	var large *api.RequestTooLargeException
	var loops *api.RecursiveInvocationException
	switch {
	case errors.As(err, &throttle):
		return Throttled
	case errors.As(err, &large), errors.As(err, &loops):
		w.poller.opts.Log.Warn("a function does not take a batch", "mapping", w.key.Name, "error", err)
		return Refused
	}
	w.poller.opts.Log.Warn("a batch could not be run and is tried again", "mapping", w.key.Name, "error", err)
	return Unavailable
}

// report tells of what is given up. What no destination takes is lost, as on AWS: the stream goes on.
func (w *work) report(ctx context.Context, e *Report) any {
	out := Reported{e.Batch.Number}
	target := w.mapping.Stream.OnFailure
	first, last := e.Records[0], e.Records[len(e.Records)-1]
	log := w.poller.opts.Log.With("mapping", w.key.Name, "shard", e.Batch.Shard, "condition", e.Condition, "records", len(e.Records), "from", first.Sequence, "to", last.Sequence)
	if target == "" {
		log.Warn("records of a stream are given up")
		return out
	}
	var payload []byte
	var err error
	if arn, _ := aws.ParseARN(target); arn.Service == "s3" {
		part := *e.Batch
		part.Records = e.Records
		payload, err = encodeEvent(&part, w.origin(e.Batch.Shard))
	}
	var body []byte
	if err == nil {
		body, err = encodeFailure(time.Now(), e, w.mapping.Function.ARN(), w.mapping.Source, payload)
	}
	if err != nil {
		log.Error("records of a stream are given up, and cannot be told of", "error", err)
		return out
	}
	d := &Discard{Mapping: w.key, Function: w.mapping.Function, Role: w.role, Destination: target, Body: body, ObjectKey: objectKey(time.Now(), w.key.Name, e.Batch.Shard)}
	for try := range reportTries {
		if try > 0 {
			select {
			case <-time.After(reportPause << try):
			case <-ctx.Done():
				return out
			}
		}
		if err = w.poller.opts.Send(ctx, d); err == nil {
			return out
		}
	}
	log.Error("records of a stream are given up, and their destination cannot be told", "destination", target, "error", err)
	return out
}

// save keeps places, all or none.
func (w *work) save(ctx context.Context, e *Save) Saved {
	var writes []store.Write
	add := func(write store.Write, err error) error {
		writes = append(writes, write)
		return err
	}
	var err error
	if e.Progress != nil {
		err = add(record.StreamProgresses.Put(w.key, e.Progress, store.Unconditional()))
	}
	for id, place := range e.Shards {
		err = errors.Join(err, add(record.StreamShards.Put(record.StreamShardKey(w.key, id), &place, store.Unconditional())))
	}
	for _, id := range e.Dropped {
		writes = append(writes, record.StreamShards.Drop(record.StreamShardKey(w.key, id), store.Unconditional()))
	}
	if err == nil {
		_, err = w.poller.opts.Records.Commit(ctx, writes...)
	}
	if err != nil {
		w.warn(ctx, "the place in a stream cannot be kept and is tried again", fmt.Errorf("%d shards: %w", len(e.Shards), err))
	}
	return Saved{Failed: err != nil}
}

package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/telemetry/logs/pattern"
)

const (
	// deliverFor is how long a delivery is tried. Source: User Guide, "Real-time processing of log data with subscriptions".
	deliverFor = 24 * time.Hour
	// A delivery that failed waits longer each time.
	deliverAgainFirst = time.Second
	deliverAgainMax   = time.Minute
	// deliveredBatch is how many deliveries are taken out of the store at once.
	deliveredBatch = 64
)

// Delivery is what a subscription lets through of the events that were written together.
type Delivery struct {
	Scope        Scope
	Subscription Subscription
	Stream       string
	Events       []Delivered
}

// Delivered is one event of a delivery.
type Delivered struct {
	ID      string
	Time    int64
	Message string
	// Fields are the columns of a space-delimited pattern.
	Fields map[string]string
}

// ErrUndeliverable says that a delivery will never succeed; others are tried again.
var ErrUndeliverable = errors.New("logs: the delivery cannot succeed")

// outgoing is a chunk that a subscription has still to be told of. It is written with the chunk, so that a crash loses
// neither: a delivery comes at least once.
type outgoing struct {
	Scope   Scope
	GroupID string
	Stream  string
	Name    string // of the subscription
	Chunk   string // its key
	Since   int64
}

const outgoingPrefix = "logs/o/"

// outgoingWrites are written with the chunks.
func (l *Logs) outgoingWrites(ctx context.Context, s Scope, g Group, stream string, chunks []store.Write) ([]store.Write, error) {
	names, err := l.subscribersOf(ctx, g.ID)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var writes []store.Write
	for _, chunk := range chunks {
		_, sequence, err := parseChunkKey(chunk.Key)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			value, err := json.Marshal(outgoing{Scope: s, GroupID: g.ID, Stream: stream, Name: name, Chunk: chunk.Key, Since: l.millis()})
			if err != nil {
				return nil, fmt.Errorf("encode a delivery: %w", err)
			}
			writes = append(writes, store.Write{Kind: store.WritePut, Key: fmt.Sprintf("%s%016x/%s", outgoingPrefix, sequence, name), Value: value})
		}
	}
	return writes, nil
}

// deliverer sends what is outgoing, one after the other.
type deliverer struct {
	logs  *Logs
	send  func(context.Context, *Delivery) error
	again map[string]retry // by the subscription's key: one that fails holds up its own alone
}

type retry struct {
	at    time.Time
	pause time.Duration
}

// Deliver has send called with what subscriptions let through, until Close. It is called once at a time, and again when it
// fails, for a day, unless with ErrUndeliverable.
func (l *Logs) Deliver(send func(context.Context, *Delivery) error) {
	d := &deliverer{logs: l, send: send, again: map[string]retry{}}
	l.Go(func(ctx context.Context) {
		for ctx.Err() == nil {
			left, err := d.pass(ctx)
			if err != nil && ctx.Err() == nil {
				l.log.Warn("deliveries of subscription filters wait for the store", "error", err)
				left = true
			}
			more := l.outgoing
			var later <-chan time.Time
			if left { // looking at all of it for each event that comes would cost more with each
				more, later = nil, time.After(deliverAgainFirst)
			}
			select {
			case <-ctx.Done():
			case <-more:
			case <-later:
			}
		}
	})
}

// pass tries everything that is due, and tells whether something is left.
func (d *deliverer) pass(ctx context.Context) (left bool, err error) {
	var done []store.Write
	flush := func() error {
		if len(done) == 0 {
			return nil
		}
		_, err := d.logs.store.Commit(ctx, done...)
		done = nil
		return err
	}
	err = d.logs.each(ctx, outgoingPrefix, "", func(r store.Record) (bool, error) {
		now := d.logs.now()
		var o outgoing
		if err := json.Unmarshal(r.Value, &o); err != nil { // it must not hold up all others
			d.logs.log.Error("a subscription filter's delivery cannot be read and is dropped", "key", r.Key, "error", err)
			done = append(done, store.Write{Kind: store.WriteErase, Key: r.Key})
			return ctx.Err() == nil, nil
		}
		to := subscriptionKey(o.Scope, o.GroupID, o.Name)
		if d.again[to].at.After(now) {
			left = true
			return ctx.Err() == nil, nil
		}
		if err := d.deliver(ctx, &o); err != nil {
			if ctx.Err() != nil {
				return false, nil
			}
			if !errors.Is(err, ErrUndeliverable) && now.Sub(time.UnixMilli(o.Since)) < deliverFor {
				left = true
				pause := max(d.again[to].pause, deliverAgainFirst)
				d.again[to] = retry{at: now.Add(pause), pause: min(2*pause, deliverAgainMax)}
				return true, nil
			}
			d.logs.log.Warn("a subscription filter's delivery is dropped", "filter", o.Name, "stream", o.Stream, "account", o.Scope.Account, "error", err)
		}
		delete(d.again, to)
		if done = append(done, store.Write{Kind: store.WriteErase, Key: r.Key}); len(done) >= deliveredBatch {
			return ctx.Err() == nil, flush()
		}
		return ctx.Err() == nil, nil
	})
	return left, errors.Join(err, flush())
}

// deliver sends what the subscription, as it is now, lets through. What is gone needs no delivery.
func (d *deliverer) deliver(ctx context.Context, o *outgoing) error {
	l := d.logs
	r, err := l.store.Get(ctx, subscriptionKey(o.Scope, o.GroupID, o.Name))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read subscription: %w", err)
	}
	out := &Delivery{Scope: o.Scope, Stream: o.Stream}
	if err := json.Unmarshal(r.Value, &out.Subscription); err != nil {
		return fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	p, err := pattern.Compile(out.Subscription.Pattern)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	if r, err = l.store.Get(ctx, o.Chunk); errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read log events: %w", err)
	}
	chunk, err := decodeChunk(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	for _, e := range chunk.events {
		if !p.Match(e.Message) {
			continue
		}
		out.Events = append(out.Events, Delivered{ID: e.At.String(), Time: e.Time, Message: e.Message, Fields: p.Columns(e.Message)})
	}
	if len(out.Events) == 0 {
		return nil
	}
	return d.send(ctx, out)
}

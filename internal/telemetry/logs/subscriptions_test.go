package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// receiver collects deliveries as text, and refuses them with err.
type receiver struct {
	got []string
	err error
}

func (r *receiver) send(_ context.Context, d *Delivery) error {
	if r.err != nil {
		return r.err
	}
	var messages []string
	for _, e := range d.Events {
		messages = append(messages, e.Message)
	}
	r.got = append(r.got, fmt.Sprintf("%s %s/%s: %s", d.Subscription.Name, d.Subscription.Group, d.Stream, strings.Join(messages, ",")))
	return nil
}

func (r *receiver) passed(t *testing.T, d *deliverer) (left bool) {
	t.Helper()
	left, err := d.pass(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func (r *receiver) deliverer(l *Logs) *deliverer {
	return &deliverer{logs: l, send: r.send, again: map[string]retry{}}
}

func subscribe(t *testing.T, l *Logs, name, pattern string) {
	t.Helper()
	if err := l.PutSubscription(t.Context(), scope, Subscription{Name: name, Group: "g", Pattern: pattern, Destination: "d"}); err != nil {
		t.Fatal(err)
	}
}

func putNow(t *testing.T, l *Logs, stream string, messages ...string) {
	t.Helper()
	var events []Event
	for i, m := range messages {
		events = append(events, Event{Time: base + int64(i), Message: m})
	}
	if err := l.Put(t.Context(), scope, "g", stream, events); err != nil {
		t.Fatal(err)
	}
}

func waiting(t *testing.T, s store.Store) int {
	t.Helper()
	all, _, err := s.List(t.Context(), outgoingPrefix, "", store.ListLimitMax)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestDeliveries(t *testing.T) {
	l, _, s := made(t, "s")
	putNow(t, l, "s", "before")
	subscribe(t, l, "all", "")
	subscribe(t, l, "errors", "ERROR")
	r := &receiver{}
	d := r.deliverer(l)
	putNow(t, l, "s", "a", "ERROR b")
	if err := l.Append(t.Context(), telemetry.LogStreamID{Account: scope.Account, Region: scope.Region, Group: "g", Stream: "own"}, telemetry.LogEvent{Time: time.UnixMilli(base), Message: "c"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.passed(t, d) || len(r.got) != 3 || r.got[0] != "all g/s: a,ERROR b" || r.got[1] != "errors g/s: ERROR b" || r.got[2] != "all g/own: c" {
		t.Errorf("%q", r.got)
	}
	if r.passed(t, d) || len(r.got) != 3 || waiting(t, s) != 0 {
		t.Errorf("delivered again: %q, %d wait", r.got, waiting(t, s))
	}
	if err := l.DeleteSubscription(t.Context(), scope, "g", "all"); err != nil {
		t.Fatal(err)
	}
	putNow(t, l, "s", "ERROR d")
	if r.passed(t, d); len(r.got) != 4 || r.got[3] != "errors g/s: ERROR d" {
		t.Errorf("%q", r.got)
	}
}

func TestDeliveryIsTriedAgain(t *testing.T) {
	l, c, s := made(t, "s")
	subscribe(t, l, "all", "")
	if _, err := s.Commit(t.Context(), store.Write{Key: outgoingPrefix + "0/damaged", Value: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	putNow(t, l, "s", "a")
	r := &receiver{err: errors.New("not now")}
	d := r.deliverer(l)
	if !r.passed(t, d) || waiting(t, s) != 1 {
		t.Fatal("it is lost")
	}
	r.err = nil
	if !r.passed(t, d) || len(r.got) != 0 {
		t.Errorf("it is tried again at once: %q", r.got)
	}
	c.Advance(deliverAgainFirst)
	if r.passed(t, d) || len(r.got) != 1 || waiting(t, s) != 0 {
		t.Errorf("%q", r.got)
	}

	putNow(t, l, "s", "b")
	r.err = errors.New("never")
	for range 2000 {
		if !r.passed(t, d) {
			break
		}
		c.Advance(deliverAgainMax)
	}
	if age := c.Now().Sub(time.UnixMilli(base)); waiting(t, s) != 0 || age < deliverFor || age > deliverFor+time.Hour {
		t.Errorf("%d wait after %s", waiting(t, s), age)
	}
	putNow(t, l, "s", "c")
	r.err = fmt.Errorf("gone: %w", ErrUndeliverable)
	if r.passed(t, d) || waiting(t, s) != 0 || len(d.again) != 0 {
		t.Errorf("%d wait, %d to try again", waiting(t, s), len(d.again))
	}
}

// TestDeliveriesOutliveTheProcess opens the store again before anything was delivered.
func TestDeliveriesOutliveTheProcess(t *testing.T) {
	l, c, s := made(t, "s")
	subscribe(t, l, "all", "")
	putNow(t, l, "s", "a")
	again := Open(s, Options{Now: c.Now, Log: slog.New(slog.DiscardHandler), FlushEvery: time.Millisecond})
	defer again.Close(context.Background())
	got := make(chan string, 2)
	again.Deliver(func(_ context.Context, d *Delivery) error {
		got <- d.Events[0].Message
		return nil
	})
	if m := <-got; m != "a" {
		t.Errorf("%s came", m)
	}
	if err := again.Put(t.Context(), scope, "g", "s", []Event{{Time: base, Message: "b"}}); err != nil {
		t.Fatal(err)
	}
	if m := <-got; m != "b" {
		t.Errorf("%s came", m)
	}
}

func TestSubscriptionFaults(t *testing.T) {
	l, _, s := made(t, "s")
	if err := l.PutSubscription(t.Context(), scope, Subscription{Name: "a", Group: "none"}); !errors.Is(err, ErrGroupNotFound) {
		t.Error(err)
	}
	subscribe(t, l, "a", "")
	subscribe(t, l, "b/c", "")
	subscribe(t, l, "a", "x") // the same
	if err := l.PutSubscription(t.Context(), scope, Subscription{Name: "c", Group: "g"}); !errors.Is(err, ErrTooManySubscriptions) {
		t.Error(err)
	}
	if err := l.DeleteSubscription(t.Context(), scope, "g", "c"); !errors.Is(err, ErrSubscriptionNotFound) {
		t.Error(err)
	}
	if all, err := l.Subscriptions(t.Context(), scope, "g"); err != nil || len(all) != 2 || all[0].Pattern != "x" || all[1].Name != "b/c" {
		t.Errorf("%v, %v", all, err)
	}
	// A group's end is that of its subscriptions.
	putNow(t, l, "s", "x")
	if err := l.DeleteGroup(t.Context(), scope, "g", func(Group) error { return nil }); err != nil {
		t.Fatal(err)
	}
	r := &receiver{}
	if r.passed(t, r.deliverer(l)); len(r.got) != 0 || waiting(t, s) != 0 || len(*l.subscribed.Load()) != 0 {
		t.Errorf("%q, %d wait, %v", r.got, waiting(t, s), *l.subscribed.Load())
	}
	if all, _, err := s.List(t.Context(), subscriptionPrefix, "", 10); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

var lifeTests = map[string]func(e *env){
	"closed":  closed,
	"context": endedContext,
	"reopen":  reopen,
}

func (e *env) everyCall(ctx context.Context) map[string]error {
	errs := make(map[string]error)
	_, errs["Get"] = e.s.Get(ctx, "a")
	_, _, errs["List"] = e.s.List(ctx, "", "", 1)
	_, errs["Commit"] = e.s.Commit(ctx, put("b", "1"))
	_, errs["Watch"] = e.s.Watch(ctx, "", 0)
	_, errs["Revision"] = e.s.Revision(ctx)
	_, errs["Enqueue"] = e.s.Enqueue(ctx, "q", store.Message{})
	_, errs["Lease"] = e.s.Lease(ctx, "q", 1, time.Second)
	errs["Ack"] = e.s.Ack(ctx, "q", "r")
	errs["Nack"] = e.s.Nack(ctx, "q", "r", 0)
	errs["Extend"] = e.s.Extend(ctx, "q", "r", time.Second)
	_, errs["Depth"] = e.s.Depth(ctx, "q")
	return errs
}

func closed(e *env) {
	e.commit(put("a", "1"))
	changes := e.watch("", e.revision())
	if err := e.s.Close(); err != nil {
		e.Fatal(err)
	}
	if _, ok := <-changes; ok {
		e.Error("a change after Close")
	}
	for call, err := range e.everyCall(e.ctx) {
		if !errors.Is(err, store.ErrClosed) {
			e.Errorf("%s after Close: %v, want ErrClosed", call, err)
		}
	}
	if err := e.s.Close(); !errors.Is(err, store.ErrClosed) {
		e.Errorf("second Close: %v, want ErrClosed", err)
	}
}

func endedContext(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	for call, err := range e.everyCall(ctx) {
		if !errors.Is(err, context.Canceled) {
			e.Errorf("%s: %v, want context.Canceled", call, err)
		}
	}
	if r := e.revision(); r != 0 {
		e.Errorf("revision %d after calls with an ended context", r)
	}
}

func reopen(e *env) {
	if e.sub.Reopen == nil {
		e.Skip("does not outlive its process")
	}
	first := e.commit(put("a", "1"), put("b", "1"))
	e.commit(put("a", "2"))
	last := e.commit(del("b"))
	ids := e.enqueue("q", "free", "held", "gone")
	held := e.lease("q", 3, time.Minute)
	e.must(e.s.Ack(e.ctx, "q", held[2].Receipt))
	e.must(e.s.Nack(e.ctx, "q", held[0].Receipt, 0))

	e.s = e.sub.Reopen(e.T, e.s)
	if a := e.get("a"); string(a.Value) != "2" || a.Revision != first+1 {
		e.Errorf("a came back as %+v", a)
	}
	if _, err := e.s.Get(e.ctx, "b"); !errors.Is(err, store.ErrNotFound) {
		e.Errorf("b came back: %v", err)
	}
	if r := e.revision(); r != last {
		e.Errorf("revision %d, want %d", r, last)
	}
	changes := e.watch("", first)
	if c := e.next(changes); string(c.Record.Value) != "2" {
		e.Errorf("the change log began with %+v", c)
	}
	if c := e.next(changes); c.Kind != store.WriteDelete || c.Record.Revision != last {
		e.Errorf("the change log went on with %+v", c)
	}
	if next := e.commit(put("a", "3")); next <= last {
		e.Errorf("revision %d after %d: it went back", next, last)
	}
	got := e.lease("q", 5, time.Minute)
	e.wantBodies(got, "free")
	if got[0].ID != ids[0] || got[0].Attempts != 2 {
		e.Errorf("came back as %+v", got[0])
	}
	e.must(e.s.Extend(e.ctx, "q", held[1].Receipt, 2*time.Minute))
	e.clock.Advance(2 * time.Minute)
	e.wantBodies(e.lease("q", 5, time.Minute), "free", "held")
	e.enqueue("q", "new")
	e.wantBodies(e.lease("q", 5, time.Minute), "new")
}

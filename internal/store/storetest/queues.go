package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

var queueTests = map[string]func(e *env){
	"order":                 queueOrder,
	"delays":                queueDelays,
	"lease expires":         leaseExpires,
	"receipts":              receipts,
	"extend":                extend,
	"nack":                  nack,
	"depth":                 depth,
	"ready":                 ready,
	"bounds":                queueBounds,
	"names do not overlap":  queueNames,
	"leases are not shared": leasesAreNotShared,
}

func (e *env) enqueue(queue string, bodies ...string) []string {
	e.Helper()
	messages := make([]store.Message, len(bodies))
	for i := range bodies {
		messages[i].Body = []byte(bodies[i])
	}
	ids, err := e.s.Enqueue(e.ctx, queue, messages...)
	if err != nil {
		e.Fatalf("Enqueue: %v", err)
	}
	return ids
}

func (e *env) lease(queue string, limit int, d time.Duration) []store.Delivery {
	e.Helper()
	got, err := e.s.Lease(e.ctx, queue, limit, d)
	if err != nil {
		e.Fatalf("Lease: %v", err)
	}
	return got
}

func (e *env) wantBodies(got []store.Delivery, want ...string) {
	e.Helper()
	bodies := make([]string, len(got))
	for i := range got {
		bodies[i] = string(got[i].Body)
	}
	if fmt.Sprint(bodies) != fmt.Sprint(want) {
		e.Fatalf("leased %q, want %q", bodies, want)
	}
}

func (e *env) wantLost(err error) {
	e.Helper()
	if !errors.Is(err, store.ErrLeaseLost) {
		e.Errorf("%v, want ErrLeaseLost", err)
	}
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func queueOrder(e *env) {
	e.wantBodies(e.lease("q", 10, time.Second))
	ids := e.enqueue("q", "a", "b")
	ids = append(ids, e.enqueue("q", "c")...)
	for i, id := range ids {
		if len(id) < 20 {
			e.Errorf("id %d %q can be guessed", i, id)
		}
	}
	first := e.lease("q", 2, time.Minute)
	e.wantBodies(first, "a", "b")
	if first[0].ID != ids[0] || first[0].Attempts != 1 || !first[0].Enqueued.Equal(e.clock.Now()) {
		e.Errorf("delivery %+v", first[0])
	}
	e.wantBodies(e.lease("q", 2, time.Minute), "c")
	e.wantBodies(e.lease("q", 2, time.Minute))
}

func queueDelays(e *env) {
	_, err := e.s.Enqueue(e.ctx, "q",
		store.Message{Body: []byte("late"), Delay: 2 * time.Minute},
		store.Message{Body: []byte("soon"), Delay: time.Minute},
		store.Message{Body: []byte("now"), Delay: -time.Hour})
	e.must(err)
	e.wantBodies(e.lease("q", 10, time.Hour), "now")
	e.clock.Advance(time.Minute)
	e.wantBodies(e.lease("q", 10, time.Hour), "soon")
	e.clock.Advance(time.Minute)
	e.enqueue("q", "after")
	e.wantBodies(e.lease("q", 10, time.Hour), "late", "after")
}

func leaseExpires(e *env) {
	e.enqueue("q", "a")
	first := e.lease("q", 1, time.Second)[0]
	e.clock.Advance(time.Second)
	e.wantLost(e.s.Ack(e.ctx, "q", first.Receipt))
	second := e.lease("q", 1, time.Second)
	e.wantBodies(second, "a")
	if second[0].Attempts != 2 || second[0].ID != first.ID || second[0].Receipt == first.Receipt {
		e.Errorf("second delivery %+v of %+v", second[0], first)
	}
	e.wantLost(e.s.Ack(e.ctx, "q", first.Receipt))
	e.must(e.s.Ack(e.ctx, "q", second[0].Receipt))
	e.clock.Advance(time.Hour)
	e.wantBodies(e.lease("q", 1, time.Second))
}

func receipts(e *env) {
	e.enqueue("q", "a")
	e.enqueue("r", "b")
	a := e.lease("q", 1, time.Minute)[0]
	for _, receipt := range []string{"", "nonsense", a.ID, a.Receipt + "0", "\x00\xff", a.Receipt[1:]} {
		e.wantLost(e.s.Ack(e.ctx, "q", receipt))
		e.wantLost(e.s.Nack(e.ctx, "q", receipt, 0))
		e.wantLost(e.s.Extend(e.ctx, "q", receipt, time.Second))
	}
	e.wantLost(e.s.Ack(e.ctx, "r", a.Receipt))
	e.wantLost(e.s.Ack(e.ctx, "never used", a.Receipt))
	e.must(e.s.Ack(e.ctx, "q", a.Receipt))
	e.wantLost(e.s.Ack(e.ctx, "q", a.Receipt))
	e.wantLost(e.s.Nack(e.ctx, "q", a.Receipt, 0))
}

func extend(e *env) {
	e.enqueue("q", "a")
	a := e.lease("q", 1, time.Second)[0]
	e.must(e.s.Extend(e.ctx, "q", a.Receipt, time.Minute))
	e.clock.Advance(59 * time.Second)
	e.wantBodies(e.lease("q", 1, time.Second))
	e.must(e.s.Extend(e.ctx, "q", a.Receipt, time.Second)) // may also shorten
	e.clock.Advance(time.Second)
	e.wantLost(e.s.Extend(e.ctx, "q", a.Receipt, time.Minute))
	e.wantBodies(e.lease("q", 1, time.Second), "a")
}

func nack(e *env) {
	e.enqueue("q", "a", "b")
	both := e.lease("q", 2, time.Hour)
	e.must(e.s.Nack(e.ctx, "q", both[0].Receipt, time.Minute))
	e.must(e.s.Nack(e.ctx, "q", both[1].Receipt, 0))
	e.wantLost(e.s.Ack(e.ctx, "q", both[0].Receipt))
	e.wantBodies(e.lease("q", 2, time.Hour), "b")
	e.clock.Advance(time.Minute)
	again := e.lease("q", 2, time.Hour)
	e.wantBodies(again, "a")
	if again[0].Attempts != 2 {
		e.Errorf("attempts %d, want 2", again[0].Attempts)
	}
}

func depth(e *env) {
	want := func(step string, d store.Depth) {
		e.Helper()
		got, err := e.s.Depth(e.ctx, "q")
		if err != nil || got != d {
			e.Errorf("%s: %+v %v, want %+v", step, got, err, d)
		}
	}
	want("never used", store.Depth{})
	e.enqueue("q", "a", "b", "c")
	_, err := e.s.Enqueue(e.ctx, "q", store.Message{Body: []byte("d"), Delay: time.Minute})
	e.must(err)
	want("filled", store.Depth{Visible: 3, Delayed: 1})
	e.clock.Advance(10 * time.Second)
	leased := e.lease("q", 2, 20*time.Second)
	want("leased", store.Depth{Visible: 1, Delayed: 1, Leased: 2, Oldest: 10 * time.Second})
	e.must(e.s.Ack(e.ctx, "q", leased[0].Receipt))
	want("acknowledged", store.Depth{Visible: 1, Delayed: 1, Leased: 1, Oldest: 10 * time.Second})
	e.must(e.s.Nack(e.ctx, "q", leased[1].Receipt, time.Minute))
	want("given back", store.Depth{Visible: 1, Delayed: 2, Oldest: 10 * time.Second})
	e.lease("q", 1, time.Second)
	e.clock.Advance(5 * time.Minute)
	want("all due", store.Depth{Visible: 3, Oldest: 5*time.Minute + 10*time.Second})
	for _, d := range e.lease("q", 10, time.Second) {
		e.must(e.s.Ack(e.ctx, "q", d.Receipt))
	}
	want("empty", store.Depth{})
}

func ready(e *env) {
	wait := func(why string) {
		e.Helper()
		select {
		case <-e.s.Ready("q"):
		case <-time.After(patience):
			e.Fatalf("not rung: %s", why)
		}
	}
	e.enqueue("q", "a")
	e.enqueue("q", "b")
	wait("something was enqueued")
	leased := e.lease("q", 1, time.Hour)
	wait("something due was left behind")
	e.lease("q", 1, time.Hour)
	e.must(e.s.Nack(e.ctx, "q", leased[0].Receipt, 0))
	wait("something was given back")
	e.lease("q", 10, 10*time.Millisecond)
	wait("a lease ended")
	_, err := e.s.Enqueue(e.ctx, "q", store.Message{Delay: 10 * time.Millisecond})
	e.must(err)
	wait("a delay ended")
}

func queueBounds(e *env) {
	big := bytes.Repeat([]byte("b"), store.MessageBytesMax)
	if _, err := e.s.Enqueue(e.ctx, "q", store.Message{Body: big}); err != nil {
		e.Errorf("biggest message: %v", err)
	}
	for name, messages := range map[string][]store.Message{
		"body":     {{Body: append(big, 'b')}},
		"messages": make([]store.Message, store.CommitWritesMax+1),
	} {
		if _, err := e.s.Enqueue(e.ctx, "q", messages...); !errors.Is(err, store.ErrTooLarge) {
			e.Errorf("too large %s: %v", name, err)
		}
	}
	if _, err := e.s.Enqueue(e.ctx, "", store.Message{}); err == nil {
		e.Error("a queue without a name took a message")
	}
	if _, err := e.s.Lease(e.ctx, "q", 1, 0); err == nil {
		e.Error("a lease of no time was given")
	}
	if got := e.lease("q", 0, time.Second); len(got) != 0 {
		e.Errorf("limit 0 leased %d", len(got))
	}
}

func queueNames(e *env) {
	names := []string{"a", "aa", "a\x00", "a/b", "\xff"}
	for _, n := range names {
		e.enqueue(n, "in "+n)
	}
	for _, n := range names {
		e.wantBodies(e.lease(n, 10, time.Hour), "in "+n)
	}
}

// leasesAreNotShared lets many consumers empty a queue; with the clock still,
// nobody may see a message that another one holds.
func leasesAreNotShared(e *env) {
	const n, consumers = 400, 8
	for i := 0; i < n; i += 100 {
		bodies := make([]string, 100)
		for j := range bodies {
			bodies[j] = fmt.Sprint(i + j)
		}
		e.enqueue("q", bodies...)
	}
	var mu sync.Mutex
	seen := make(map[string]bool)
	var wg sync.WaitGroup
	for range consumers {
		wg.Go(func() {
			for {
				got, err := e.s.Lease(e.ctx, "q", 7, time.Hour)
				if err != nil || len(got) == 0 {
					if err != nil {
						e.Error(err)
					}
					return
				}
				for _, d := range got {
					mu.Lock()
					if seen[string(d.Body)] {
						e.Errorf("message %s was leased twice", d.Body)
					}
					seen[string(d.Body)] = true
					mu.Unlock()
					if err := e.s.Ack(e.ctx, "q", d.Receipt); err != nil {
						e.Errorf("Ack of %s: %v", d.Body, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != n {
		e.Errorf("%d messages came, want %d", len(seen), n)
	}
	if d, err := e.s.Depth(e.ctx, "q"); err != nil || d != (store.Depth{}) {
		e.Errorf("depth %+v %v after all were acknowledged", d, err)
	}
}

package sqspoller

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
)

// fakeQueue hands out what is in it once, and knows what came of it.
type fakeQueue struct {
	mu       sync.Mutex
	waiting  []string
	deleted  map[string]bool
	released map[string]bool
}

func (q *fakeQueue) Visibility(context.Context, string, string) (time.Duration, error) {
	return 30 * time.Second, nil
}

func (q *fakeQueue) Receive(ctx context.Context, _, _ string, most int) (out []sqs.Received, err error) {
	for ctx.Err() == nil {
		q.mu.Lock()
		for len(q.waiting) > 0 && len(out) < most {
			out = append(out, sqs.Received{MessageID: q.waiting[0], Receipt: q.waiting[0], Body: "b"})
			q.waiting = q.waiting[1:]
		}
		q.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	return nil, ctx.Err()
}

func (q *fakeQueue) mark(to *map[string]bool, receipts []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if *to == nil {
		*to = map[string]bool{}
	}
	for _, r := range receipts {
		(*to)[r] = true
	}
	return nil
}

func (q *fakeQueue) Delete(_ context.Context, _, _ string, receipts []string) error {
	return q.mark(&q.deleted, receipts)
}

func (q *fakeQueue) Release(_ context.Context, _, _ string, receipts []string) error {
	return q.mark(&q.released, receipts)
}

func (q *fakeQueue) Function(id record.FunctionID, _ string) (*record.Function, bool) {
	return &record.Function{ID: id, Version: record.Latest, Role: "role", TimeoutS: 3}, true
}

// TestPollerFollowsMappings: a mapping is read while it polls; the end waits for what runs.
func TestPollerFollowsMappings(t *testing.T) {
	s := mem.New()
	defer s.Close()
	q := &fakeQueue{}
	for i := range 25 {
		q.waiting = append(q.waiting, fmt.Sprint(i))
	}
	view := record.Mappings.View(s, nil)
	p, err := New(Options{Mappings: view, Functions: q, Queues: q, Invoke: func(context.Context, *frontend.Request) (frontend.Answer, error) {
		return frontend.Answer{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	polling, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { view.Run(t.Context()) })
	ended := make(chan struct{})
	go func() { p.Run(polling, t.Context()); close(ended) }()
	key := record.Scoped{Scope: record.Scope{Account: "000000000000", Region: "us-east-1"}, Name: "u"}
	m := record.Mapping{
		Source: queueARN, Function: record.Name{ID: record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}},
		Enabled: true, State: record.MappingEnabled, BatchSize: 3,
	}
	put := func(m record.Mapping) {
		t.Helper()
		write, err := record.Mappings.Put(key, &m, store.Unconditional())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), write); err != nil {
			t.Fatal(err)
		}
	}
	deleted := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			q.mu.Lock()
			n := len(q.deleted)
			q.mu.Unlock()
			if n == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d messages are done, want %d", n, want)
			}
		}
	}
	put(m)
	deleted(25)
	off, again := m, m
	off.Enabled, off.State = false, record.MappingDisabling
	put(off)
	again.BatchSize = 10
	put(again) // at once: the loop that ends makes room for a new one
	q.mu.Lock()
	q.waiting = []string{"x", "y"}
	q.mu.Unlock()
	put(off)
	put(again)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		q.mu.Lock()
		n := len(q.deleted) + len(q.released) // what came while the mapping ended was given back
		q.mu.Unlock()
		if n == 27 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are done, want 27", n)
		}
	}
	stop()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the poller does not end")
	}
}

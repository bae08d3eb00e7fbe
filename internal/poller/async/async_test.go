package async

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/worker"
)

const soon = 20 * time.Second

var id = record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}

// world is everything around a queue.
type world struct {
	t     *testing.T
	store *mem.Store
	queue *Queue

	mu       sync.Mutex
	dead     string // the function's dead-letter queue
	config   *record.EventInvokeConfig
	reserved *record.Concurrency
	function func(r *frontend.Request, attempt int) (frontend.Answer, error)
	attempts map[aws.RequestID]int
	sent     []*Delivery
	changed  chan struct{}
}

func (w *world) Function(record.FunctionID, string) (*record.Function, bool) {
	return &record.Function{ID: id, Version: record.Latest, Role: "role", DeadLetterARN: w.dead}, true
}

type configs struct{ *world }

func (c configs) Get(record.Qualified) (*record.EventInvokeConfig, bool) {
	return c.config, c.config != nil
}

type reserved struct{ *world }

func (r reserved) Get(record.Qualified) (*record.Concurrency, bool) {
	return r.world.reserved, r.world.reserved != nil
}

func (w *world) Send(_ context.Context, d *Delivery) error {
	w.mu.Lock()
	w.sent = append(w.sent, d)
	w.mu.Unlock()
	w.tick()
	return nil
}

func (w *world) tick() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *world) invoke(_ context.Context, r *frontend.Request) (frontend.Answer, error) {
	w.mu.Lock()
	w.attempts[r.RequestID]++
	n := w.attempts[r.RequestID]
	w.mu.Unlock()
	defer w.tick()
	return w.function(r, n)
}

func newWorld(t *testing.T, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, store: mem.New(), attempts: map[aws.RequestID]int{}, changed: make(chan struct{}, 1)}
	t.Cleanup(func() { w.store.Close() })
	w.function = func(*frontend.Request, int) (frontend.Answer, error) { return answer(`"ok"`, ""), nil }
	change(w)
	w.queue = w.open()
	return w
}

// open makes a queue as a program does that was just started.
func (w *world) open() *Queue {
	w.t.Helper()
	q, err := New(Options{
		Queues: w.store, Functions: w, Configs: configs{w}, Reserved: reserved{w}, Sender: w, Invoke: w.invoke, TimeScale: 1e-4,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return q
}

func (w *world) run() {
	ctx, stop := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.queue.Run(ctx, w.t.Context()) })
	w.t.Cleanup(func() { stop(); running.Wait() })
}

func (w *world) accept(request aws.RequestID, payload string) {
	w.t.Helper()
	err := w.queue.Accept(w.t.Context(), &frontend.Event{Name: record.Name{ID: id}, RequestID: request, Payload: []byte(payload), Received: time.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
}

// until waits for a state of the world.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	deadline := time.After(soon)
	for {
		w.mu.Lock()
		ok := holds()
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-w.changed:
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("waited too long until %s", what)
		}
	}
}

// empty reports whether no shard has an event left, and that each counts none.
func (w *world) empty() bool {
	for _, s := range w.queue.shards {
		d, err := w.store.Depth(context.Background(), s.name)
		if err != nil || d != (store.Depth{}) || s.depth() != 0 {
			return false
		}
	}
	return true
}

func answer(payload, functionError string) frontend.Answer {
	return frontend.Answer{Result: worker.Result{Payload: []byte(payload), FunctionError: functionError}, ExecutedVersion: "$LATEST"}
}

func TestRetriesAndTells(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.dead = "arn:aws:sqs:us-east-1:000000000000:dead"
		w.config = &record.EventInvokeConfig{OnSuccess: "arn:ok", OnFailure: "arn:ko"}
		w.function = func(r *frontend.Request, n int) (frontend.Answer, error) {
			if string(r.Payload) == `"heals"` && n == 2 {
				return answer(`{"done":true}`, ""), nil
			}
			return answer(`{"errorMessage":"no","errorType":"E"}`, "Unhandled"), nil
		}
	})
	w.run()
	w.accept("bad", `"ill"`)
	w.accept("good", `"heals"`)
	w.until("all is told", func() bool { return len(w.sent) == 3 && w.empty() })
	if w.attempts["bad"] != 3 || w.attempts["good"] != 2 {
		t.Errorf("attempts %v, want 3 and 2", w.attempts)
	}
	slices.SortFunc(w.sent, func(a, b *Delivery) int { return len(a.Destination) - len(b.Destination) })
	for _, d := range w.sent {
		var got map[string]any
		if err := json.Unmarshal(d.Body, &got); d.DeadLetter == nil && err != nil {
			t.Fatal(err)
		}
		delete(got, "timestamp")
		text, _ := json.Marshal(got)
		switch d.Destination {
		case "arn:ok":
			const want = `{"requestContext":{"approximateInvokeCount":2,"condition":"Success","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","requestId":"good"},"requestPayload":"heals","responseContext":{"executedVersion":"$LATEST","statusCode":200},"responsePayload":{"done":true},"version":"1.0"}`
			if string(text) != want || !d.Success {
				t.Errorf("%s, want %s", text, want)
			}
		case "arn:ko":
			const want = `{"requestContext":{"approximateInvokeCount":3,"condition":"RetriesExhausted","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","requestId":"bad"},"requestPayload":"ill","responseContext":{"executedVersion":"$LATEST","functionError":"Unhandled","statusCode":200},"responsePayload":{"errorMessage":"no","errorType":"E"},"version":"1.0"}`
			if string(text) != want || d.Success {
				t.Errorf("%s, want %s", text, want)
			}
		default:
			if string(d.Body) != `"ill"` || d.DeadLetter == nil || d.DeadLetter.ErrorMessage != "no" || d.DeadLetter.ErrorCode != 200 {
				t.Errorf("dead letter %s %+v", d.Body, d.DeadLetter)
			}
		}
	}
}

// TestThrottlesAreNoAttempts: the event waits for its place, and has all its attempts then.
func TestThrottlesAreNoAttempts(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.config = &record.EventInvokeConfig{OnFailure: "arn:ko"}
		w.function = func(_ *frontend.Request, n int) (frontend.Answer, error) {
			if n <= 5 {
				return frontend.Answer{}, api.NewTooManyRequestsException("Rate Exceeded.")
			}
			return answer(`{}`, "Unhandled"), nil
		}
	})
	w.run()
	w.accept("r", "{}")
	w.until("it is told", func() bool { return len(w.sent) == 1 })
	if w.attempts["r"] != 8 {
		t.Errorf("%d attempts, want 5 throttled and 3 that ran", w.attempts["r"])
	}
}

func TestNothingReservedNeverRuns(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.config, w.reserved = &record.EventInvokeConfig{OnFailure: "arn:ko"}, &record.Concurrency{}
	})
	w.run()
	w.accept("r", "{}")
	w.until("it is told", func() bool { return len(w.sent) == 1 })
	var got invocationRecord
	if err := json.Unmarshal(w.sent[0].Body, &got); err != nil {
		t.Fatal(err)
	}
	if len(w.attempts) != 0 || got.RequestContext.Condition != zeroReserved || got.RequestContext.ApproximateInvokeCount != 0 || got.ResponseContext != nil {
		t.Errorf("ran %v, told %+v", w.attempts, got)
	}
}

// TestSurvivesRestarts: what was accepted and not finished is run by the next process.
func TestSurvivesRestarts(t *testing.T) {
	const events = 50
	w := newWorld(t, func(w *world) {})
	for i := range events {
		w.accept(aws.RequestID(fmt.Sprint(i)), "{}")
	}
	// A process that takes some and dies.
	for _, s := range w.queue.shards {
		if _, err := w.store.Lease(t.Context(), s.name, 3, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	w.queue = w.open()
	w.run()
	w.until("all have run", func() bool { return len(w.attempts) == events })
}

// TestVictim: a function that floods leaves another one's events their way.
func TestVictim(t *testing.T) {
	victim := record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "victim"}
	block := make(chan struct{})
	ran := make(chan struct{}, 1)
	w := newWorld(t, func(w *world) {
		w.function = func(r *frontend.Request, _ int) (frontend.Answer, error) {
			if r.Name.ID == victim {
				ran <- struct{}{}
			} else {
				<-block
			}
			return answer("1", ""), nil
		}
	})
	w.run()
	defer close(block)
	for i := range 2000 {
		w.accept(aws.RequestID(fmt.Sprint(i)), "{}")
	}
	if err := w.queue.Accept(t.Context(), &frontend.Event{Name: record.Name{ID: victim}, RequestID: "v", Payload: []byte("{}"), Received: time.Now()}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ran:
	case <-time.After(soon):
		t.Error("the victim's event did not run")
	}
}

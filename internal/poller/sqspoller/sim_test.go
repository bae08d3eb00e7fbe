package sqspoller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// simMessage is a message in the simulated queue.
type simMessage struct {
	id, group string
	number    int // in its group
	visible   time.Time
	receives  int
	receipt   int
	deleted   bool
	done      bool // a batch with it succeeded
}

// simQueue is SQS: visibility timeouts, and for FIFO queues groups with one batch in flight.
type simQueue struct {
	fifo       bool
	visibility time.Duration
	messages   []*simMessage
	receipts   int
}

func (q *simQueue) receive(now time.Time, most int) (out []Message) {
	blocked := map[string]bool{}
	for _, m := range q.messages {
		if m.deleted {
			continue
		}
		if m.visible.After(now) {
			blocked[m.group] = true
			continue
		}
		if q.fifo && blocked[m.group] || len(out) == most {
			continue
		}
		q.receipts++
		m.receipt, m.receives, m.visible = q.receipts, m.receives+1, now.Add(q.visibility)
		out = append(out, Message{ID: m.id, Receipt: fmt.Sprint(m.receipt), Group: m.group, Bytes: 100, Passes: m.number%7 != 6})
	}
	return out
}

func (q *simQueue) find(m Message) *simMessage {
	i := slices.IndexFunc(q.messages, func(s *simMessage) bool { return s.id == m.ID && fmt.Sprint(s.receipt) == m.Receipt })
	if i < 0 {
		return nil
	}
	return q.messages[i]
}

// future is something that happens to the core later.
type future struct {
	at    time.Time
	event any
	batch *Batch
	order int
}

// simWorld runs one seed.
type simWorld struct {
	t       *testing.T
	rand    *rand.Rand
	now     time.Time
	queue   *simQueue
	core    *Core
	config  Config
	futures []future
	order   int
	running map[string]int // by group
	batches int
	limit   int            // concurrency that the function has
	last    map[string]int // per group: the highest number that was done in order
}

func (w *simWorld) after(d time.Duration, e any, b *Batch) {
	w.order++
	w.futures = append(w.futures, future{w.now.Add(d), e, b, w.order})
}

func (w *simWorld) step(event any) {
	for _, e := range w.core.Step(w.now, event) {
		switch e := e.(type) {
		case Receive:
			if e.Max < 1 || e.Max > receiveMax {
				w.t.Fatalf("a receive of %d messages", e.Max)
			}
			delay := time.Duration(w.rand.IntN(200)) * time.Millisecond
			if w.rand.IntN(50) == 0 {
				w.after(delay, Received{Asked: e.Max, Failed: true}, nil)
				break
			}
			got := w.queue.receive(w.now, e.Max)
			if len(got) == 0 {
				delay += time.Second
			}
			w.after(delay, Received{Asked: e.Max, Messages: got}, nil)
		case Invoke:
			w.invoke(e.Batch)
		case Delete:
			for _, m := range e.Messages {
				if s := w.queue.find(m); s != nil && w.rand.IntN(40) > 0 { // some removals are lost
					if m.Passes && !s.done {
						w.t.Fatalf("%s is deleted, and no batch with it succeeded", m.ID)
					}
					s.deleted = true
				}
			}
		case Release:
			for _, m := range e.Messages {
				if s := w.queue.find(m); s != nil {
					s.visible = w.now
				}
			}
		case Wake:
			if !e.At.After(w.now) {
				w.t.Fatalf("a wake that is due already: the machine spins")
			}
			w.after(e.At.Sub(w.now), Tick{}, nil)
		}
	}
}

func (w *simWorld) invoke(b *Batch) {
	if len(b.Messages) == 0 || len(b.Messages) > w.config.BatchSize {
		w.t.Fatalf("a batch of %d messages, of %d", len(b.Messages), w.config.BatchSize)
	}
	if w.config.Concurrency > 0 && w.batches >= w.config.Concurrency {
		w.t.Fatalf("%d batches at once, of %d", w.batches+1, w.config.Concurrency)
	}
	if w.batches >= w.limit {
		w.after(10*time.Millisecond, Invoked{Number: b.Number, Outcome: Throttled}, nil)
		return
	}
	w.batches++
	if w.config.FIFO {
		groups := map[string]bool{}
		for _, m := range b.Messages {
			groups[m.Group] = true
		}
		for g := range groups {
			if w.running[g]++; w.running[g] > 1 {
				w.t.Fatalf("two batches of group %s at once", g)
			}
		}
	}
	out := Invoked{Number: b.Number, Outcome: []Outcome{Succeeded, Succeeded, Succeeded, Failed, Unavailable}[w.rand.IntN(5)]}
	if out.Outcome == Succeeded && w.config.ReportFailures && w.rand.IntN(2) == 0 {
		out.Rejected = map[int]bool{w.rand.IntN(len(b.Messages)): true}
	}
	w.after(time.Duration(w.rand.IntN(5000))*time.Millisecond, out, b)
}

// finish is the end of an invoke: what the function did counts, in the order of groups.
func (w *simWorld) finish(e Invoked, b *Batch) {
	w.batches--
	groups, broken := map[string]bool{}, map[string]bool{}
	for i, m := range b.Messages {
		groups[m.Group] = true
		if e.Outcome != Succeeded || e.Rejected[i] {
			broken[m.Group] = true
			continue
		}
		if w.config.FIFO && broken[m.Group] {
			continue // the function stopped at the first failure of the group
		}
		s := w.queue.messages[slices.IndexFunc(w.queue.messages, func(s *simMessage) bool { return s.id == m.ID })]
		s.done = true
		if w.config.FIFO {
			for n := w.last[m.Group] + 1; n < s.number; n++ {
				if n%7 != 6 {
					w.t.Fatalf("group %s: %d is done before %d", m.Group, s.number, n)
				}
			}
			w.last[m.Group] = max(w.last[m.Group], s.number)
		}
	}
	if w.config.FIFO {
		for g := range groups {
			w.running[g]--
		}
	}
}

// crash loses everything that is not in the queue.
func (w *simWorld) crash() {
	w.futures, w.running, w.batches = nil, map[string]int{}, 0
	w.core = NewCore()
	w.step(Configured{w.config})
}

func simulate(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	fifo := r.IntN(2) == 0
	w := &simWorld{t: t, rand: r, now: time.Unix(1e9, 0), running: map[string]int{}, limit: 1 + r.IntN(8), last: map[string]int{}, core: NewCore()}
	w.queue = &simQueue{fifo: fifo, visibility: 30 * time.Second}
	w.config = Config{FIFO: fifo, BatchSize: 1 + r.IntN(10), ReportFailures: r.IntN(2) == 0, Patience: 20 * time.Second}
	if !fifo && r.IntN(2) == 0 {
		w.config.BatchSize, w.config.Window = 1+r.IntN(60), time.Duration(1+r.IntN(5))*time.Second
	}
	if r.IntN(2) == 0 {
		w.config.Concurrency = 2 + r.IntN(4)
	}
	numbers := map[string]int{}
	for i := range 150 {
		group := ""
		if fifo {
			group = fmt.Sprint(r.IntN(6))
		}
		numbers[group]++
		w.queue.messages = append(w.queue.messages, &simMessage{
			id: fmt.Sprint(i), group: group, number: numbers[group], visible: w.now.Add(time.Duration(r.IntN(2)*i) * 100 * time.Millisecond),
		})
	}
	if fifo { // what is sent later of a group cannot come before what was sent earlier
		for _, m := range w.queue.messages {
			m.visible = w.now
		}
	}
	w.step(Configured{w.config})
	end := w.now.Add(6 * time.Hour)
	for w.now.Before(end) {
		if !slices.ContainsFunc(w.queue.messages, func(m *simMessage) bool { return !m.deleted }) {
			return
		}
		if len(w.futures) == 0 {
			t.Fatal("nothing will happen any more: the mapping is stuck")
		}
		i := 0
		for j, f := range w.futures {
			if f.at.Before(w.futures[i].at) || f.at.Equal(w.futures[i].at) && f.order < w.futures[i].order {
				i = j
			}
		}
		f := w.futures[i]
		w.futures = slices.Delete(w.futures, i, i+1)
		w.now = f.at
		if f.batch != nil {
			w.finish(f.event.(Invoked), f.batch)
		}
		switch w.rand.IntN(400) {
		case 0:
			if fifo { // the running invoke of a dead process ends before its messages come again
				w.now = w.now.Add(5 * time.Second)
			}
			w.crash()
			continue
		case 1:
			w.step(Configured{w.config})
		}
		w.step(f.event)
	}
	t.Fatal("messages are left after six hours")
}

// TestSimulation: no message is lost or stuck, none is deleted before a batch with it
// succeeded, a group has its order and one batch at a time, and limits hold; with failures,
// throttles, lost removals and crashes.
func TestSimulation(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
		if t.Failed() {
			return
		}
	}
}

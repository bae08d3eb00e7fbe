package sqspoller

import (
	"fmt"
	"testing"
	"time"
)

// scaleWorld has a core whose queue never ends.
type scaleWorld struct {
	core    *Core
	now     time.Time
	next    int
	takes   time.Duration // a batch; 0: it never ends
	wake    time.Time
	running []scaleBatch // in the order in which they end
}

type scaleBatch struct {
	number int
	ends   time.Time
}

// tickLate is how late timers are: a little, but always.
const tickLate = 500 * time.Microsecond

func (w *scaleWorld) step(event any) {
	queue := []any{event}
	for len(queue) > 0 {
		e := queue[0]
		queue = queue[1:]
		for _, effect := range w.core.Step(w.now, e) {
			switch f := effect.(type) {
			case Receive:
				r := Received{Asked: f.Max}
				for range f.Max {
					w.next++
					r.Messages = append(r.Messages, Message{ID: fmt.Sprint(w.next), Receipt: fmt.Sprint(w.next), Group: fmt.Sprint(w.next), Bytes: 10, Passes: true})
				}
				queue = append(queue, r)
			case Invoke:
				w.running = append(w.running, scaleBatch{f.Batch.Number, w.now.Add(w.takes)})
			case Wake:
				w.wake = f.At.Add(tickLate)
			}
		}
	}
}

// at lets time pass, and tells how many batches run then.
func (w *scaleWorld) at(d time.Duration) int {
	for end := w.now.Add(d); ; {
		switch ending := w.takes > 0 && len(w.running) > 0; {
		case ending && !w.running[0].ends.After(end) && (w.wake.IsZero() || !w.running[0].ends.After(w.wake)):
			over := w.running[0]
			w.running, w.now = w.running[1:], over.ends
			w.step(Invoked{Number: over.number})
		case !w.wake.IsZero() && !w.wake.After(end):
			w.now, w.wake = w.wake, time.Time{}
			w.step(Tick{})
		default:
			w.now = end
			return len(w.running)
		}
	}
}

// TestScale: a standard queue's batches begin with five at once and are 300 a minute more; those
// of a FIFO queue are as many as it gives out.
func TestScale(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		takes  time.Duration
		want   []int // at once, after ten seconds, after thirty
	}{
		"without end":         {Config{BatchSize: 1, Patience: time.Hour}, 0, []int{5, 55, 155}},
		"20 ms":               {Config{BatchSize: 1, Patience: time.Hour}, 20 * time.Millisecond, []int{5, 55, 155}},
		"half a second":       {Config{BatchSize: 1, Patience: time.Hour}, 500 * time.Millisecond, []int{5, 55, 155}},
		"5 s":                 {Config{BatchSize: 1, Patience: time.Hour}, 5 * time.Second, []int{5, 55, 155}},
		"batches of ten":      {Config{BatchSize: 10, Patience: time.Hour}, 100 * time.Millisecond, []int{5, 55, 155}},
		"maximum concurrency": {Config{BatchSize: 1, Patience: time.Hour, Concurrency: 20}, 0, []int{5, 20, 20}},
		"two at most":         {Config{BatchSize: 1, Patience: time.Hour, Concurrency: 2}, 0, []int{2, 2, 2}},
		"FIFO":                {Config{BatchSize: 1, Patience: time.Hour, FIFO: true}, 0, []int{1000, 1000, 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &scaleWorld{core: NewCore(), now: time.Unix(1e9, 0), takes: tc.takes}
			w.step(Configured{tc.config})
			for i, d := range []time.Duration{0, 10*time.Second + 10*tickLate, 20 * time.Second} {
				if n := w.at(d); n != tc.want[i] {
					t.Errorf("%d run, want %d", n, tc.want[i])
				}
			}
		})
	}
}

// TestScaleBack: when the queue is empty the places become fewer, down to five.
func TestScaleBack(t *testing.T) {
	w := &scaleWorld{core: NewCore(), now: time.Unix(1e9, 0)}
	w.step(Configured{Config{BatchSize: 1, Patience: time.Hour}})
	w.at(time.Minute)
	for range 10 {
		w.core.receives++
		w.core.asked++
		w.core.received(w.now, Received{Asked: 1}, nil)
	}
	if n := w.core.scale.places; n != scaleFirst {
		t.Errorf("%d places", n)
	}
}

// TestFailuresShrink: a function that fails gets fewer batches at once, down to one, and more again when it
// succeeds; not where it reports which messages failed.
func TestFailuresShrink(t *testing.T) {
	for _, reports := range []bool{false, true} {
		w := &scaleWorld{core: NewCore(), now: time.Unix(1e9, 0)}
		w.step(Configured{Config{BatchSize: 1, Patience: time.Hour, ReportFailures: reports}})
		end := func(outcome Outcome) {
			over := w.running[0]
			w.running = w.running[1:]
			w.step(Invoked{Number: over.number, Outcome: outcome})
		}
		for range 8 {
			end(Failed)
		}
		want := 1
		if reports {
			want = scaleFirst
		}
		if len(w.running) != want {
			t.Errorf("partial responses %v: %d run after failures, want %d", reports, len(w.running), want)
		}
		for range 20 {
			end(Succeeded)
		}
		if len(w.running) != scaleFirst {
			t.Errorf("partial responses %v: %d run after it succeeded again", reports, len(w.running))
		}
	}
}

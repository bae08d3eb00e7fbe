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
	running []int
}

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
				w.running = append(w.running, f.Batch.Number)
			}
		}
	}
}

// at lets time pass while no batch ends, and tells how many run.
func (w *scaleWorld) at(d time.Duration) int {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(100 * time.Millisecond)
		w.step(Tick{})
	}
	return len(w.running)
}

// TestScale: a standard queue's batches begin with five at once and are 300 a minute more, up to 1,000; those
// of a FIFO queue are as many as it gives out.
func TestScale(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		want   []int // at once, after a minute, after five
	}{
		"standard":            {Config{BatchSize: 1, Patience: time.Hour}, []int{5, 304, 1000}}, // a tick passes until it is seen that five run
		"maximum concurrency": {Config{BatchSize: 1, Patience: time.Hour, Concurrency: 20}, []int{5, 20, 20}},
		"two at most":         {Config{BatchSize: 1, Patience: time.Hour, Concurrency: 2}, []int{2, 2, 2}},
		"FIFO":                {Config{BatchSize: 1, Patience: time.Hour, FIFO: true}, []int{1000, 1000, 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &scaleWorld{core: NewCore(), now: time.Unix(1e9, 0)}
			w.step(Configured{tc.config})
			for i, d := range []time.Duration{0, time.Minute, 4 * time.Minute} {
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

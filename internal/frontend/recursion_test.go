package frontend

import (
	"context"
	"errors"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
)

type loops map[string]bool

func (l loops) Get(key record.Qualified) (*record.Recursion, bool) {
	allow, ok := l[key.ID.Name]
	return &record.Recursion{Allow: allow}, ok && key.Qualifier == record.Latest
}

type countingMeter struct {
	unmetered
	recursed int
}

func (m *countingMeter) Recursed(*record.Function) { m.recursed++ }

// TestRecursion calls a function with the trace that it was given, as an SDK inside of it does.
func TestRecursion(t *testing.T) {
	const calls = 40
	for name, tc := range map[string]struct {
		loops Recursions
		want  int
	}{
		"no configuration": {nil, 16},
		"default":          {loops{"another": true}, 16},
		"Terminate":        {loops{"f": false}, 16},
		"Allow":            {loops{"f": true}, calls},
	} {
		f, i := setUp(t, 0)
		meter := &countingMeter{}
		f.loops, f.meter = tc.loops, meter
		call, ran := newCall(), 0
		for ; ran < calls; ran++ {
			_, err := f.Invoke(context.Background(), call, request("f:1", nil))
			var stopped *api.RecursiveInvocationException
			if errors.As(err, &stopped) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			call = newCall()
			call.TraceID = i.in.TraceID
		}
		if ran != tc.want || meter.recursed != min(1, calls-ran) {
			t.Errorf("%s: it ran %d times, want %d; the meter counts %d", name, ran, tc.want, meter.recursed)
		}
	}
}

// TestEventsKeepTheirLineage: an event that waits is counted when it runs, and each attempt alike.
func TestEventsKeepTheirLineage(t *testing.T) {
	f, i := setUp(t, 0)
	call := newCall()
	call.TraceID = "Root=1-a-b;Sampled=0;Lineage=a87bd80c:1"
	if _, err := f.Invoke(context.Background(), call, request("f", func(in *api.InvocationRequest) { in.InvocationType = new(string); *in.InvocationType = "Event" })); err != nil {
		t.Fatal(err)
	}
	if got := i.events.accepted[0].TraceID; got != call.TraceID {
		t.Errorf("the event carries %q", got)
	}
}

package worker_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/worker"
)

// busyHandler has a thread that never rests, and tells how far it has come.
const busyHandler = `
import threading
turns = 0
def spin():
    global turns
    while True:
        turns += 1
threading.Thread(target=spin, daemon=True).start()
def handler(event, context):
    return turns
`

// TestIdleEnvironmentUsesNoCPU: after the quiet time a function that would compute for ever uses
// nothing, by its control group's own count; the next invoke finds it running again.
func TestIdleEnvironmentUsesNoCPU(t *testing.T) {
	h := newPythonHost(t, busyHandler)
	e, err := h.Start(context.Background(), worker.StartSpec{Function: h.function()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Destroy()
	turns := func() int {
		t.Helper()
		res := e.Invoke(invocation(`{}`))
		for res.NotReady && e.Settle() { // its thread has the processor share
			res = e.Invoke(invocation(`{}`))
		}
		n, err := strconv.Atoi(string(res.Payload))
		if err != nil {
			t.Fatalf("%s\n%s", res.Payload, h.logs.Text())
		}
		return n
	}
	cpu := func() time.Duration {
		t.Helper()
		used, err := e.CPU(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	for round := range 2 {
		first := turns()
		eventually(t, "its thread does not run", func() bool { return turns() > first })
		eventually(t, "it is not frozen", e.Frozen)
		before := cpu()
		time.Sleep(time.Second)
		if used := cpu() - before; used != 0 || before == 0 || !e.Frozen() {
			t.Errorf("round %d: an idle environment used %v in a second, after %v", round, used, before)
		}
	}
}

package worker_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/worker/workertest"
)

// TestInitHasAWholeCore: INIT runs with a core whatever the memory, invokes with the
// share that the memory stands for.
func TestInitHasAWholeCore(t *testing.T) {
	for _, tc := range []struct {
		memoryMiB int
		start     int
		after     []int
	}{
		{128, 1000, []int{72}},
		{1769, 1000, nil},
		{3538, 2000, nil},
	} {
		h := newHost(t, workertest.Runtime(func(p *workertest.Proc, _ *workertest.Event) workertest.Answer {
			b, _ := json.Marshal(p.Spec.Limits)
			return workertest.Answer{Payload: b}
		}), nil)
		fn := workertest.Function("f")
		fn.MemoryMiB = tc.memoryMiB
		var limits sandbox.Limits
		if err := json.Unmarshal(h.start(t, fn).Invoke(invocation("{}")).Payload, &limits); err != nil {
			t.Fatal(err)
		}
		if limits.CPUMilli != tc.start {
			t.Errorf("%d MiB: INIT starts with %d thousandths of a core, want %d", tc.memoryMiB, limits.CPUMilli, tc.start)
		}
		eventually(t, "the share is not the function's own", func() bool { return slices.Equal(h.driver.Shares(), tc.after) })
	}
}

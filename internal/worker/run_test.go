package worker

import (
	"testing"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// TestMaxMemory: what a function used is told as AWS tells it, never above its memory; where nothing holds it to that,
// as it is.
func TestMaxMemory(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		name  string
		usage sandbox.Usage
		oom   bool
		want  int
	}{
		{"begun MiB count", sandbox.Usage{MemoryPeakBytes: 36*mib + 1}, false, 37},
		{"process 1 does not count", sandbox.Usage{MemoryPeakBytes: 129 * mib}, false, 128},
		{"out of memory", sandbox.Usage{MemoryPeakBytes: 127 * mib}, true, 128},
		{"not enforced", sandbox.Usage{MemoryPeakBytes: 320 * mib, Unenforced: []string{"cpu", "memory"}}, false, 320},
		{"another limit is not enforced", sandbox.Usage{MemoryPeakBytes: 320 * mib, Unenforced: []string{"cpu"}}, false, 128},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run := invokeRun{env: &Environment{fn: &record.Function{}}, oom: tc.oom}
			run.env.fn.MemoryMiB, run.env.usage = 128, tc.usage
			if got := run.maxMemoryMiB(); got != tc.want {
				t.Errorf("%d MiB, want %d", got, tc.want)
			}
		})
	}
}

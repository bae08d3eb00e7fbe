package node

import (
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/metering"
	"github.com/lambdad/lambdad/internal/worker"
)

// TestWhatHasAPrice holds what of an invoke costs nothing: 512 MB of /tmp, the first 6 MB of a
// streamed answer, and the restores of Java.
func TestWhatHasAPrice(t *testing.T) {
	for name, tc := range map[string]struct {
		in   worker.Metered
		want metering.Usage
	}{
		"plain": {worker.Metered{Runtime: "python3.12", Billed: 10 * time.Millisecond, MemoryMiB: 128, TmpMiB: 512, BytesOut: 7 << 20},
			metering.Usage{BilledMS: 10, MemoryMS: 1280, BytesOut: 7 << 20}},
		"a larger /tmp": {worker.Metered{Runtime: "python3.12", Billed: 10 * time.Millisecond, MemoryMiB: 128, TmpMiB: 513},
			metering.Usage{BilledMS: 10, MemoryMS: 1280, StorageMS: 10}},
		"a short stream": {worker.Metered{Runtime: "nodejs22.x", TmpMiB: 512, BytesOut: 6 << 20, Streamed: 6 << 20},
			metering.Usage{BytesOut: 6 << 20}},
		"a long stream": {worker.Metered{Runtime: "nodejs22.x", TmpMiB: 512, BytesOut: 6<<20 + 1, Streamed: 6<<20 + 1},
			metering.Usage{BytesOut: 6<<20 + 1, StreamedBytes: 1}},
		"Python restored": {worker.Metered{Runtime: "python3.12", TmpMiB: 512, MemoryMiB: 256, Restore: time.Millisecond},
			metering.Usage{Restores: 1, RestoreUS: 1000, RestoreMiB: 256}},
		"Java restored": {worker.Metered{Runtime: "java21", TmpMiB: 512, MemoryMiB: 256, Restore: time.Millisecond},
			metering.Usage{Restores: 1, RestoreUS: 1000}},
		"kept ready": {worker.Metered{Runtime: "python3.12", TmpMiB: 512, MemoryMiB: 256, Billed: time.Millisecond, Provisioned: true},
			metering.Usage{BilledMS: 1, MemoryMS: 256, ProvisionedRunMS: 256}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Status = worker.StatusSuccess
			tc.want.Requests = 1
			if got := usageOf(&tc.in); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

package node

import (
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/telemetry/metering"
	"github.com/lambdad/lambdad/internal/worker"
)

// tmpFreeMiB of ephemeral storage cost nothing. Source: AWS Lambda pricing, "Lambda
// Ephemeral Storage Pricing".
const tmpFreeMiB = 512

// streamFreeBytes of each streamed answer cost nothing. Source: AWS Lambda pricing, "HTTP
// Response Stream": the first 6 MB of each request.
const streamFreeBytes = 6 << 20

// usageMeter is worker's and frontend's door to metering, and to the node's own metrics.
type usageMeter struct {
	metrics *invokeMetrics
	usage   *metering.Meter
}

// Invoked implements worker.Meter.
func (u *usageMeter) Invoked(m worker.Metered) {
	u.metrics.Invoked(m)
	usage := usageOf(&m)
	u.usage.Add(metering.Key{
		Account: m.Function.Account, Region: m.Function.Region, Function: m.Function.Name,
		Version: m.Version, Tenant: m.TenantID, Architecture: m.Architecture,
	}, &usage)
}

// usageOf is what an invoke counts for.
func usageOf(m *worker.Metered) metering.Usage {
	ms := m.Billed.Milliseconds()
	usage := metering.Usage{
		Requests:  1,
		BilledMS:  ms,
		MemoryMS:  ms * int64(m.MemoryMiB),
		StorageMS: ms * int64(max(0, m.TmpMiB-tmpFreeMiB)),
		InitUS:    m.Init.Microseconds(),
		CPUUS:     m.CPU.Microseconds(),
		BytesOut:  int64(m.BytesOut),
		PeakMiB:   int64(m.MaxMemoryMiB),

		StreamedBytes: max(0, m.Streamed-streamFreeBytes),
	}
	if m.Provisioned {
		usage.ProvisionedRunMS = usage.MemoryMS
	}
	if m.Init > 0 {
		usage.Inits = 1
	}
	if m.Restore > 0 {
		usage.Restores, usage.RestoreUS = 1, m.Restore.Microseconds()
		// Source: AWS Lambda pricing, "SnapStart Pricing": Java's costs nothing more.
		if !strings.HasPrefix(m.Runtime, "java") {
			usage.RestoreMiB = int64(m.MemoryMiB)
		}
	}
	if m.Status != worker.StatusSuccess {
		usage.Errors = 1
	}
	return usage
}

// Provisioned implements assignment.ProvisionMeter.
func (u *usageMeter) Provisioned(fn *record.Function, kept time.Duration) {
	u.usage.Add(usageKey(fn, ""), &metering.Usage{ProvisionedMS: kept.Milliseconds() * int64(fn.MemoryMiB)})
}

// Began implements frontend.Meter.
func (u *usageMeter) Began(fn *record.Function, tenantID string) {
	u.usage.Began(usageKey(fn, tenantID), fn.MemoryMiB)
}

// Ended implements frontend.Meter.
func (u *usageMeter) Ended(fn *record.Function, tenantID string) {
	u.usage.Ended(usageKey(fn, tenantID), fn.MemoryMiB)
}

// Throttled implements frontend.Meter.
func (u *usageMeter) Throttled(fn *record.Function, tenantID string) {
	u.usage.Throttled(usageKey(fn, tenantID))
}

// Recursed implements frontend.Meter.
func (u *usageMeter) Recursed(fn *record.Function) { u.metrics.recursed.Inc() }

func usageKey(fn *record.Function, tenantID string) metering.Key {
	return metering.Key{
		Account: fn.ID.Account, Region: fn.ID.Region, Function: fn.ID.Name,
		Version: fn.Version, Tenant: tenantID, Architecture: fn.Architecture,
	}
}

// usageSince is where a report begins that names no time: the month, as a bill does.
func usageSince(now time.Time) time.Time {
	y, m, _ := now.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// Package metering owns what functions consume: it adds up the figures of every invoke in
// memory, keeps them durably as roll-ups of a minute, an hour and a day, and reads them back
// for a bill. It is in telemetry because it is something observed of a function and kept
// through store, as log lines are, and because both the worker's side and the front's side
// feed it from above. It must never import worker, frontend or a room that
// decides anything: metering watches, and an invoke must not depend on it.
//
// What a crash costs. Counters reach the disk once a second and at an orderly stop, so
// `kill -9` or a power cut loses at most the last flushEvery of usage, and whatever it loses
// was consumed and not billed. Nothing is ever counted twice: each process
// writes records of its own, each holding the sum since its minute began, so that
// writing one again changes nothing.
package metering

import (
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Key is what usage is told apart by.
type Key struct {
	Account      aws.AccountID `json:"account"`
	Region       aws.Region    `json:"region"`
	Function     string        `json:"function"`
	Version      string        `json:"version"`
	Tenant       string        `json:"tenant,omitempty"`
	Architecture string        `json:"architecture"`
}

// OtherTenants stands for all tenants beyond tenantsMax. A tenant id cannot
// contain an asterisk.
const OtherTenants = "*"

// Usage is what was consumed under one key. All but the peaks add up; memory times time is in
// MiB milliseconds and storage is what exceeds the 512 MiB that cost nothing, so
// that a bill is exact.
type Usage struct {
	Requests  int64 `json:"requests,omitempty"`
	Errors    int64 `json:"errors,omitempty"`    // of the function: unhandled, timed out, crashed
	Throttles int64 `json:"throttles,omitempty"` // refused with 429; no request
	BilledMS  int64 `json:"billedMs,omitempty"`
	MemoryMS  int64 `json:"memoryMiBMs,omitempty"`  // memory size x billed
	StorageMS int64 `json:"storageMiBMs,omitempty"` // ephemeral storage over 512 MiB x billed
	// ProvisionedMS is memory size x time of environments that were kept by provisioned
	// concurrency, and ProvisionedRunMS the part of MemoryMS that ran in them.
	ProvisionedMS    int64 `json:"provisionedMiBMs,omitempty"`
	ProvisionedRunMS int64 `json:"provisionedRunMiBMs,omitempty"`
	Inits            int64 `json:"inits,omitempty"`
	InitUS           int64 `json:"initUs,omitempty"`
	Restores         int64 `json:"restores,omitempty"`
	RestoreUS        int64 `json:"restoreUs,omitempty"`
	RestoreMiB       int64 `json:"restoreMiB,omitempty"` // memory size of what was restored, where that has a price
	CPUUS            int64 `json:"cpuUs,omitempty"`
	BytesOut         int64 `json:"bytesOut,omitempty"`
	StreamedBytes    int64 `json:"streamedBytes,omitempty"` // of BytesOut, what was streamed beyond each answer's first 6 MB

	PeakMiB        int64 `json:"peakMiB,omitempty"`        // the most that one environment used
	PeakRunning    int64 `json:"peakRunning,omitempty"`    // the most invokes at once
	PeakRunningMiB int64 `json:"peakRunningMiB,omitempty"` // the most memory of running invokes at once
}

// Add takes more usage.
func (u *Usage) Add(o *Usage) {
	u.Requests += o.Requests
	u.Errors += o.Errors
	u.Throttles += o.Throttles
	u.BilledMS += o.BilledMS
	u.MemoryMS += o.MemoryMS
	u.StorageMS += o.StorageMS
	u.ProvisionedMS += o.ProvisionedMS
	u.ProvisionedRunMS += o.ProvisionedRunMS
	u.Inits += o.Inits
	u.InitUS += o.InitUS
	u.Restores += o.Restores
	u.RestoreUS += o.RestoreUS
	u.RestoreMiB += o.RestoreMiB
	u.CPUUS += o.CPUUS
	u.BytesOut += o.BytesOut
	u.StreamedBytes += o.StreamedBytes
	u.PeakMiB = max(u.PeakMiB, o.PeakMiB)
	u.PeakRunning = max(u.PeakRunning, o.PeakRunning)
	u.PeakRunningMiB = max(u.PeakRunningMiB, o.PeakRunningMiB)
}

// Entry is the usage of one key in one span.
type Entry struct {
	Start time.Time     `json:"start"`
	Span  time.Duration `json:"span"`
	Key   Key           `json:"key"`
	Usage Usage         `json:"usage"`
}

// IsAccount reports whether the entry is an account's as a whole: only the peaks of all its
// functions together, which no sum over functions tells.
func (k Key) IsAccount() bool { return k.Function == "" }

package platform

import "github.com/lambdad/lambdad/internal/aws"

// Events of an invoke. Source: as phases.go, and "Lambda Logs API", Platform logs.

// Start says that an invoke has begun.
type Start struct {
	RequestID   aws.RequestID `json:"requestId"`
	FunctionARN string        `json:"functionArn,omitempty"`
	Version     string        `json:"version"`
	TenantID    string        `json:"tenantId,omitempty"`
	Tracing     *Tracing      `json:"tracing,omitempty"`
}

// Tracing is an invoke's place in a trace.
type Tracing struct {
	SpanID string `json:"spanId,omitempty"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

// Type implements Record.
func (Start) Type() string { return "platform.start" }

func (r Start) in(s Schema) any {
	if s != Telemetry20250129 {
		r.FunctionARN, r.TenantID = "", ""
	}
	if s.Logs() {
		r.Tracing = nil
	}
	return r
}

// RuntimeDone says that the runtime is done with an invoke.
type RuntimeDone struct {
	RequestID aws.RequestID `json:"requestId"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType,omitempty"`
	Metrics   DoneMetrics   `json:"metrics"`
	Spans     []Span        `json:"spans,omitempty"`
	TenantID  string        `json:"tenantId,omitempty"`
	Tracing   *Tracing      `json:"tracing,omitempty"`
}

// DoneMetrics tell how long the runtime had an invoke and how many bytes it answered.
type DoneMetrics struct {
	DurationMs    Millis `json:"durationMs"`
	ProducedBytes int    `json:"producedBytes"`
}

// Span is a part of an event's time.
type Span struct {
	Name       string `json:"name"`
	Start      string `json:"start"`
	DurationMs Millis `json:"durationMs"`
}

// Names of the spans of a RuntimeDone, and of a Report. Source: Lambda developer guide, "Telemetry API Event
// schema reference", Span; AWS's published runtime interface code for the last one.
const (
	SpanResponseLatency  = "responseLatency"
	SpanResponseDuration = "responseDuration"
	SpanRuntimeOverhead  = "runtimeOverhead"

	SpanExtensionOverhead = "extensionOverhead"
)

// Type implements Record.
func (RuntimeDone) Type() string { return "platform.runtimeDone" }

func (r RuntimeDone) in(s Schema) any {
	switch s {
	case Logs20200815:
		return nil
	case Logs20210318:
		status := r.Status
		if status == "error" {
			status = "failure" // its statuses are success, failure and timeout
		}
		return struct {
			RequestID aws.RequestID `json:"requestId"`
			Status    string        `json:"status"`
		}{r.RequestID, status}
	case Telemetry20250129:
	default:
		r.TenantID = ""
	}
	return r
}

// Report sums an invoke up.
type Report struct {
	RequestID aws.RequestID `json:"requestId"`
	Metrics   ReportMetrics `json:"metrics"`
	Spans     []Span        `json:"spans,omitempty"`
	Status    string        `json:"status,omitempty"`
	ErrorType string        `json:"errorType,omitempty"`
	TenantID  string        `json:"tenantId,omitempty"`
	Tracing   *Tracing      `json:"tracing,omitempty"`
}

// ReportMetrics are what the REPORT line tells.
type ReportMetrics struct {
	DurationMs       Millis  `json:"durationMs"`
	BilledDurationMs int64   `json:"billedDurationMs"`
	MemorySizeMB     int     `json:"memorySizeMB"`
	MaxMemoryUsedMB  int     `json:"maxMemoryUsedMB"`
	InitDurationMs   *Millis `json:"initDurationMs,omitempty"`
	RestoreMs        *Millis `json:"restoreDurationMs,omitempty"`
	BilledRestoreMs  *int64  `json:"billedRestoreDurationMs,omitempty"`
}

// Type implements Record.
func (Report) Type() string { return "platform.report" }

func (r Report) in(s Schema) any {
	if s != Telemetry20250129 {
		r.TenantID = ""
	}
	if s.Logs() {
		r.Status, r.ErrorType, r.Spans = "", "", nil
	}
	return r
}

// End says that an invoke is over; the Telemetry API has runtimeDone and report instead.
type End struct {
	RequestID aws.RequestID `json:"requestId"`
}

// Type implements Record.
func (End) Type() string { return "platform.end" }

func (r End) in(s Schema) any { return logsOnly(s, r) }

// Fault is the text of what went wrong on the platform's side; the Telemetry API tells it in the
// status and the error type of the others.
type Fault string

// Type implements Record.
func (Fault) Type() string { return "platform.fault" }

func (r Fault) in(s Schema) any { return logsOnly(s, r) }

func logsOnly(s Schema, r any) any {
	if !s.Logs() {
		return nil
	}
	return r
}

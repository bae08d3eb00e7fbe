package worker

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// millis is a metric of a platform event: three decimals at most.
type millis time.Duration

func (m millis) MarshalJSON() ([]byte, error) {
	v := math.Round(float64(m)/1000) / 1000
	b := strconv.AppendFloat(nil, v, 'f', -1, 64)
	if v == math.Trunc(v) {
		b = append(b, ".0"...) // as AWS writes them: 5000.0
	}
	return b, nil
}

// platformEvent is one system log event in JSON. Source: Lambda developer guide,
// "Telemetry API Event schema reference".
type platformEvent struct {
	Time   string `json:"time"`
	Type   string `json:"type"`
	Record any    `json:"record"`
}

func platformJSON(now time.Time, kind string, rec any) []byte {
	b, err := json.Marshal(platformEvent{Time: now.UTC().Format(isoMillis), Type: kind, Record: rec})
	if err != nil {
		panic("worker: a platform event that cannot be JSON: " + err.Error())
	}
	return b
}

type initStartRecord struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	RuntimeVersion     string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN  string `json:"runtimeVersionArn,omitempty"`
	FunctionName       string `json:"functionName"`
	FunctionVersion    string `json:"functionVersion"`
}

type initDoneRecord struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	Status             string `json:"status"`
	ErrorType          string `json:"errorType,omitempty"`
}

type initReportRecord struct {
	InitializationType string      `json:"initializationType"`
	Phase              string      `json:"phase"`
	Status             string      `json:"status"`
	ErrorType          string      `json:"errorType,omitempty"`
	Metrics            initMetrics `json:"metrics"`
}

type initMetrics struct {
	DurationMs millis `json:"durationMs"`
}

type startRecord struct {
	RequestID   aws.RequestID  `json:"requestId"`
	FunctionARN string         `json:"functionArn"`
	Version     string         `json:"version"`
	TenantID    string         `json:"tenantId,omitempty"`
	Tracing     *tracingRecord `json:"tracing,omitempty"`
}

type tracingRecord struct {
	SpanID string `json:"spanId,omitempty"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

type runtimeDoneRecord struct {
	RequestID aws.RequestID  `json:"requestId"`
	Status    string         `json:"status"`
	ErrorType string         `json:"errorType,omitempty"`
	Metrics   doneMetrics    `json:"metrics"`
	TenantID  string         `json:"tenantId,omitempty"`
	Tracing   *tracingRecord `json:"tracing,omitempty"`
}

type doneMetrics struct {
	DurationMs    millis `json:"durationMs"`
	ProducedBytes int    `json:"producedBytes"`
}

type reportRecord struct {
	RequestID aws.RequestID  `json:"requestId"`
	Metrics   reportMetrics  `json:"metrics"`
	Status    string         `json:"status"`
	ErrorType string         `json:"errorType,omitempty"`
	TenantID  string         `json:"tenantId,omitempty"`
	Tracing   *tracingRecord `json:"tracing,omitempty"`
}

type reportMetrics struct {
	DurationMs       millis  `json:"durationMs"`
	BilledDurationMs int64   `json:"billedDurationMs"`
	MemorySizeMB     int     `json:"memorySizeMB"`
	MaxMemoryUsedMB  int     `json:"maxMemoryUsedMB"`
	InitDurationMs   *millis `json:"initDurationMs,omitempty"`
	RestoreMs        *millis `json:"restoreDurationMs,omitempty"`
	BilledRestoreMs  *int64  `json:"billedRestoreDurationMs,omitempty"`
}

type restoreStartRecord struct {
	FunctionName      string `json:"functionName"`
	FunctionVersion   string `json:"functionVersion"`
	RuntimeVersion    string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN string `json:"runtimeVersionArn,omitempty"`
}

type restoreDoneRecord struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType,omitempty"`
}

type restoreReportRecord struct {
	Status    string      `json:"status"`
	ErrorType string      `json:"errorType,omitempty"`
	Metrics   initMetrics `json:"metrics"`
}

package worker

import (
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

const (
	logFormatJSON = "JSON"
	isoMillis     = "2006-01-02T15:04:05.000Z"
)

// Values of AWS_LAMBDA_INITIALIZATION_TYPE. Source: Lambda developer guide, "Defined runtime
// environment variables".
const (
	initializationOnDemand    = "on-demand"
	initializationProvisioned = "provisioned-concurrency"
	initializationSnapStart   = "snap-start"
)

// Phases of an INIT as INIT_REPORT and platform.initReport name them.
const (
	phaseInit   = "init"
	phaseInvoke = "invoke" // INIT run again inside the first invoke
)

// Statuses of an INIT or an invoke. Source: Lambda developer guide, "Telemetry
// API Event schema reference", Status.
const (
	StatusSuccess = "success"
	StatusError   = "error"   // the runtime answered with an error
	StatusFailure = "failure" // the runtime ended, or broke a bound
	StatusTimeout = "timeout"
)

// logStreamOf names a new environment's log stream. Source: Lambda developer
// guide, "Sending Lambda function logs to CloudWatch Logs"; with a group of
// the user's own the function's name comes in, because functions can share it.
func logStreamOf(fn *record.Function, now time.Time) telemetry.LogStreamID {
	id := telemetry.LogStreamID{Account: fn.ID.Account, Region: fn.ID.Region, Group: fn.Logging.Group}
	own := "/aws/lambda/" + fn.ID.Name
	name := ""
	if id.Group == "" {
		id.Group = own
	} else if id.Group != own {
		name = fn.ID.Name
	}
	id.Stream = now.UTC().Format("2006/01/02/") + name + "[" + fn.Version + "]" + randomHex(16)
	return id
}

// report is everything that the REPORT line tells.
type report struct {
	requestID    aws.RequestID
	duration     time.Duration
	init         time.Duration // 0: none in this invoke
	restore      restoreTook
	initBilled   bool // false for an environment that was provisioned
	memoryMiB    int
	maxMemoryMiB int
	status       string
	errorType    string
	// showStatus: plain text tells a status for what the platform saw, not for an
	// error that the handler returned.
	showStatus bool
	trace      trace
	// began, outcome and runtimeNext are for the spans of platform.runtimeDone.
	began       time.Time
	outcome     *runtimeapi.Outcome // nil: none
	runtimeNext time.Time           // when the runtime asked for the next one; zero: not known
	extensions  time.Duration       // how long extensions worked on then
}

// billed is the duration AWS bills: INIT and invoke in whole milliseconds,
// rounded up. Source: AWS Compute Blog, "AWS Lambda standardizes billing for
// INIT phase" (August 2025). The first REPORT of a provisioned environment names its
// INIT too, which provisioning has paid for.
func (r *report) billed() time.Duration {
	total := r.duration
	if r.initBilled {
		total += r.init
	}
	total += r.restore.billed
	return ceilMillis(total)
}

// metrics are what a platform event tells of it.
func (r *report) metrics() platform.ReportMetrics {
	m := platform.ReportMetrics{
		DurationMs: platform.Millis(r.duration), BilledDurationMs: int64(r.billed() / time.Millisecond), MemorySizeMB: r.memoryMiB, MaxMemoryUsedMB: r.maxMemoryMiB,
	}
	if r.restore.whole > 0 {
		whole, billed := platform.Millis(r.restore.whole), int64(ceilMillis(r.restore.billed)/time.Millisecond)
		m.RestoreMs, m.BilledRestoreMs = &whole, &billed
	}
	if r.init > 0 {
		d := platform.Millis(r.init)
		m.InitDurationMs = &d
	}
	return m
}

func ceilMillis(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1) / time.Millisecond * time.Millisecond
}

// textLines writes the platform's lines as plain text, byte for byte as AWS
// does. Source: recorded log events; each ends as shown, with the tabs.
type textLines struct{}

func (textLines) initStart(b []byte, rt Runtime) []byte {
	b = append(b, "INIT_START Runtime Version: "...)
	b = append(b, rt.Version...)
	b = append(b, "\tRuntime Version ARN: "...)
	b = append(b, rt.VersionARN...)
	return append(b, '\n')
}

func (textLines) initReport(b []byte, took time.Duration, phase, status, errorType string) []byte {
	b = append(b, "INIT_REPORT Init Duration: "...)
	b = appendMillis(b, took)
	b = append(b, " ms\tPhase: "...)
	b = append(b, phase...)
	b = append(b, "\tStatus: "...)
	b = append(b, textStatus(status)...)
	if errorType != "" {
		b = append(b, "\tError Type: "...)
		b = append(b, errorType...)
	}
	return append(b, '\n')
}

func (textLines) restoreStart(b []byte, rt Runtime) []byte {
	b = append(b, "RESTORE_START Runtime Version: "...)
	b = append(b, rt.Version...)
	b = append(b, "\tRuntime Version ARN: "...)
	b = append(b, rt.VersionARN...)
	return append(b, '\n')
}

func (textLines) restoreReport(b []byte, took time.Duration, status, errorType string) []byte {
	b = append(b, "RESTORE_REPORT Restore Duration: "...)
	b = appendMillis(b, took)
	b = append(b, " ms"...)
	if status != StatusSuccess {
		b = append(b, "\tStatus: "...)
		b = append(b, textStatus(status)...)
	}
	if errorType != "" {
		b = append(b, "\tError Type: "...)
		b = append(b, errorType...)
	}
	return append(b, '\n')
}

func (textLines) start(b []byte, id aws.RequestID, version string) []byte {
	b = append(b, "START RequestId: "...)
	b = append(b, id...)
	b = append(b, " Version: "...)
	b = append(b, version...)
	return append(b, '\n')
}

func (textLines) end(b []byte, id aws.RequestID) []byte {
	b = append(b, "END RequestId: "...)
	b = append(b, id...)
	return append(b, '\n')
}

// report ends with a tab only if no Status follows; X-Ray's part is a second
// line of the same event.
func (textLines) report(b []byte, r *report) []byte {
	b = append(b, "REPORT RequestId: "...)
	b = append(b, r.requestID...)
	b = append(b, "\tDuration: "...)
	b = appendMillis(b, r.duration)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendInt(b, int64(r.billed()/time.Millisecond), 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(r.memoryMiB), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, int64(r.maxMemoryMiB), 10)
	b = append(b, " MB\t"...)
	if r.init > 0 {
		b = append(b, "Init Duration: "...)
		b = appendMillis(b, r.init)
		b = append(b, " ms\t"...)
	}
	if r.restore.whole > 0 {
		b = append(b, "Restore Duration: "...)
		b = appendMillis(b, r.restore.whole)
		b = append(b, " ms\tBilled Restore Duration: "...)
		b = strconv.AppendInt(b, int64(ceilMillis(r.restore.billed)/time.Millisecond), 10)
		b = append(b, " ms\t"...)
	}
	if r.showStatus {
		b = append(b, "Status: "...)
		b = append(b, textStatus(r.status)...)
		if r.errorType != "" {
			b = append(b, "\tError Type: "...)
			b = append(b, r.errorType...)
		}
	}
	b = append(b, '\n')
	if r.trace.sampled {
		b = append(b, "XRAY TraceId: "...)
		b = append(b, r.trace.root...)
		b = append(b, "\tSegmentId: "...)
		b = append(b, r.trace.segment...)
		b = append(b, "\tSampled: true\t\n"...)
	}
	return b
}

// timedOut is the event between START and END of an invoke that ran out of
// time; an empty line belongs to it.
func (textLines) timedOut(b []byte, now time.Time, id aws.RequestID, timeout time.Duration) []byte {
	b = now.UTC().AppendFormat(b, isoMillis)
	b = append(b, ' ')
	b = append(b, id...)
	b = append(b, " Task timed out after "...)
	b = appendSeconds(b, timeout)
	return append(b, " seconds\n\n"...)
}

func (textLines) failed(b []byte, id aws.RequestID, text, errorType string) []byte {
	b = append(b, "RequestId: "...)
	b = append(b, id...)
	b = append(b, " Error: "...)
	b = append(b, text...)
	b = append(b, '\n')
	b = append(b, errorType...)
	return append(b, '\n')
}

// textStatus: the plain-text lines know no "failure".
func textStatus(s string) string {
	if s == StatusFailure {
		return StatusError
	}
	return s
}

// appendMillis writes milliseconds with two decimals, e.g. 3.01.
func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', 2, 64)
}

// Levels, most detailed first.
var levels = map[string]int{"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "ERROR": 4, "FATAL": 5}

const levelDefault = "INFO" // Source: Lambda developer guide, "Log-level filtering".

func systemLevelOf(l record.Logging) int {
	if v, ok := levels[l.SystemLevel]; ok {
		return v
	}
	return levels[levelDefault]
}

func applicationLevelOf(l record.Logging) string {
	if _, ok := levels[l.ApplicationLevel]; ok {
		return l.ApplicationLevel
	}
	return levelDefault
}

package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/telemetry"
	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

const (
	// eventBytesMax is the longest message of one log event: longer lines become
	// several events. Source: CloudWatch Logs quotas, "Log event size" 256 KB,
	// which counts 26 bytes of its own for each event.
	eventBytesMax = 256<<10 - 26
	// sinkWait bounds how long a full sink stops a program: a disk that stays full must not
	// stop invokes for good. sinkWaitAgain is the bound once lines were lost.
	sinkWait      = 10 * time.Second
	sinkWaitAgain = 50 * time.Millisecond
	// tailBytesMax: "the last 4 KB of the execution log". Source: Lambda API, Invoke, LogResult.
	tailBytesMax = 4 << 10
)

// envLog is one environment's log stream. Its lock orders the platform's lines
// and the program's output; Append waiting for room holds the lock, so a flood
// slows down the program that makes it and nothing else.
type envLog struct {
	sink telemetry.LogSink
	log  *slog.Logger
	id   telemetry.LogStreamID
	json bool
	// systemLevel and applicationLevel filter only in JSON format.
	systemLevel      int
	applicationLevel int
	arn              string
	name             string
	version          string
	initialization   string // how the environment came to be
	tenant           string // whom the environment serves; "" for everybody

	mu      sync.Mutex
	partial []byte // the last line's beginning, without its newline
	queued  []telemetry.LogEvent
	line    []byte // scratch
	tail    *tail  // nil unless this invoke asked for it
	over    bool   // the environment's last invoke has its REPORT; later output belongs to none
	// extended: extensions have output of their own in the Shutdown phase.
	extended bool
	lost     bool // the sink refused the last events

	telemetry envTelemetry
}

// tail keeps the last bytes of an invoke's log.
type tail struct{ b []byte }

func (t *tail) add(s string) {
	if t == nil {
		return
	}
	t.b = append(t.b, s...)
	if over := len(t.b) - tailBytesMax; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
}

func newEnvLog(sink telemetry.LogSink, log *slog.Logger, id telemetry.LogStreamID, fn *record.Function) *envLog {
	return &envLog{
		sink:             sink,
		log:              log,
		id:               id,
		json:             fn.Logging.Format == logFormatJSON,
		systemLevel:      systemLevelOf(fn.Logging),
		applicationLevel: levels[applicationLevelOf(fn.Logging)],
		arn:              fn.ID.ARN(),
		name:             fn.ID.Name,
		version:          fn.Version,
		initialization:   initializationOnDemand,
	}
}

func (l *envLog) initStart(rt Runtime, phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	began := platform.InitStart{
		InitializationType: l.initialization, Phase: phase, RuntimeVersion: rt.Version, RuntimeVersionARN: rt.VersionARN,
		FunctionName: l.name, FunctionVersion: l.version,
	}
	l.opened(now, began)
	level := "INFO"
	if rt.Version == "" {
		level = "DEBUG"
	}
	l.platformEvent(now, level, began)
	if !l.json && phase == phaseInit && rt.Version != "" { // an image has none
		l.platform(now, textLines{}.initStart(l.line[:0], rt))
	}
	if rt.Notice != "" && phase == phaseInit {
		l.notice(now, rt.Notice)
	}
	l.send()
}

// initDone ends an INIT's lines. A successful one in the init phase has no line
// of its own in text: REPORT tells its duration.
func (l *envLog) initDone(took time.Duration, phase, status, errorType string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.flushPartial(now)
	if l.events() {
		l.initRuntimeDoneLocked(now, phase, status, errorType)
		level := "DEBUG"
		switch {
		case status != StatusSuccess:
			level = "WARN"
		case l.initialization != initializationOnDemand:
			level = "INFO"
		}
		l.platformEvent(now, level, platform.InitReport{
			InitializationType: l.initialization, Phase: phase, Status: status, ErrorType: errorType, Metrics: platform.PhaseMetrics{DurationMs: platform.Millis(took)},
		})
	}
	if !l.json && status != StatusSuccess {
		l.platform(now, textLines{}.initReport(l.line[:0], took, phase, status, errorType))
	}
	l.closed()
	l.send()
}

func (l *envLog) restoreStart(rt Runtime) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	began := platform.RestoreStart{FunctionName: l.name, FunctionVersion: l.version, RuntimeVersion: rt.Version, RuntimeVersionARN: rt.VersionARN}
	l.opened(now, began)
	l.platformEvent(now, "INFO", began)
	if !l.json {
		l.platform(now, textLines{}.restoreStart(l.line[:0], rt))
	}
	l.send()
}

func (l *envLog) restoreDone(took time.Duration, status, errorType string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.flushPartial(now)
	if l.events() {
		done, rep := "DEBUG", "INFO"
		if status != StatusSuccess {
			done, rep = "WARN", "WARN"
		}
		l.platformEvent(now, done, platform.RestoreRuntimeDone{Status: status, ErrorType: errorType})
		l.platformEvent(now, rep, platform.RestoreReport{Status: status, ErrorType: errorType, Metrics: platform.PhaseMetrics{DurationMs: platform.Millis(took)}})
	}
	if !l.json {
		l.platform(now, textLines{}.restoreReport(l.line[:0], took, status, errorType))
	}
	l.closed()
	l.send()
}

// start begins an invoke's lines. wantTail keeps them for LogResult.
func (l *envLog) start(id aws.RequestID, t *trace, wantTail bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.flushPartial(now)
	l.tail = nil
	if wantTail {
		l.tail = &tail{}
	}
	l.telemetry.told = false
	if l.events() {
		l.platformEvent(now, "INFO", platform.Start{RequestID: id, FunctionARN: l.arn, Version: l.version, TenantID: l.tenant, Tracing: t.record()})
	}
	if !l.json {
		l.platform(now, textLines{}.start(l.line[:0], id, l.version))
	}
	l.send()
}

// failure is what went wrong on the platform's side of an invoke.
type failure struct {
	text      string // after "Error: "
	errorType string
	timeout   time.Duration // set: it timed out
}

// end writes what closes an invoke's lines, and returns the tail if it was wanted.
func (l *envLog) end(r *report, f *failure, producedBytes int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.flushPartial(now)
	if l.events() {
		l.runtimeDoneLocked(now, r, producedBytes)
		l.fault(now, r.requestID, f)
		level := "INFO"
		if r.status != StatusSuccess {
			level = "WARN"
		}
		l.platformEvent(now, level, platform.End{RequestID: r.requestID})
		l.platformEvent(now, level, platform.Report{
			RequestID: r.requestID, Metrics: r.metrics(), Status: r.status, ErrorType: r.errorType, TenantID: l.tenant, Tracing: r.trace.record(),
			Spans: r.extensionSpans(),
		})
	}
	if !l.json {
		if text := failureText(l.line[:0], now, r.requestID, f); len(text) > 0 {
			l.platform(now, text)
		}
		l.platform(now, textLines{}.end(l.line[:0], r.requestID))
		l.platform(now, textLines{}.report(l.line[:0], r))
	}
	l.send()
	l.over = f != nil && !l.extended
	if l.tail == nil {
		return nil
	}
	b := l.tail.b
	l.tail = nil
	return b
}

// failureText is the line of what went wrong, if it has one.
func failureText(b []byte, now time.Time, id aws.RequestID, f *failure) []byte {
	switch {
	case f == nil:
	case f.timeout > 0:
		return textLines{}.timedOut(b, now, id, f.timeout)
	case f.text != "":
		return textLines{}.failed(b, id, f.text, f.errorType)
	}
	return nil
}

// write takes what the program wrote: events are lines, split on \n only.
// Source: recorded log events keep \r.
func (l *envLog) write(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeLocked(p)
}

func (l *envLog) writeLocked(p []byte) {
	if l.over {
		return
	}
	now := time.Now()
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.hold(now, p)
			break
		}
		line := p[:i+1]
		p = p[i+1:]
		if len(l.partial) > 0 {
			l.hold(now, line)
			l.flushPartial(now)
			continue
		}
		for len(line) > eventBytesMax {
			l.application(now, string(line[:eventBytesMax]))
			line = line[eventBytesMax:]
		}
		l.application(now, string(line))
	}
	l.send()
}

// hold keeps a line's beginning, and lets full events of it go.
func (l *envLog) hold(now time.Time, p []byte) {
	for len(l.partial)+len(p) > eventBytesMax {
		n := eventBytesMax - len(l.partial)
		l.partial = append(l.partial, p[:n]...)
		l.flushPartial(now)
		p = p[n:]
	}
	l.partial = append(l.partial, p...)
}

func (l *envLog) flushPartial(now time.Time) {
	if len(l.partial) > 0 {
		l.application(now, string(l.partial))
		l.partial = l.partial[:0]
	}
}

// application passes one line of the function's, unless its level is filtered.
func (l *envLog) application(now time.Time, s string) {
	l.applicationLine(now, platform.KindFunction, s)
}

// applicationLine passes a line of the function's or of an extension's. Subscribers get those whose level
// the log group does not. Source: Lambda developer guide, "Log-level filtering": it is of what goes to CloudWatch.
func (l *envLog) applicationLine(now time.Time, kind, s string) {
	filtered := l.json && applicationLevelOfLine(s) < l.applicationLevel
	if filtered && l.telemetry.hub == nil {
		return
	}
	s = strings.ReplaceAll(s, runtimeapi.LogLineJoin, "\n")
	if hub := l.telemetry.hub; hub != nil {
		hub.Line(now, kind, s)
	}
	if !filtered {
		l.emit(now, s)
	}
}

func (l *envLog) platform(now time.Time, line []byte) {
	l.line = line[:0]
	l.emit(now, string(line))
}

// events reports whether anybody wants the platform's events.
func (l *envLog) events() bool { return l.json || l.telemetry.hub != nil }

// platformEvent tells the subscribers, and in JSON format the log group.
func (l *envLog) platformEvent(now time.Time, level string, rec platform.Record) {
	if hub := l.telemetry.hub; hub != nil {
		hub.Event(now, rec)
	}
	if l.json {
		l.systemLog(now, level, rec)
	}
}

// systemLog writes a system event if its level is wanted and log groups have such events. Source: Lambda
// developer guide, "System log level event mapping".
func (l *envLog) systemLog(now time.Time, level string, rec platform.Record) {
	if levels[level] < l.systemLevel {
		return
	}
	b, ok := platform.Event(platform.Latest, now, rec)
	if !ok {
		return
	}
	s := string(b)
	l.queued = append(l.queued, telemetry.LogEvent{Time: now, Message: s})
	l.tail.add(s)
	l.tail.add("\n")
}

// notice is a line of lambdad's own, in the form that the log has.
func (l *envLog) notice(now time.Time, text string) {
	if !l.json {
		l.emit(now, text+"\n")
		return
	}
	b, err := json.Marshal(struct {
		Timestamp string `json:"timestamp"`
		Level     string `json:"level"`
		Message   string `json:"message"`
	}{platform.Time(now), "WARN", text})
	if err != nil {
		panic("worker: three strings that cannot be JSON: " + err.Error())
	}
	l.application(now, string(b)+"\n")
}

func (l *envLog) emit(now time.Time, s string) {
	l.queued = append(l.queued, telemetry.LogEvent{Time: now, Message: s})
	l.tail.add(s)
}

func (l *envLog) send() {
	if len(l.queued) == 0 {
		return
	}
	// The sink may keep the slice, so it is given away.
	events := l.queued
	l.queued = nil
	wait := sinkWait
	if l.lost {
		wait = sinkWaitAgain
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := l.sink.Append(ctx, l.id, events...)
	if err != nil && !l.lost {
		l.log.Error("a function's log lines are lost", "group", l.id.Group, "stream", l.id.Stream, "error", err)
	}
	l.lost = err != nil
}

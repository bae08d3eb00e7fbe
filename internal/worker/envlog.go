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
	events  []telemetry.LogEvent
	line    []byte // scratch
	tail    *tail  // nil unless this invoke asked for it
	over    bool   // the environment's last invoke has its REPORT; later output belongs to none
	// extended: extensions have output of their own in the Shutdown phase.
	extended bool
	lost     bool // the sink refused the last events
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
	if !l.json {
		if phase == phaseInit && rt.Version != "" { // an image has none
			l.platform(now, textLines{}.initStart(l.line[:0], rt))
		}
	} else {
		level := "INFO"
		if rt.Version == "" {
			level = "DEBUG"
		}
		l.platformEvent(now, level, platform.InitStart{
			InitializationType: l.initialization, Phase: phase, RuntimeVersion: rt.Version, RuntimeVersionARN: rt.VersionARN,
			FunctionName: l.name, FunctionVersion: l.version,
		})
	}
	if rt.Notice != "" && phase == phaseInit {
		l.emit(now, rt.Notice+"\n")
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
	switch {
	case l.json:
		level := "DEBUG"
		if status != StatusSuccess {
			level = "WARN"
		}
		l.platformEvent(now, level, platform.InitRuntimeDone{InitializationType: l.initialization, Phase: phase, Status: status, ErrorType: errorType})
		l.platformEvent(now, level, platform.InitReport{
			InitializationType: l.initialization, Phase: phase, Status: status, ErrorType: errorType, Metrics: platform.PhaseMetrics{DurationMs: platform.Millis(took)},
		})
	case status != StatusSuccess:
		l.platform(now, textLines{}.initReport(l.line[:0], took, phase, status, errorType))
	}
	l.send()
}

func (l *envLog) restoreStart(rt Runtime) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.json {
		l.platformEvent(now, "INFO", platform.RestoreStart{FunctionName: l.name, FunctionVersion: l.version, RuntimeVersion: rt.Version, RuntimeVersionARN: rt.VersionARN})
	} else {
		l.platform(now, textLines{}.restoreStart(l.line[:0], rt))
	}
	l.send()
}

func (l *envLog) restoreDone(took time.Duration, status, errorType string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.flushPartial(now)
	if l.json {
		done, rep := "DEBUG", "INFO"
		if status != StatusSuccess {
			done, rep = "WARN", "WARN"
		}
		l.platformEvent(now, done, platform.RestoreRuntimeDone{Status: status, ErrorType: errorType})
		l.platformEvent(now, rep, platform.RestoreReport{Status: status, ErrorType: errorType, Metrics: platform.PhaseMetrics{DurationMs: platform.Millis(took)}})
	} else {
		l.platform(now, textLines{}.restoreReport(l.line[:0], took, status, errorType))
	}
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
	if l.json {
		l.platformEvent(now, "INFO", platform.Start{RequestID: id, FunctionARN: l.arn, Version: l.version, TenantID: l.tenant, Tracing: t.record()})
	} else {
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
	if l.json {
		done, rep := "DEBUG", "INFO"
		if r.status != StatusSuccess {
			done, rep = "WARN", "WARN"
		}
		l.platformEvent(now, done, platform.RuntimeDone{
			RequestID: r.requestID, Status: r.status, ErrorType: r.errorType,
			Metrics:  platform.DoneMetrics{DurationMs: platform.Millis(r.duration), ProducedBytes: producedBytes},
			TenantID: l.tenant, Tracing: r.trace.record(),
		})
		l.platformEvent(now, rep, platform.Report{
			RequestID: r.requestID, Metrics: r.metrics(), Status: r.status, ErrorType: r.errorType, TenantID: l.tenant, Tracing: r.trace.record(),
		})
	} else {
		switch {
		case f == nil:
		case f.timeout > 0:
			l.platform(now, textLines{}.timedOut(l.line[:0], now, r.requestID, f.timeout))
		case f.text != "":
			l.platform(now, textLines{}.failed(l.line[:0], r.requestID, f.text, f.errorType))
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

// application passes one line of the program's, unless its level is filtered.
func (l *envLog) application(now time.Time, s string) {
	if l.json && applicationLevelOfLine(s) < l.applicationLevel {
		return
	}
	l.emit(now, strings.ReplaceAll(s, runtimeapi.LogLineJoin, "\n"))
}

func (l *envLog) platform(now time.Time, line []byte) {
	l.line = line[:0]
	l.emit(now, string(line))
}

// platformEvent writes a system event if its level is wanted. Source: Lambda
// developer guide, "System log level event mapping".
func (l *envLog) platformEvent(now time.Time, level string, rec platform.Record) {
	if levels[level] < l.systemLevel {
		return
	}
	b, _ := platform.Event(platform.Latest, now, rec)
	s := string(b)
	l.events = append(l.events, telemetry.LogEvent{Time: now, Message: s})
	l.tail.add(s)
	l.tail.add("\n")
}

func (l *envLog) emit(now time.Time, s string) {
	l.events = append(l.events, telemetry.LogEvent{Time: now, Message: s})
	l.tail.add(s)
}

func (l *envLog) send() {
	if len(l.events) == 0 {
		return
	}
	// The sink may keep the slice, so it is given away.
	events := l.events
	l.events = nil
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

// applicationLevelOfLine reads the level of a JSON line; anything else is INFO.
// Source: Lambda developer guide, "Log-level filtering": lines without a level
// are given INFO.
func applicationLevelOfLine(s string) int {
	var v struct {
		Level string `json:"level"`
	}
	if len(s) > 0 && s[0] == '{' && json.Unmarshal([]byte(s), &v) == nil {
		level := strings.ToUpper(v.Level)
		switch level {
		case "WARNING":
			level = "WARN"
		case "CRITICAL":
			level = "FATAL"
		}
		if n, ok := levels[level]; ok {
			return n
		}
	}
	return levels[levelDefault]
}

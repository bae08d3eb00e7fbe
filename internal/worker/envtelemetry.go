package worker

import (
	"context"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/runtimeapi/telemetryapi"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// reservedPorts are lambdad's own inside a sandbox. Source: Lambda developer guide, "Specifying a destination
// protocol", for the first; the others are the endpoint and the resolver.
var reservedPorts = []int{9001, 4566, 53}

// flushTelemetryWait bounds how long the end of an environment waits for the delivery of what is left.
const flushTelemetryWait = 300 * time.Millisecond

// envTelemetry is what an environment tells its extensions. The log's lock guards it. Most environments have
// no hub, and then none of it costs anything.
type envTelemetry struct {
	hub *telemetryapi.Hub // nil before the first subscription
	// box is dialled. It is nil before an INIT and after the end.
	box sandbox.Sandbox
	// began is what opened this INIT: those who subscribe later get it, too.
	began   platform.Record
	beganAt time.Time
	inInit  bool
	told    bool // this invoke's runtimeDone has been
	// initTold: so has initRuntimeDone.
	initTold bool
}

// listens says which sandbox extensions subscribe from.
func (l *envLog) listens(box sandbox.Sandbox) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.telemetry.box = box
}

// Subscribe implements runtimeapi.Telemetry.
func (l *envLog) Subscribe(api telemetryapi.API, extension string, body []byte) (status int, answer []byte) {
	return l.hubFor().Subscribe(api, extension, body)
}

// hubFor returns the hub, which the first subscription makes.
func (l *envLog) hubFor() *telemetryapi.Hub {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &l.telemetry
	if t.hub != nil {
		return t.hub
	}
	opts := telemetryapi.Options{Reserved: reservedPorts, Structured: l.json, Subscribed: l.subscribed, Dropped: l.dropped}
	if d, ok := t.box.(sandbox.Dialer); ok {
		opts.Dial = d.Dial
	}
	hub := telemetryapi.NewHub(opts)
	if !t.inInit || t.box == nil {
		hub.EndInit() // it answers that, and is not kept
		return hub
	}
	if t.began != nil {
		hub.Early(t.beganAt, t.began)
	}
	t.hub = hub
	return hub
}

// subscribed is told by the hub, which has told the subscribers.
func (l *envLog) subscribed(s platform.Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.json {
		l.systemLog(now, "INFO", s)
	} else {
		l.platform(now, textLines{}.subscription(l.line[:0], s))
	}
	l.send()
}

// dropped is told by the hub, as subscribed.
func (l *envLog) dropped(d platform.LogsDropped) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.json {
		l.systemLog(time.Now(), "WARN", d)
		l.send()
	}
}

// opened begins an INIT or a restore: extensions can subscribe. Needs the lock.
func (l *envLog) opened(now time.Time, began platform.Record) {
	l.telemetry.inInit, l.telemetry.began, l.telemetry.beganAt, l.telemetry.initTold = true, began, now, false
}

// initRuntimeDone tells those who have subscribed that the runtime is through INIT, while extensions are not.
func (l *envLog) initRuntimeDone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	began, ok := l.telemetry.began.(platform.InitStart)
	if !ok || l.telemetry.hub == nil {
		return
	}
	now := time.Now()
	l.flushPartial(now)
	l.initRuntimeDoneLocked(now, began.Phase, StatusSuccess, "")
	l.send()
}

// initRuntimeDoneLocked is told once for each INIT.
func (l *envLog) initRuntimeDoneLocked(now time.Time, phase, status, errorType string) {
	if l.telemetry.initTold {
		return
	}
	l.telemetry.initTold = true
	level := "DEBUG"
	if status != StatusSuccess {
		level = "WARN"
	}
	l.platformEvent(now, level, platform.InitRuntimeDone{InitializationType: l.initialization, Phase: phase, Status: status, ErrorType: errorType})
}

// closed ends it. Needs the lock.
func (l *envLog) closed() {
	t := &l.telemetry
	t.inInit, t.began = false, nil
	if t.hub != nil {
		t.hub.EndInit()
	}
}

// runtimeDone tells that the runtime is done with an invoke that extensions are still at work on: they wait
// for that. Source: Lambda developer guide, "Lambda Logs API", Platform runtimeDone messages.
func (l *envLog) runtimeDone(r *report, producedBytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.flushPartial(now)
	l.runtimeDoneLocked(now, r, producedBytes)
	l.send()
}

// hasSubscribers reports whether anybody has subscribed.
func (l *envLog) hasSubscribers() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.telemetry.hub != nil
}

// runtimeDoneLocked is told once for each invoke.
func (l *envLog) runtimeDoneLocked(now time.Time, r *report, producedBytes int) {
	if l.telemetry.told {
		return
	}
	l.telemetry.told = true
	level := "DEBUG"
	if r.status != StatusSuccess {
		level = "WARN"
	}
	l.platformEvent(now, level, platform.RuntimeDone{
		RequestID: r.requestID, Status: r.status, ErrorType: r.errorType, Spans: r.spans(),
		Metrics:  platform.DoneMetrics{DurationMs: platform.Millis(r.duration), ProducedBytes: producedBytes},
		TenantID: l.tenant, Tracing: r.trace.record(),
	})
}

// fault tells the subscribers what went wrong: log groups in JSON format have it in the report.
func (l *envLog) fault(now time.Time, id aws.RequestID, f *failure) {
	if l.telemetry.hub == nil {
		return
	}
	if text := failureText(nil, now, id, f); len(text) > 0 {
		l.platformEvent(now, "WARN", platform.Fault(text))
	}
}

// spans are the parts of an answered invoke's time. Source: Lambda developer guide, "Telemetry API Event
// schema reference", Span.
func (r *report) spans() []platform.Span {
	o := r.outcome
	if o == nil || o.FirstByte.IsZero() || o.Done.IsZero() {
		return nil
	}
	all := []platform.Span{
		span(platform.SpanResponseLatency, r.began, o.FirstByte),
		span(platform.SpanResponseDuration, o.FirstByte, o.Done),
	}
	if !r.runtimeNext.IsZero() {
		all = append(all, span(platform.SpanRuntimeOverhead, o.Done, r.runtimeNext))
	}
	return all
}

func span(name string, from, to time.Time) platform.Span {
	return platform.Span{Name: name, Start: platform.Time(from), DurationMs: platform.Millis(max(0, to.Sub(from)))}
}

// pauseTelemetry stops deliveries before a freeze; the hub, if there is one, goes on with Resume.
func (l *envLog) pauseTelemetry() *telemetryapi.Hub {
	l.mu.Lock()
	hub := l.telemetry.hub
	l.mu.Unlock()
	if hub != nil {
		hub.Pause()
	}
	return hub
}

// flushTelemetry delivers what is left, as far as that goes quickly.
func (l *envLog) flushTelemetry() {
	l.mu.Lock()
	hub := l.telemetry.hub
	l.mu.Unlock()
	if hub == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTelemetryWait)
	defer cancel()
	hub.Flush(ctx)
}

// endTelemetry ends it with the sandbox.
func (l *envLog) endTelemetry() {
	l.mu.Lock()
	hub := l.telemetry.hub
	l.telemetry = envTelemetry{}
	l.mu.Unlock()
	if hub != nil {
		hub.Close()
	}
}

// subscription is the line of one that was made. Source: log lines that people report of their functions.
func (textLines) subscription(b []byte, s platform.Subscription) []byte {
	kind := "TELEMETRY"
	if s.Logs {
		kind = "LOGS"
	}
	b = append(b, kind+"\tName: "...)
	b = append(b, s.Name...)
	b = append(b, "\tState: "...)
	b = append(b, s.State...)
	b = append(b, "\tTypes: ["...)
	for i, t := range s.Types {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, strings.ToUpper(t[:1])+t[1:]...)
	}
	return append(b, "]\n"...)
}

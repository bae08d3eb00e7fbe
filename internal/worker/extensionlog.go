package worker

import (
	"bytes"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// writeExtension takes what extensions wrote: whole lines, or one whose end is not known. The runtime's output
// goes on where it was.
func (l *envLog) writeExtension(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n') + 1
		if n == 0 {
			n = len(p)
		}
		n = min(n, eventBytesMax)
		l.applicationLine(now, platform.KindExtension, string(p[:n]))
		p = p[n:]
	}
	l.send()
}

// extensionSpans is what the report tells of the extensions' time. Source: AWS's published runtime interface code.
func (r *report) extensionSpans() []platform.Span {
	if r.extensions <= 0 {
		return nil
	}
	return []platform.Span{{Name: platform.SpanExtensionOverhead, Start: platform.Time(r.runtimeNext), DurationMs: platform.Millis(r.extensions)}}
}

// extensions tells what became of each extension in INIT.
func (l *envLog) extensions(all []runtimeapi.ExtensionInfo) {
	if len(all) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extended = true
	now := time.Now()
	for _, x := range all {
		events := x.Events
		if events == nil {
			events = []string{}
		}
		level := "INFO" // Source: as systemLog
		if x.ErrorType != "" {
			level = "WARN"
		}
		l.platformEvent(now, level, platform.Extension{Name: x.Name, State: x.State, Events: events, ErrorType: x.ErrorType})
		if !l.json {
			l.platform(now, textLines{}.extension(l.line[:0], x))
		}
	}
	l.send()
}

// extension is the line of one extension. Source: log lines that people report of their functions.
func (textLines) extension(b []byte, x runtimeapi.ExtensionInfo) []byte {
	b = append(b, "EXTENSION\tName: "...)
	b = append(b, x.Name...)
	b = append(b, "\tState: "...)
	b = append(b, x.State...)
	b = append(b, "\tEvents: ["...)
	b = append(b, strings.Join(x.Events, ", ")...)
	b = append(b, ']')
	if x.ErrorType != "" {
		b = append(b, "\tError Type: "...)
		b = append(b, x.ErrorType...)
	}
	return append(b, '\n')
}

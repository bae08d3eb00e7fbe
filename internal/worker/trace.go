package worker

import (
	"strings"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// trace is what an invoke's X-Amzn-Trace-Id says.
type trace struct {
	header  string
	root    string
	parent  string
	sampled bool
	segment string // this invoke's own segment
}

// parseTrace reads "Root=1-...;Parent=...;Sampled=1". Unknown parts stay in the header.
func parseTrace(header string) trace {
	t := trace{header: header}
	for part := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Root":
			t.root = value
		case "Parent":
			t.parent = value
		case "Sampled":
			t.sampled = value == "1"
		}
	}
	if t.root == "" {
		t.sampled = false
	}
	if t.sampled {
		t.segment = randomHex(8)
	}
	return t
}

// record is the tracing part of a platform event, nil when not traced.
func (t *trace) record() *platform.Tracing {
	if !t.sampled {
		return nil
	}
	return &platform.Tracing{SpanID: t.segment, Type: "X-Amzn-Trace-Id", Value: t.header}
}

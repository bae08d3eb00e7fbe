package worker

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/telemetry"
)

type messages []string

func (m *messages) Append(_ context.Context, _ telemetry.LogStreamID, events ...telemetry.LogEvent) error {
	for _, e := range events {
		*m = append(*m, e.Message)
	}
	return nil
}

func (m *messages) Flush(context.Context) error { return nil }

func TestEventsOfOutput(t *testing.T) {
	var got messages
	l := newEnvLog(&got, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, &record.Function{})
	for _, written := range []string{
		"a\nb", "c\n", "keeps\rits returns\r\n",
		"traceback" + runtimeapi.LogLineJoin + "  file\x1e", "\r  line\n", // one event, written in two pieces
	} {
		l.write([]byte(written))
	}
	want := []string{"a\n", "bc\n", "keeps\rits returns\r\n", "traceback\n  file\n  line\n"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", []string(got), want)
	}
}

// TestNotice: what a function runs on instead is told in the log's own form.
func TestNotice(t *testing.T) {
	for format, want := range map[string]string{"": "instead\n", logFormatJSON: `"level":"WARN","message":"instead"}` + "\n"} {
		var got messages
		l := newEnvLog(&got, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, &record.Function{Logging: record.Logging{Format: format}})
		l.initStart(Runtime{Notice: "instead"}, phaseInit)
		if len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("%q: %q", format, []string(got))
		}
	}
}

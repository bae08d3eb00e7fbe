package worker

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/runtimeapi/telemetryapi"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// dialled is a sandbox whose loopback is this host's.
type dialled struct{ sandbox.Sandbox }

func (dialled) Dial(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
}

// safeMessages is messages for more than one goroutine.
type safeMessages struct {
	mu  sync.Mutex
	all messages
}

func (m *safeMessages) Append(ctx context.Context, id telemetry.LogStreamID, events ...telemetry.LogEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all.Append(ctx, id, events...)
}

func (m *safeMessages) Flush(context.Context) error { return nil }

func (m *safeMessages) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.all, "|")
}

// subscribedLog is a log in INIT with one subscriber to everything; read returns the next event's type and record.
func subscribedLog(t *testing.T, fn *record.Function) (l *envLog, sink *safeMessages, read func() string) {
	t.Helper()
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	sink = &safeMessages{}
	l = newEnvLog(sink, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, fn)
	t.Cleanup(l.endTelemetry)
	l.initStart(Runtime{Version: "python:3.13.v1", VersionARN: "arn"}, phaseInit)
	l.listens(dialled{})
	body := fmt.Sprintf(`{"schemaVersion":"2025-01-29","types":["platform","function","extension"],"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP","port":%d}}`, server.Addr().(*net.TCPAddr).Port)
	if status, answer := l.Subscribe(telemetryapi.Telemetry, "ext", []byte(body)); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	var lines *bufio.Reader
	return l, sink, func() string {
		t.Helper()
		if lines == nil {
			c, err := server.Accept()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			lines = bufio.NewReader(c)
		}
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			Type   string
			Record json.RawMessage
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		return e.Type + " " + string(e.Record)
	}
}

// TestSubscriber: it gets everything, whatever the log group gets.
func TestSubscriber(t *testing.T) {
	fn := &record.Function{ID: record.FunctionID{Account: "123456789012", Region: "us-east-1", Name: "f"}, Version: "1"}
	fn.Logging = record.Logging{Format: logFormatJSON, ApplicationLevel: "ERROR", SystemLevel: "WARN"}
	l, sink, read := subscribedLog(t, fn)
	l.writeExtension([]byte("of the extension\n"))
	l.write([]byte("{\"level\":\"DEBUG\",\"timestamp\":\"2024-11-02T16:51:31Z\"}\n"))
	l.initRuntimeDone()
	l.extensions([]runtimeapi.ExtensionInfo{{Name: "ext", State: "Ready", Events: []string{"INVOKE"}}})
	l.initDone(time.Second, phaseInit, StatusSuccess, "")
	began := time.Unix(1_700_000_000, 0)
	l.start("id", &trace{}, false)
	rep := report{
		requestID: "id", status: StatusError, errorType: "Function.X", duration: 2 * time.Second, memoryMiB: 128, maxMemoryMiB: 64, began: began,
		outcome: &runtimeapi.Outcome{FirstByte: began.Add(time.Second), Done: began.Add(1500 * time.Millisecond)}, runtimeNext: began.Add(2 * time.Second),
	}
	l.runtimeDone(&rep, 7)
	l.end(&rep, nil, 7)
	for _, want := range []string{
		`platform.initStart {"initializationType":"on-demand","phase":"init","runtimeVersion":"python:3.13.v1","runtimeVersionArn":"arn","functionName":"f","functionVersion":"1"}`,
		`platform.telemetrySubscription {"name":"ext","state":"Subscribed","types":["platform","function","extension"]}`,
		`extension "of the extension\n"`,
		`function {"level":"DEBUG","timestamp":"2024-11-02T16:51:31Z"}`,
		`platform.initRuntimeDone {"initializationType":"on-demand","phase":"init","status":"success"}`,
		`platform.extension {"name":"ext","state":"Ready","events":["INVOKE"]}`,
		`platform.initReport {"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":1000.0}}`,
		`platform.start {"requestId":"id","functionArn":"arn:aws:lambda:us-east-1:123456789012:function:f","version":"1"}`,
		`platform.runtimeDone {"requestId":"id","status":"error","errorType":"Function.X","metrics":{"durationMs":2000.0,"producedBytes":7},"spans":[` +
			`{"name":"responseLatency","start":"2023-11-14T22:13:20.000Z","durationMs":1000.0},{"name":"responseDuration","start":"2023-11-14T22:13:21.000Z","durationMs":500.0},` +
			`{"name":"runtimeOverhead","start":"2023-11-14T22:13:21.500Z","durationMs":500.0}]}`,
		`platform.report {"requestId":"id","metrics":{"durationMs":2000.0,"billedDurationMs":2000,"memorySizeMB":128,"maxMemoryUsedMB":64},"status":"error","errorType":"Function.X"}`,
	} {
		if got := read(); got != want {
			t.Errorf("%s, not\n%s", got, want)
		}
	}
	log := sink.String()
	for _, want := range []string{"platform.runtimeDone", "platform.report"} {
		if strings.Count(log, want) != 1 {
			t.Errorf("%s is not there once: %s", want, log)
		}
	}
	for _, not := range []string{"platform.initStart", "DEBUG", "of the extension", "platform.start", "telemetrySubscription"} {
		if strings.Contains(log, not) {
			t.Errorf("%s is filtered from the log group: %s", not, log)
		}
	}
}

func TestSubscriberOfText(t *testing.T) {
	l, sink, read := subscribedLog(t, &record.Function{Version: "1"})
	l.initDone(time.Second, phaseInit, StatusSuccess, "")
	l.start("id", &trace{}, false)
	l.write([]byte("{\"a\":1}\n"))
	l.end(&report{requestID: "id", status: StatusTimeout}, &failure{timeout: time.Second}, 0)
	var types []string
	for range 8 {
		kind, record, _ := strings.Cut(read(), " ")
		types = append(types, kind)
		if kind == "function" && record != `"{\"a\":1}\n"` {
			t.Error(record)
		}
	}
	want := []string{"platform.initStart", "platform.telemetrySubscription", "platform.initRuntimeDone", "platform.initReport", "platform.start", "function", "platform.runtimeDone", "platform.report"}
	if !slices.Equal(types, want) {
		t.Errorf("%q", types)
	}
	log := sink.String()
	for _, want := range []string{"INIT_START", "TELEMETRY\tName: ext\tState: Subscribed\tTypes: [Platform, Function, Extension]\n|START", "Task timed out after 1.00 seconds", "END RequestId: id\n|REPORT"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %q", want, log)
		}
	}
	if strings.Contains(log, "platform.") {
		t.Errorf("events in a text log: %q", log)
	}
	if status, answer := l.Subscribe(telemetryapi.Logs, "late", nil); status != 403 || !strings.Contains(string(answer), "Logs.SubscriptionClosed") {
		t.Errorf("after INIT: %d %s", status, answer)
	}
}

// TestNobodySubscribes: where no driver dials, and where nobody wants telemetry.
func TestNobodySubscribes(t *testing.T) {
	var got messages
	l := newEnvLog(&got, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, &record.Function{})
	l.initStart(Runtime{}, phaseInit)
	l.listens(struct{ sandbox.Sandbox }{})
	if status, answer := l.Subscribe(telemetryapi.Telemetry, "ext", []byte(`{}`)); status != 202 || !strings.Contains(string(answer), "Telemetry.NotSupported") {
		t.Errorf("%d %s", status, answer)
	}
	l.endTelemetry()
	l.initDone(time.Second, phaseInit, StatusSuccess, "")
	if l.telemetry.hub != nil || l.pauseTelemetry() != nil {
		t.Error("there is a hub that nobody needs")
	}
	l.flushTelemetry()
	l.endTelemetry()
}

// TestRetriedInvoke: an asynchronous invoke that is tried again keeps its id, and each try has its events.
func TestRetriedInvoke(t *testing.T) {
	var got messages
	l := newEnvLog(&got, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, &record.Function{Logging: record.Logging{Format: logFormatJSON, SystemLevel: "DEBUG"}})
	for range 2 {
		l.start("id", &trace{}, false)
		rep := report{requestID: "id", status: StatusSuccess}
		l.runtimeDone(&rep, 0)
		l.end(&rep, nil, 0)
	}
	if n := strings.Count(strings.Join(got, ""), "platform.runtimeDone"); n != 2 {
		t.Errorf("%d in %q", n, []string(got))
	}
}

func TestSystemLevels(t *testing.T) {
	for _, c := range []struct {
		initialization, status, level string
		want                          []string
	}{
		{initializationOnDemand, StatusSuccess, "INFO", []string{"platform.initStart"}},
		{initializationOnDemand, StatusSuccess, "DEBUG", []string{"platform.initStart", "platform.initRuntimeDone", "platform.initReport"}},
		{initializationProvisioned, StatusSuccess, "INFO", []string{"platform.initStart", "platform.initReport"}},
		{initializationOnDemand, StatusError, "WARN", []string{"platform.initRuntimeDone", "platform.initReport"}},
	} {
		var got messages
		l := newEnvLog(&got, slog.New(slog.DiscardHandler), telemetry.LogStreamID{}, &record.Function{Logging: record.Logging{Format: logFormatJSON, SystemLevel: c.level}})
		l.initialization = c.initialization
		l.initStart(Runtime{Version: "v"}, phaseInit)
		l.initDone(time.Second, phaseInit, c.status, "")
		var types []string
		for _, m := range got {
			var e struct{ Type string }
			if err := json.Unmarshal([]byte(m), &e); err != nil {
				t.Fatal(err)
			}
			types = append(types, e.Type)
		}
		if !slices.Equal(types, c.want) {
			t.Errorf("%+v: %q", c, types)
		}
	}
}

func TestApplicationLevels(t *testing.T) {
	for line, want := range map[string]string{
		`{"timestamp":"2024-11-02T16:51:31.587199Z","level":"debug"}`: "DEBUG",
		`{"time":"2024-11-02T16:51:31+01:00","level":"ERROR"}`:        "ERROR",
		`{"timestamp":"2024-11-02T16:51:31Z","level":"WARNING"}`:      "WARN",
		`{"timestamp":"2024-11-02T16:51:31Z","level":"Critical"}`:     "FATAL",
		`{"timestamp":"2024-11-02T16:51:31Z","level":"TRACE"}` + "\n": "TRACE",
		`{"timestamp":"2024-11-02T16:51:31Z","level":"loud"}`:         "INFO",
		`{"timestamp":"2024-11-02T16:51:31Z"}`:                        "INFO",
		`{"timestamp":"yesterday","level":"debug"}`:                   "INFO",
		`{"level":"debug","msg":"no time"}`:                           "INFO",
		`{"timestamp":1700000000,"level":"debug"}`:                    "INFO",
		`{"level":`: "INFO",
		`DEBUG: x`:  "INFO",
		``:          "INFO",
	} {
		if got := applicationLevelOfLine(line); got != levels[want] {
			t.Errorf("%s is not %s: %d", line, want, got)
		}
	}
}

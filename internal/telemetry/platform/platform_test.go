package platform

import (
	"encoding/json"
	"testing"
	"time"
)

var at = time.Date(2022, 10, 12, 0, 0, 15, 64_999_999, time.FixedZone("elsewhere", 7200))

// TestEvents: each event in each schema, and where a schema has none. Source: the examples of the Lambda
// developer guide, "Telemetry API Event schema reference" and "Lambda Logs API".
func TestEvents(t *testing.T) {
	const head = `{"time":"2022-10-11T22:00:15.064Z","type":`
	tracing := &Tracing{SpanID: "54565fb41ac79632", Type: "X-Amzn-Trace-Id", Value: "Root=1-62e900b2-710d76f009d6e7785905449a;Sampled=1"}
	const traced = `"tracing":{"spanId":"54565fb41ac79632","type":"X-Amzn-Trace-Id","value":"Root=1-62e900b2-710d76f009d6e7785905449a;Sampled=1"}`
	init := Millis(397680 * time.Microsecond)
	report := Report{
		RequestID: "id", Status: "success", TenantID: "t",
		Metrics: ReportMetrics{DurationMs: Millis(693920 * time.Microsecond), BilledDurationMs: 694, MemorySizeMB: 128, MaxMemoryUsedMB: 84, InitDurationMs: &init},
	}
	const metrics = `"metrics":{"durationMs":693.92,"billedDurationMs":694,"memorySizeMB":128,"maxMemoryUsedMB":84,"initDurationMs":397.68}`
	done := RuntimeDone{
		RequestID: "id", Status: "error", ErrorType: "Function.X", Metrics: DoneMetrics{Millis(140 * time.Millisecond), 16}, TenantID: "t",
		Spans: []Span{{SpanResponseLatency, Time(at), Millis(23020 * time.Microsecond)}},
	}
	const doneBody = `{"requestId":"id","status":"error","errorType":"Function.X","metrics":{"durationMs":140.0,"producedBytes":16},"spans":[{"name":"responseLatency","start":"2022-10-11T22:00:15.064Z","durationMs":23.02}]`
	for _, c := range []struct {
		record  Record
		schemas []Schema
		want    string // "" where the schema has none
	}{
		{InitStart{"on-demand", "init", "nodejs-14.v3", "arn", "f", "$LATEST"}, []Schema{Telemetry20220701}, `"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"nodejs-14.v3","runtimeVersionArn":"arn"}}`},
		{InitStart{"on-demand", "init", "", "", "f", "1"}, []Schema{Telemetry20221213, Telemetry20250129}, `"platform.initStart","record":{"initializationType":"on-demand","phase":"init","functionName":"f","functionVersion":"1"}}`},
		{InitStart{}, []Schema{Logs20200815, Logs20210318}, ""},
		{InitRuntimeDone{"on-demand", "init", "success", ""}, []Schema{Telemetry20220701, Telemetry20221213, Telemetry20250129}, `"platform.initRuntimeDone","record":{"initializationType":"on-demand","phase":"init","status":"success"}}`},
		{InitRuntimeDone{}, []Schema{Logs20200815, Logs20210318}, ""},
		{InitReport{"on-demand", "init", "error", "Runtime.X", PhaseMetrics{Millis(125330 * time.Microsecond)}}, []Schema{Telemetry20220701, Telemetry20250129}, `"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"error","errorType":"Runtime.X","metrics":{"durationMs":125.33}}}`},
		{InitReport{}, []Schema{Logs20210318}, ""},
		{RestoreStart{"f", "1", "v", "arn"}, []Schema{Telemetry20221213, Telemetry20250129}, `"platform.restoreStart","record":{"functionName":"f","functionVersion":"1","runtimeVersion":"v","runtimeVersionArn":"arn"}}`},
		{RestoreStart{}, []Schema{Logs20200815, Logs20210318, Telemetry20220701}, ""},
		{RestoreRuntimeDone{"success", ""}, []Schema{Telemetry20221213}, `"platform.restoreRuntimeDone","record":{"status":"success"}}`},
		{RestoreRuntimeDone{}, []Schema{Telemetry20220701}, ""},
		{RestoreReport{"success", "", PhaseMetrics{Millis(70190 * time.Microsecond)}}, []Schema{Telemetry20221213}, `"platform.restoreReport","record":{"status":"success","metrics":{"durationMs":70.19}}}`},
		{RestoreReport{}, []Schema{Logs20210318}, ""},
		{Start{"id", "arn", "$LATEST", "t", tracing}, []Schema{Telemetry20250129}, `"platform.start","record":{"requestId":"id","functionArn":"arn","version":"$LATEST","tenantId":"t",` + traced + `}}`},
		{Start{"id", "arn", "$LATEST", "t", tracing}, []Schema{Telemetry20220701, Telemetry20221213}, `"platform.start","record":{"requestId":"id","version":"$LATEST",` + traced + `}}`},
		{Start{"id", "arn", "$LATEST", "t", tracing}, []Schema{Logs20200815, Logs20210318}, `"platform.start","record":{"requestId":"id","version":"$LATEST"}}`},
		{End{"id"}, []Schema{Logs20200815, Logs20210318}, `"platform.end","record":{"requestId":"id"}}`},
		{End{"id"}, []Schema{Telemetry20220701, Telemetry20221213, Telemetry20250129}, ""},
		{done, []Schema{Telemetry20250129}, `"platform.runtimeDone","record":` + doneBody + `,"tenantId":"t"}}`},
		{done, []Schema{Telemetry20220701, Telemetry20221213}, `"platform.runtimeDone","record":` + doneBody + `}}`},
		{done, []Schema{Logs20210318}, `"platform.runtimeDone","record":{"requestId":"id","status":"failure"}}`},
		{RuntimeDone{RequestID: "id", Status: "timeout"}, []Schema{Logs20210318}, `"platform.runtimeDone","record":{"requestId":"id","status":"timeout"}}`},
		{done, []Schema{Logs20200815}, ""},
		{report, []Schema{Telemetry20250129}, `"platform.report","record":{"requestId":"id",` + metrics + `,"status":"success","tenantId":"t"}}`},
		{report, []Schema{Telemetry20220701, Telemetry20221213}, `"platform.report","record":{"requestId":"id",` + metrics + `,"status":"success"}}`},
		{report, []Schema{Logs20200815, Logs20210318}, `"platform.report","record":{"requestId":"id",` + metrics + `}}`},
		{Fault("RequestId: id Process exited before completing request"), []Schema{Logs20200815, Logs20210318}, `"platform.fault","record":"RequestId: id Process exited before completing request"}`},
		{Fault("x"), []Schema{Telemetry20220701, Telemetry20221213, Telemetry20250129}, ""},
		{Extension{Name: "e", State: "Ready", Events: []string{"INVOKE", "SHUTDOWN"}}, []Schema{Logs20200815, Telemetry20250129}, `"platform.extension","record":{"name":"e","state":"Ready","events":["INVOKE","SHUTDOWN"]}}`},
		{Subscription{"e", StateSubscribed, []string{"platform"}, false}, []Schema{Telemetry20220701}, `"platform.telemetrySubscription","record":{"name":"e","state":"Subscribed","types":["platform"]}}`},
		{Subscription{"e", StateAlreadySubscribed, []string{"platform"}, true}, []Schema{Logs20200815}, `"platform.logsSubscription","record":{"name":"e","state":"Already subscribed","types":["platform"]}}`},
		{LogsDropped{12345, 123, ReasonFallenBehind}, []Schema{Logs20200815, Telemetry20250129}, `"platform.logsDropped","record":{"droppedBytes":12345,"droppedRecords":123,"reason":"` + ReasonFallenBehind + `"}}`},
	} {
		for _, schema := range c.schemas {
			got, ok := Event(schema, at, c.record)
			if c.want == "" {
				if ok {
					t.Errorf("%s has %s", schema, got)
				}
				continue
			}
			if want := head + c.want; string(got) != want {
				t.Errorf("%s\n%s, not\n%s", schema, got, want)
			}
		}
	}
}

func TestLine(t *testing.T) {
	const head = `{"time":"2022-10-11T22:00:15.064Z","type":`
	for _, c := range []struct {
		kind, line string
		structured bool
		want       string
	}{
		{KindFunction, "hello \"you\"\n", false, `"function","record":"hello \"you\"\n"}`},
		{KindFunction, "a<b>&c", false, `"function","record":"a<b>&c"}`},
		{KindExtension, "hello\n", true, `"extension","record":"hello\n"}`},
		{KindFunction, `{"level":"INFO"}` + "\n", true, `"function","record":{"level":"INFO"}}`},
		{KindFunction, `{"level":"INFO"}`, false, `"function","record":"{\"level\":\"INFO\"}"}`},
		{KindFunction, `{broken`, true, `"function","record":"{broken"}`},
		{KindFunction, "not \xff UTF-8", false, `"function","record":"not \ufffd UTF-8"}`},
	} {
		if got := string(Line(c.kind, at, c.line, c.structured)); got != head+c.want {
			t.Errorf("%s, not %s%s", got, head, c.want)
		}
	}
}

// FuzzLine: whatever a program writes, its event is JSON on one line.
func FuzzLine(f *testing.F) {
	f.Add("hello\n", true)
	f.Add("{\"a\":\n1}", true)
	f.Add("\xff\x00\u2028", false)
	f.Fuzz(func(t *testing.T, line string, structured bool) {
		b := Line(KindFunction, at, line, structured)
		if !json.Valid(b) {
			t.Errorf("%q", b)
		}
		for _, c := range b {
			if c == '\n' {
				t.Errorf("two lines: %q", b)
			}
		}
	})
}

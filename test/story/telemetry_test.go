package story

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// sinkLayer publishes a layer with the extension of testdata/telemetry.
func sinkLayer(t *testing.T, c *house.Client) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sink")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/telemetry")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the extension: %v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String("sink"), Content: &types.LayerVersionContentInput{ZipFile: house.Zip(t, map[string]string{"extensions/sink*": string(content)})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.LayerVersionArn)
}

// subscribed runs a function with the layer twice, ends its environment, and returns its log.
func subscribed(t *testing.T, c *house.Client, layer, name, subscription string, variables map[string]string) []string {
	t.Helper()
	all := map[string]string{"SUBSCRIPTION": subscription}
	maps.Copy(all, variables)
	c.Function(lambda.CreateFunctionInput{
		FunctionName: &name, Layers: []string{layer}, Timeout: aws.Int32(20), Environment: &types.Environment{Variables: all},
	}, map[string]string{"app.py": "def handler(event, context):\n    print('handler runs')\n    return event\n"})
	for range 2 {
		if a := c.Invoke(name, `1`); a.FunctionError != "" || a.Payload != `1` {
			t.Fatalf("%+v", a)
		}
	}
	if _, err := c.Lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	return c.LogLines(name, "sink ends")
}

// TestTelemetryInGvisor: the listener is in a network that is the sentry's.
func TestTelemetryInGvisor(t *testing.T) {
	c := house.Start(t, "--isolation", "gvisor", "--runsc", needRunsc(t)).Client(t)
	lines := subscribed(t, c, sinkLayer(t, c), "in-gvisor", overHTTP, nil)
	linesInOrder(t, lines, `sink subscribes: 200 "OK"`, "sink knows that the runtime is done: true", "REPORT", "sink knows that the runtime is done: true", "REPORT", "sink has: platform.initStart", "sink has: platform.report")
}

const overHTTP = `/2022-07-01/telemetry {"schemaVersion":"2022-12-13","types":["platform","function"],"buffering":{"timeoutMs":25},"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:8080"}}`

// TestTelemetry: extensions of a layer get what happens, over HTTP and over TCP, in the form of the schema that
// they ask for, and the runtime's end of an invoke before their own.
func TestTelemetry(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	layer := sinkLayer(t, c)
	run := func(t *testing.T, name, subscription string, variables map[string]string) []string {
		t.Helper()
		return subscribed(t, c.With(t), layer, name, subscription, variables)
	}
	t.Run("HTTP", func(t *testing.T) {
		lines := run(t, "over-http", overHTTP, map[string]string{"AGAIN": "1"})
		linesInOrder(t, lines, "INIT_START", `sink subscribes: 200 "OK"`, "EXTENSION\tName: sink\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n",
			"START", `sink subscribes: 403 {"errorMessage":"Telemetry API subscription is closed","errorType":"Telemetry.SubscriptionClosed"}`, "sink knows that the runtime is done: true", "END", "REPORT", "sink knows that the runtime is done: true", "REPORT")
		linesInOrder(t, lines, "TELEMETRY\tName: sink\tState: Subscribed\tTypes: [Platform, Function]\n")
		linesInOrder(t, lines, `sink has: platform.initStart {"initializationType":"on-demand","phase":"init","runtimeVersion":"python:`,
			`sink has: platform.telemetrySubscription {"name":"sink","state":"Subscribed","types":["platform","function"]} 24`,
			`sink has: platform.initRuntimeDone {"initializationType":"on-demand","phase":"init","status":"success"} 24`,
			`sink has: platform.initReport {"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":`,
			`sink has: platform.start {"requestId":`, `sink has: function "handler runs\n" 24`,
			`sink has: platform.runtimeDone {"requestId":`, `sink has: platform.report {"requestId":`,
			`sink has: platform.start {"requestId":`, `sink has: platform.runtimeDone {"requestId":`, `sink has: platform.report {"requestId":`)
		linesInOrder(t, lines, `sink has: platform.extension {"name":"sink","state":"Ready","events":["INVOKE","SHUTDOWN"]} 24`, "sink has: platform.initReport")
		for _, line := range lines {
			if strings.Contains(line, "sink has: platform.runtimeDone") {
				for _, want := range []string{`"status":"success"`, `"producedBytes":1`, `{"name":"responseLatency","start":"`, `{"name":"responseDuration"`, `{"name":"runtimeOverhead"`} {
					if !strings.Contains(line, want) {
						t.Errorf("no %s in %s", want, line)
					}
				}
			}
			if strings.Contains(line, "sink has: extension") || strings.Contains(line, "platform.end") {
				t.Errorf("not asked for: %s", line)
			}
		}
	})
	t.Run("TCP", func(t *testing.T) {
		lines := run(t, "over-tcp", `/2020-08-15/logs {"schemaVersion":"2021-03-18","types":["function","platform"],"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP","port":8081}}`, nil)
		linesInOrder(t, lines, `sink subscribes: 200 "OK"`, "START", "sink knows that the runtime is done: true", "REPORT")
		linesInOrder(t, lines, "LOGS\tName: sink\tState: Subscribed\tTypes: [Function, Platform]\n")
		linesInOrder(t, lines, `sink has: platform.logsSubscription {"name":"sink","state":"Subscribed","types":["function","platform"]} 24`,
			`sink has: platform.extension`, `sink has: platform.start {"requestId":`, `","version":"$LATEST"} 24`, `sink has: function "handler runs\n" 24`,
			`"status":"success"} 24`, `sink has: platform.end {"requestId":`, `sink has: platform.report {"requestId":`)
		for _, line := range lines {
			if strings.Contains(line, "sink has: platform.init") {
				t.Errorf("not of the schema: %s", line)
			}
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		began := time.Now()
		lines := run(t, "deaf", `/2022-07-01/telemetry {"schemaVersion":"2025-01-29","types":["platform","function","extension"],"destination":{"protocol":"TCP","port":9}}`, map[string]string{"DEAF": "1"})
		linesInOrder(t, lines, `sink subscribes: 200 "OK"`, "handler runs", "REPORT", "handler runs", "REPORT", "sink ends")
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("a listener that is not there held up the function: %v", took)
		}
	})
	t.Run("refused", func(t *testing.T) {
		lines := run(t, "refused", `/2022-07-01/telemetry {"types":[],"destination":{"protocol":"HTTP","URI":"http://example.com:9001"}}`, nil)
		linesInOrder(t, lines, `sink subscribes: 400 {"errorMessage":"schemaVersion is not provided; URI host should be sandbox.localdomain; port 9001 is reserved; types should not be empty","errorType":"ValidationError"}`)
	})
}

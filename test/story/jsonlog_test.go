package story

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestJSONLog: log groups of a user's own get the platform's events and the function's lines in JSON, each kind
// down to its level; back to text they get neither.
func TestJSONLog(t *testing.T) {
	client := house.Start(t).Client(t)
	for _, l := range []struct {
		runtime       types.Runtime
		handler, file string
		code          string
	}{
		{types.RuntimePython312, "app.handler", "app.py", `
import logging, os
log = logging.getLogger()
def handler(event, context):
    log.debug("a detail")
    log.info("a step")
    log.warning("a warning")
    print('{"level":"debug","message":"printed detail","timestamp":"2024-11-02T16:51:31.587199Z"}')
    print('{"level":"debug","message":"printed without a time"}')
    if event == "fail":
        raise ValueError("no")
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "") + " " + os.environ.get("AWS_LAMBDA_LOG_LEVEL", "")
`},
		{types.RuntimeNodejs22x, "app.handler", "app.js", `
exports.handler = async (event) => {
  console.debug("a detail");
  console.info("a step");
  console.warn("a warning");
  process.stdout.write('{"level":"debug","message":"printed detail","timestamp":"2024-11-02T16:51:31.587199Z"}\n');
  process.stdout.write('{"level":"debug","message":"printed without a time"}\n');
  if (event === "fail") throw new TypeError("no");
  return (process.env.AWS_LAMBDA_LOG_FORMAT || "") + " " + (process.env.AWS_LAMBDA_LOG_LEVEL || "");
};
`},
	} {
		t.Run(string(l.runtime), func(t *testing.T) {
			c := client.With(t)
			group := "own-" + strings.TrimRight(string(l.runtime), ".x")
			name := c.Function(lambda.CreateFunctionInput{
				FunctionName: aws.String("json-" + strings.ReplaceAll(string(l.runtime), ".", "")), Runtime: l.runtime, Handler: &l.handler,
				LoggingConfig: &types.LoggingConfig{LogFormat: types.LogFormatJson, ApplicationLogLevel: types.ApplicationLogLevelInfo, SystemLogLevel: types.SystemLogLevelDebug, LogGroup: aws.String("/aws/lambda/" + group)},
			}, map[string]string{l.file: l.code})
			if a := c.Invoke(name, `1`); a.FunctionError != "" || a.Payload != `"JSON INFO"` {
				t.Fatalf("%+v", a)
			}
			if a := c.Invoke(name, `"fail"`); a.FunctionError == "" {
				t.Fatalf("%+v", a)
			}
			lines := c.LogLines(group, `"status":"error"`)
			var kinds []string
			for _, line := range lines {
				var e struct {
					Type, Level string
					Message     any
					Record      map[string]any
				}
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Errorf("%q: %v", line, err)
					continue
				}
				message, _ := e.Message.(string)
				switch {
				case e.Type != "":
					kinds = append(kinds, e.Type)
					if e.Record == nil {
						t.Errorf("an event without a record: %s", line)
					}
				case !strings.Contains(message, "is not on this machine"): // which runtime it is instead
					kinds = append(kinds, message)
				}
			}
			ofInvoke := []string{"platform.start", "a step", "a warning", "printed without a time", "platform.runtimeDone", "platform.report"}
			want := append([]string{"platform.initStart", "platform.initRuntimeDone", "platform.initReport"}, ofInvoke...)
			if !slices.Equal(kinds[:min(len(want), len(kinds))], want) {
				t.Errorf("%q", kinds)
			}
			errorAt := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, `ERROR`) })
			if errorAt < len(want) || !strings.Contains(lines[errorAt], "no") {
				t.Errorf("no error of the handler among %q", lines)
			}
			// One environment writes one stream, which names the function: groups can be shared.
			streams, err := c.Logs.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: aws.String("/aws/lambda/" + group)})
			if err != nil || len(streams.LogStreams) != 1 || !regexp.MustCompile(`^\d{4}/\d\d/\d\d/`+regexp.QuoteMeta(name)+`\[\$LATEST\][0-9a-f]{32}$`).MatchString(*streams.LogStreams[0].LogStreamName) {
				t.Errorf("%+v, %v", streams, err)
			}
			if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &name, LoggingConfig: &types.LoggingConfig{LogFormat: types.LogFormatText, LogGroup: aws.String("/aws/lambda/" + name)},
			}); err != nil {
				t.Fatal(err)
			}
			if err := lambda.NewFunctionUpdatedV2Waiter(c.Lambda).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, time.Minute); err != nil {
				t.Fatal(err)
			}
			if a := c.Invoke(name, `1`); a.FunctionError != "" || a.Payload != `" "` || !strings.HasPrefix(a.Log, "START RequestId") || !strings.Contains(a.Log, "printed detail") {
				t.Errorf("%+v", a)
			}
		})
	}
}

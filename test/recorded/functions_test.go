package recorded_test

import (
	"strings"
	"testing"
)

// kind says what the functions of the recordings' common scenarios do.
type kind int

const (
	introspection kind = iota // returns its context and its environment
	failing                   // fails with the event's error_msg
)

// common gives CreateFunction's parameters and the files of a scenario for a runtime.
func common(t *testing.T, runtime string, k kind) (in map[string]any, files map[string]string) {
	t.Helper()
	for prefix, f := range commonFunctions {
		if strings.HasPrefix(runtime, prefix) {
			return map[string]any{"Runtime": runtime, "Handler": f.handler, "MemorySize": 1024}, map[string]string{f.file: f.source[k]}
		}
	}
	t.Fatalf("no function is written for %s", runtime)
	return nil, nil
}

var commonFunctions = map[string]struct {
	handler, file string
	source        map[kind]string
}{
	"python": {"handler.handler", "handler.py", map[kind]string{
		introspection: `
import os

def handler(event, context):
    return {
        "ctx": {
            "aws_request_id": context.aws_request_id,
            "function_name": context.function_name,
            "function_version": context.function_version,
            "invoked_function_arn": context.invoked_function_arn,
            "log_group_name": context.log_group_name,
            "log_stream_name": context.log_stream_name,
            "memory_limit_in_mb": context.memory_limit_in_mb,
            "remaining_time_in_millis": context.get_remaining_time_in_millis(),
        },
        "environment": dict(os.environ),
        "packages": [],
    }
`,
		failing: `
def handler(event, context):
    raise Exception("Failed: " + event["error_msg"])
`,
	}},
	"nodejs": {"index.handler", "index.js", map[kind]string{
		introspection: `
exports.handler = async (event, context) => ({
  ctx: {
    aws_request_id: context.awsRequestId,
    function_name: context.functionName,
    function_version: context.functionVersion,
    invoked_function_arn: context.invokedFunctionArn,
    log_group_name: context.logGroupName,
    log_stream_name: context.logStreamName,
    remaining_time_in_millis: context.getRemainingTimeInMillis(),
  },
  environment: process.env,
  packages: [],
});
`,
		failing: `
exports.handler = async (event) => { throw new Error("Error: " + event.error_msg); };
`,
	}},
	"ruby": {"function.handler", "function.rb", map[kind]string{
		introspection: `
def handler(event:, context:)
  {
    ctx: {
      aws_request_id: context.aws_request_id,
      function_name: context.function_name,
      function_version: context.function_version,
      invoked_function_arn: context.invoked_function_arn,
      log_group_name: context.log_group_name,
      log_stream_name: context.log_stream_name,
      memory_limit_in_mb: context.memory_limit_in_mb,
      remaining_time_in_millis: context.get_remaining_time_in_millis,
    },
    environment: ENV.to_h,
    packages: [],
  }
end
`,
		failing: `
def handler(event:, context:)
  raise "Error: #{event["error_msg"]}"
end
`,
	}},
}

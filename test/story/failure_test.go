package story

import (
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestHowFunctionsFail is the table of failures: what a client gets, and what the log says.
func TestHowFunctionsFail(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	const handler = "def handler(event, context):\n"
	for _, tc := range []struct {
		name    string
		files   map[string]string
		in      lambda.CreateFunctionInput
		payload string
		// what the payload must hold, by regular expression
		errorType, errorMessage string
		log                     string // a regular expression that the tail must match
		group                   string // a part of a line in the log group: what INIT says comes before START
	}{
		{
			name:      "raise",
			files:     map[string]string{"app.py": handler + "    raise ValueError('no')\n"},
			errorType: "^ValueError$", errorMessage: "^no$", log: `\[ERROR\] ValueError: no\nTraceback`,
		},
		{
			name:      "timeout",
			files:     map[string]string{"app.py": "import time\n" + handler + "    time.sleep(30)\n"},
			in:        lambda.CreateFunctionInput{Timeout: aws.Int32(1)},
			errorType: `^Sandbox\.Timedout$`, errorMessage: `^RequestId: [0-9a-f-]{36} Error: Task timed out after 1\.00 seconds$`, log: `Task timed out after 1\.00 seconds`,
		},
		{
			name:      "exit",
			files:     map[string]string{"app.py": "import os\n" + handler + "    os._exit(7)\n"},
			errorType: `^Runtime\.ExitError$`, errorMessage: `^RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 7$`, log: `END RequestId`,
		},
		{
			name:      "exit without a reason",
			files:     map[string]string{"app.py": "import os\n" + handler + "    os._exit(0)\n"},
			errorType: `^Runtime\.ExitError$`, errorMessage: `^RequestId: [0-9a-f-]{36} Error: Runtime exited without providing a reason$`, log: `REPORT RequestId`,
		},
		{
			name:      "killed",
			files:     map[string]string{"app.py": "import os, signal\n" + handler + "    os.kill(os.getpid(), signal.SIGSEGV)\n"},
			errorType: `^Runtime\.ExitError$`, errorMessage: `signal: segmentation fault`, log: `REPORT RequestId`,
		},
		{
			name:      "import error",
			files:     map[string]string{"app.py": "import nowhere_to_be_found\n" + handler + "    pass\n"},
			errorType: `^Runtime\.ImportModuleError$`, errorMessage: `^Unable to import module 'app': No module named 'nowhere_to_be_found'$`, log: `START RequestId`, group: "[ERROR] Runtime.ImportModuleError: Unable to import module 'app'",
		},
		{
			name:      "no such file",
			files:     map[string]string{"other.py": ""},
			errorType: `^Runtime\.ImportModuleError$`, errorMessage: `^Unable to import module 'app': No module named 'app'$`, log: `START RequestId`,
		},
		{
			name:      "handler missing",
			files:     map[string]string{"app.py": "x = 1\n"},
			errorType: `^Runtime\.HandlerNotFound$`, errorMessage: `^Handler 'handler' missing on module 'app'$`, log: `START RequestId`, group: "[ERROR] Runtime.HandlerNotFound: Handler 'handler' missing on module 'app'",
		},
		{
			name:      "syntax error",
			files:     map[string]string{"app.py": "def handler(:\n"},
			errorType: `^Runtime\.UserCodeSyntaxError$`, errorMessage: `^Syntax error in module 'app'`, log: `START RequestId`, group: "[ERROR] Runtime.UserCodeSyntaxError: Syntax error in module 'app'",
		},
		{
			name:      "exit in init",
			files:     map[string]string{"app.py": "import os\nos._exit(3)\n"},
			errorType: `^Runtime\.ExitError$`, errorMessage: `exit status 3$`, log: `REPORT RequestId`,
		},
		{
			name:      "unserialisable",
			files:     map[string]string{"app.py": handler + "    return {1, 2}\n"},
			errorType: `^Runtime\.MarshalError$`, errorMessage: `^Unable to marshal response: Object of type set is not JSON serializable$`, log: `Runtime\.MarshalError`,
		},
		{
			name:      "too large",
			files:     map[string]string{"app.py": handler + "    return 'x' * 6291557\n"},
			errorType: `^Function\.ResponseSizeTooLarge$`, errorMessage: `^Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.$`, log: `REPORT RequestId`,
		},
		{
			name:      "node throws",
			files:     map[string]string{"index.js": "exports.handler = async () => { throw new TypeError('no') }\n"},
			in:        lambda.CreateFunctionInput{Runtime: types.RuntimeNodejs20x, Handler: aws.String("index.handler")},
			errorType: "^TypeError$", errorMessage: "^no$", log: `ERROR\tInvoke Error`,
		},
		{
			name:      "node handler missing",
			files:     map[string]string{"index.js": "exports.other = 1\n"},
			in:        lambda.CreateFunctionInput{Runtime: types.RuntimeNodejs20x, Handler: aws.String("index.handler")},
			errorType: `^Runtime\.HandlerNotFound$`, errorMessage: `^index\.handler is undefined or not exported$`, log: `START RequestId`,
		},
		{
			name:      "no bootstrap",
			files:     map[string]string{"other": "x"},
			in:        lambda.CreateFunctionInput{Runtime: types.RuntimeProvidedal2023, Handler: aws.String("x")},
			errorType: `^Runtime\.InvalidEntrypoint$`, errorMessage: `Couldn't find valid bootstrap\(s\): \[/var/task/bootstrap /opt/bootstrap\]`, log: `START RequestId`,
		},
		{
			name:      "bootstrap not executable",
			files:     map[string]string{"bootstrap": "#!/bin/sh\n"},
			in:        lambda.CreateFunctionInput{Runtime: types.RuntimeProvidedal2023, Handler: aws.String("x")},
			errorType: `^Runtime\.InvalidEntrypoint$`, errorMessage: `^RequestId: [0-9a-f-]{36} Error: fork/exec /var/task/bootstrap: permission denied$`, log: `START RequestId`,
		},
		{
			name:      "bootstrap no program",
			files:     map[string]string{"bootstrap*": "\x7fELF of another kind"},
			in:        lambda.CreateFunctionInput{Runtime: types.RuntimeProvidedal2023, Handler: aws.String("x")},
			errorType: `^Runtime\.InvalidEntrypoint$`, errorMessage: `^RequestId: [0-9a-f-]{36} Error: fork/exec /var/task/bootstrap: exec format error$`, log: `START RequestId`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.With(t)
			tc.in.FunctionName = aws.String("fail-" + strings.ReplaceAll(tc.name, " ", "-"))
			name := c.Function(tc.in, tc.files)
			payload := tc.payload
			if payload == "" {
				payload = "{}"
			}
			answer := c.Invoke(name, payload)
			if answer.FunctionError != "Unhandled" {
				t.Fatalf("FunctionError %q, payload %s", answer.FunctionError, answer.Payload)
			}
			got := answer.JSON(t)
			match(t, "errorType", got["errorType"], tc.errorType)
			match(t, "errorMessage", got["errorMessage"], tc.errorMessage)
			match(t, "log", answer.Log, tc.log)
			if tc.group != "" {
				c.LogLines(name, tc.group)
			}
			if !strings.Contains(answer.Log, "REPORT RequestId: ") {
				t.Errorf("no REPORT line in %q", answer.Log)
			}
		})
	}
}

// TestReportLine holds the form of the lines that tools parse.
func TestReportLine(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{MemorySize: aws.Int32(256)}, map[string]string{"app.py": "def handler(event, context):\n    print('line one\\r\\nline two')\n"})
	cold, warm := c.Invoke(name, "{}"), c.Invoke(name, "{}")
	if cold.Payload != "null" {
		t.Errorf("payload of a function that returns nothing: %q", cold.Payload)
	}
	const id = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	body := `START RequestId: ` + id + ` Version: \$LATEST\nline one\r\nline two\nEND RequestId: ` + id + `\nREPORT RequestId: ` + id + `\tDuration: [0-9]+\.[0-9]{2} ms\tBilled Duration: [0-9]+ ms\tMemory Size: 256 MB\tMax Memory Used: [1-9][0-9]* MB\t`
	match(t, "cold log", cold.Log, `^`+body+`Init Duration: [0-9]+\.[0-9]{2} ms\t\n$`)
	match(t, "warm log", warm.Log, `^`+body+`\n$`)
	lines := c.LogLines(name, "REPORT")
	match(t, "first line", lines[0], `^INIT_START Runtime Version: python:3\.\d+\.v\d+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}\n$`)
}

func match(t *testing.T, what string, got any, pattern string) {
	t.Helper()
	s, _ := got.(string)
	if !regexp.MustCompile(pattern).MatchString(s) {
		t.Errorf("%s is %q, want it to match %s", what, got, pattern)
	}
}

package story

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lambdad/lambdad/test/house"
)

const contractFunction = `
import os, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    kept = os.path.exists("/tmp/kept")
    open("/tmp/kept", "w").close()
    if event.get("sleep"):
        time.sleep(event["sleep"])
    if event.get("print"):
        os.write(1, event["print"].encode() * event.get("times", 1))
    return {"calls": calls, "kept": kept}
`

// TestAnswersHeaders: which headers the answers to invokes have, and which they do not.
func TestAnswersHeaders(t *testing.T) {
	c := house.Start(t).Client(t)
	name := c.Function(lambda.CreateFunctionInput{}, map[string]string{"app.py": contractFunction})
	for kind, want := range map[types.InvocationType]struct {
		status        int
		there, absent []string
	}{
		types.InvocationTypeRequestResponse: {200, []string{"X-Amz-Executed-Version", "X-Amz-Log-Result", "X-Amzn-Requestid", "X-Amzn-Trace-Id", "X-Amzn-Remapped-Content-Length"}, []string{"X-Amz-Function-Error"}},
		types.InvocationTypeEvent:           {202, []string{"X-Amzn-Requestid"}, []string{"X-Amz-Executed-Version", "X-Amz-Log-Result", "X-Amz-Function-Error"}},
		types.InvocationTypeDryRun:          {204, []string{"X-Amzn-Requestid"}, []string{"X-Amz-Executed-Version", "X-Amz-Log-Result", "X-Amz-Function-Error"}},
	} {
		out, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: kind, LogType: types.LogTypeTail})
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := middleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
		if !ok || raw.StatusCode != want.status || (raw.StatusCode != http.StatusOK) != (len(out.Payload) == 0) {
			t.Errorf("%s: %v, payload %q", kind, raw, out.Payload)
			continue
		}
		for _, header := range want.there {
			if len(raw.Header[header]) != 1 {
				t.Errorf("%s: %s is %q", kind, header, raw.Header[header])
			}
		}
		for _, header := range append(want.absent, "Set-Cookie") {
			if len(raw.Header[header]) != 0 {
				t.Errorf("%s: %s is %q", kind, header, raw.Header[header])
			}
		}
		// Two of them end the JavaScript SDK with "Invalid time value".
		if len(raw.Header["Date"]) != 1 {
			t.Errorf("%s: Date is %q", kind, raw.Header["Date"])
		}
	}
}

// TestLinesOfALog: lines end at line feeds alone, and a tail has the last 4 KB.
func TestLinesOfALog(t *testing.T) {
	c := house.Start(t).Client(t)
	name := c.Function(lambda.CreateFunctionInput{}, map[string]string{"app.py": contractFunction})
	c.Invoke(name, `{"print": "a\rb\nc\r\nd"}`)
	lines := c.LogLines(name, "REPORT")
	from := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "START ") }) + 1
	want := []string{"a\rb\n", "c\r\n", "d"}
	if len(lines) < from+len(want) {
		t.Fatalf("the log is %q", lines)
	}
	for i, w := range want {
		if got := lines[from+i]; strings.TrimSuffix(got, "\n") != strings.TrimSuffix(w, "\n") {
			t.Errorf("line %d is %q, want %q", i, got, w)
		}
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "REPORT ") || !strings.HasSuffix(last, "\t\n") {
		t.Errorf("the last line is %q", last)
	}
	out, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, LogType: types.LogTypeTail, Payload: []byte(`{"print": "0123456789\n", "times": 10000}`)})
	if err != nil {
		t.Fatal(err)
	}
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil || len(tail) != 4096 || strings.Contains(string(tail), "START") || !strings.Contains(string(tail), "\nREPORT RequestId: ") {
		t.Errorf("a tail of %d bytes: %.80q ... %v", len(tail), tail, err)
	}
}

// TestTimeoutEndsTheEnvironment: globals and /tmp stay from one invoke to the next, but not beyond a timeout.
func TestTimeoutEndsTheEnvironment(t *testing.T) {
	c := house.Start(t).Client(t)
	name := c.Function(lambda.CreateFunctionInput{Timeout: aws.Int32(1)}, map[string]string{"app.py": contractFunction})
	for _, step := range []struct{ event, want string }{
		{`{}`, `{"calls": 1, "kept": false}`}, {`{}`, `{"calls": 2, "kept": true}`}, {`{"sleep": 5}`, "Sandbox.Timedout"}, {`{}`, `{"calls": 1, "kept": false}`},
	} {
		a := c.Invoke(name, step.event)
		if !strings.Contains(a.Payload, step.want) || (a.FunctionError != "") != (step.want == "Sandbox.Timedout") {
			t.Errorf("%s: %q %s, want %s", step.event, a.FunctionError, a.Payload, step.want)
		}
	}
}

package story

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestCustomRuntimeStreams: a runtime of one's own streams to InvokeWithResponseStream, to Invoke and
// to URLs of both modes, and reports an error amid its answer in the trailer.
func TestCustomRuntimeStreams(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{
		FunctionName: aws.String("streaming"), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Timeout: aws.Int32(20),
	}, map[string]string{"bootstrap*": goProgram(t, "./testdata/streaming")})

	parts, done := eventsOf(t, c, name, `{}`)
	if len(parts) != 2 || parts[0].text != "first " || !early(t, parts[0].at, parts[1].text) || done.ErrorCode != nil {
		t.Errorf("the parts are %+v, the end %+v", parts, done)
	}
	for _, reported := range []string{"Function.Custom", "Runtime.Custom"} {
		parts, done = eventsOf(t, c, name, `{"error":"`+reported+`"}`)
		var details struct{ ErrorType, ErrorMessage string }
		if err := json.Unmarshal([]byte(aws.ToString(done.ErrorDetails)), &details); err != nil {
			t.Error(err)
		}
		if len(parts) != 1 || parts[0].text != "first " || aws.ToString(done.ErrorCode) != "Unhandled" || details.ErrorType != reported || details.ErrorMessage != "too late" {
			t.Errorf("%s: the parts are %+v, the end %s %+v", reported, parts, aws.ToString(done.ErrorCode), details)
		}
	}
	if a := c.Invoke(name, `{}`); a.FunctionError != "" || !strings.HasPrefix(a.Payload, "first 1") {
		t.Errorf("Invoke: %+v", a)
	}
	if a := c.Invoke(name, `{"error":"Function.Custom"}`); a.FunctionError != "Unhandled" || !strings.Contains(a.Payload, "too late") {
		t.Errorf("Invoke of what fails: %+v", a)
	}

	url := openURL(t, c, name, types.InvokeModeResponseStream)
	res, err := http.Get(url + "path")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 202 || res.Header.Get("X-Path") != "/path" || res.Header.Get("Set-Cookie") != "a=b" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	firstBytesEarly(t, res.Body)
	cut, err := http.Get(url + "amid")
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Body.Close()
	if got, err := io.ReadAll(cut.Body); string(got) != "first " || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an answer that broke looks whole: %q, %v", got, err)
	}
	t.Run("curl", func(t *testing.T) { curlStreams(t, url) })

	if _, err := c.Lambda.UpdateFunctionUrlConfig(t.Context(), &lambda.UpdateFunctionUrlConfigInput{FunctionName: &name, InvokeMode: types.InvokeModeBuffered}); err != nil {
		t.Fatal(err)
	}
	status, got := 202, []byte(nil)
	for i := 0; status == 202 && i < 10; i++ { // the URL learns of it a moment later
		whole, err := http.Get(url + "path")
		if err != nil {
			t.Fatal(err)
		}
		if got, err = io.ReadAll(whole.Body); err != nil {
			t.Fatal(err)
		}
		whole.Body.Close()
		status = whole.StatusCode
	}
	if status != 200 || !strings.HasPrefix(string(got), `{"statusCode":202,`) || !strings.Contains(string(got), "\x00first 1") {
		t.Errorf("a URL that buffers: %d %q", status, got)
	}
}

// streamPart is one PayloadChunk.
type streamPart struct {
	at   time.Time
	text string
}

func eventsOf(t *testing.T, c *house.Client, name, payload string) (parts []streamPart, done types.InvokeWithResponseStreamCompleteEvent) {
	t.Helper()
	out, err := c.Lambda.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: &name, Payload: []byte(payload)})
	if err != nil {
		t.Fatal(err)
	}
	stream := out.GetStream()
	defer stream.Close()
	for e := range stream.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			parts = append(parts, streamPart{time.Now(), string(e.Value.Payload)})
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			done = e.Value
		}
	}
	if err := stream.Err(); err != nil {
		t.Error(err)
	}
	return parts, done
}

// openURL makes a URL that anybody may ask, which wants two rights.
func openURL(t *testing.T, c *house.Client, name string, mode types.InvokeMode) string {
	t.Helper()
	out, err := c.Lambda.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: mode})
	if err != nil {
		t.Fatal(err)
	}
	for action, auth := range map[string]types.FunctionUrlAuthType{"InvokeFunctionUrl": types.FunctionUrlAuthTypeNone, "InvokeFunction": ""} {
		if res, err := http.Get(*out.FunctionUrl); err != nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("without lambda:%s: %v, %v", action, res, err)
		} else {
			res.Body.Close()
		}
		_, err := c.Lambda.AddPermission(t.Context(), &lambda.AddPermissionInput{
			FunctionName: &name, StatementId: &action, Action: aws.String("lambda:" + action), Principal: aws.String("*"), FunctionUrlAuthType: auth,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return *out.FunctionUrl
}

// early reports whether a part came well before the function wrote its last, which says when that was.
func early(t *testing.T, at time.Time, last string) bool {
	t.Helper()
	ms, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		t.Errorf("the last part is %q", last)
		return false
	}
	return at.Before(time.UnixMilli(ms).Add(-500 * time.Millisecond))
}

func firstBytesEarly(t *testing.T, body io.Reader) {
	t.Helper()
	in := bufio.NewReader(body)
	first, err := in.ReadString(' ')
	at := time.Now()
	last, lastErr := io.ReadAll(in)
	if err != nil || lastErr != nil || first != "first " || !early(t, at, string(last)) {
		t.Errorf("%q at %v, then %q; %v, %v", first, at, last, err, lastErr)
	}
}

// curlStreams reads the URL with curl -N, which buffers nothing itself.
func curlStreams(t *testing.T, url string) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl on PATH")
	}
	cmd := exec.CommandContext(t.Context(), curl, "-sN", "--max-time", "20", url+"path")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	firstBytesEarly(t, out)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

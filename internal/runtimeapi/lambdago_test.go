package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// TestMain also is the program of a function: the test starts itself again.
func TestMain(m *testing.M) {
	if os.Getenv("RUNTIMEAPI_TEST_FUNCTION") != "" {
		lambda.Start(goFunction)
		return
	}
	os.Exit(m.Run())
}

func goFunction(ctx context.Context, event json.RawMessage) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	switch string(event) {
	case `"fail"`:
		return nil, errors.New("some_error_msg")
	case `"panic"`:
		panic("some panic")
	case `"stream"`:
		return io.MultiReader(strings.NewReader("streamed "), strings.NewReader("body")), nil
	case `"broken stream"`:
		return io.MultiReader(strings.NewReader("half"), brokenReader{}), nil
	}
	return map[string]any{
		"event":    event,
		"id":       lc.AwsRequestID,
		"arn":      lc.InvokedFunctionArn,
		"custom":   lc.ClientContext.Custom,
		"deadline": deadline.UnixMilli(),
	}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broke") }

func TestAWSLambdaGo(t *testing.T) {
	s, addr := serve(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"RUNTIMEAPI_TEST_FUNCTION=1", "AWS_LAMBDA_RUNTIME_API=" + addr}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if err := s.Ready(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	call := func(id, payload string) *Outcome {
		t.Helper()
		inv := invocation(id, payload)
		inv.ClientContext = `{"custom":{"k":"v"}}`
		o, err := s.Invoke(ctxFor(t), inv)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := call("a", `{"x":"é"}`); string(o.Payload) != `{"arn":"arn:aws:lambda:us-east-1:000000000000:function:f","custom":{"k":"v"},"deadline":1700000000123,"event":{"x":"é"},"id":"a"}` {
		t.Errorf("%s", o.Payload)
	}
	if o := call("b", `"fail"`); o.ErrorType == "" || string(o.Payload) != `{"errorMessage":"some_error_msg","errorType":"errorString"}` {
		t.Errorf("%s %s", o.ErrorType, o.Payload)
	}
	if o := call("c", `"stream"`); string(o.Payload) != "streamed body" || o.ErrorType != "" {
		t.Errorf("%s %s", o.ErrorType, o.Payload)
	}
	if o := call("d", `"broken stream"`); !strings.Contains(string(o.Payload), `"errorMessage":"broke"`) || o.ErrorType == "" {
		t.Errorf("%s %s", o.ErrorType, o.Payload)
	}
	if o := call("e", `"panic"`); !strings.Contains(string(o.Payload), `"errorMessage":"some panic"`) {
		t.Errorf("%s %s", o.ErrorType, o.Payload)
	}
}

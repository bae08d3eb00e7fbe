package client

import (
	"strings"
	"testing"
)

func TestNodeJS(t *testing.T) {
	l := byName(t, "nodejs")
	t.Run("values", func(t *testing.T) {
		for handler, want := range map[string]string{
			"function.callback":          `{"a":1}`,
			"function.waits":             `{"waited":true}`,
			"function.doesNotWait":       `{"waited":false}`,
			"function.neverCalled":       `null`,
			"function.done":              `{"a":1}`,
			"function.succeed":           `{"a":1}`,
			"function.a.b.c":             `"nested"`,
			"function.thenable":          `"thenable"`,
			"function.twice":             `"first"`,
			"function.not_a_number":      `null`,
			"function.neverSettledPlain": `null`, // AWS looks at how the handler is declared
			"module.handler":             `"top level await"`,
			"module.require_":            `"function"`,
			"package/index.handler":      `"package module"`,
			"common.handler":             `"cjs"`,
		} {
			p := start(t, l, handler)
			for range 2 {
				if v := p.value(`{"a":1}`); v != want {
					t.Errorf("%s: %s", handler, v)
				}
			}
		}
	})
	t.Run("errors", func(t *testing.T) {
		for handler, want := range map[string]string{
			"function.callbackError": "TypeError: in callback",
			"function.callbackText":  "string: only text",
			"function.contextFail":   "RangeError: failed",
			"function.thrown":        "TypeError: thrown",
			"function.cycle":         "Error: Unable to stringify response body",
			"function.neverSettled":  "Runtime.NodeJsExit: ",
		} {
			p := start(t, l, handler)
			for range 2 {
				if e := p.failure(`{}`); !strings.HasPrefix(e.Type+": "+e.Message, want) {
					t.Errorf("%s: %+v", handler, e)
				}
			}
		}
	})
	t.Run("errors that end the process", func(t *testing.T) {
		for _, tt := range []struct {
			handler, want string
			status        int
		}{
			{"function.rejectedElsewhere", "Runtime.UnhandledPromiseRejection: Error: nobody looks", 128},
			{"function.thrownElsewhere", "Error: in a timer", 129},
		} {
			p := start(t, l, tt.handler)
			if e := p.failure(`{}`); e.Type+": "+e.Message != tt.want {
				t.Errorf("%+v", e)
			}
			<-p.ended
			if code := p.cmd.ProcessState.ExitCode(); code != tt.status {
				t.Error(tt.handler, code)
			}
		}
	})
	t.Run("handler names", func(t *testing.T) {
		for handler, want := range map[string]string{
			"nodot":                 "Runtime.MalformedHandlerName: Bad handler",
			"../up.handler":         "Runtime.MalformedHandlerName: '../up.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names.",
			"function.notAFunction": "Runtime.HandlerNotFound: function.notAFunction is not a function",
		} {
			if e := start(t, l, handler).initFailure(); e.Type+": "+e.Message != want {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Run("context as JSON", func(t *testing.T) {
		equalJSON(t, start(t, l, "function.wholeContext").value(`{}`), `{"awsRequestId":"`+string(testID)+`","callbackWaitsForEmptyEventLoop":true,"functionName":"fn","functionVersion":"7","invokedFunctionArn":"`+testARN+`","logGroupName":"/aws/lambda/fn","logStreamName":"2026/01/01/[7]abc","memoryLimitInMB":"512"}`)
	})
	t.Run("no callbacks from nodejs24.x on", func(t *testing.T) {
		newer := l
		newer.runtime = "nodejs24.x"
		if e := start(t, newer, "function.callback").initFailure(); e.Type != "Runtime.CallbackHandlerDeprecated" {
			t.Errorf("%+v", e)
		}
		if v := start(t, newer, "function.neverCalled").value(`{}`); v != `"ignored"` {
			t.Error(v) // a plain return value is the answer
		}
	})
	t.Run("log level", func(t *testing.T) {
		p := start(t, l, "function.log", "AWS_LAMBDA_LOG_LEVEL=ERROR")
		p.value(`{}`)
		p.idle()
		if log := p.log.String(); strings.Contains(log, "warned") || !strings.Contains(log, "caught") {
			t.Error(log)
		}
	})
}

func TestNodeJSStreaming(t *testing.T) {
	l := byName(t, "nodejs")
	t.Run("prelude", func(t *testing.T) {
		p := start(t, l, "function.stream")
		for range 2 {
			o := p.invoke(`{}`)
			if !o.Streaming || o.ErrorType != "" || string(o.Payload) != "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00one two" || o.ContentType != "application/vnd.awslambda.http-integration-response" {
				t.Fatalf("%+v %q", o, o.Payload)
			}
		}
	})
	t.Run("pipeline", func(t *testing.T) {
		o := start(t, l, "function.streamPipeline").invoke(`3000000`)
		if len(o.Payload) != 3000001 || o.ContentType != "text/plain" {
			t.Fatal(len(o.Payload), o.ContentType)
		}
	})
	t.Run("failures", func(t *testing.T) {
		for handler, want := range map[string]string{
			"function.streamFails":       "in the middle",
			"function.streamFailsAtOnce": "at once",
			"function.streamNotEnded":    "Response stream is not finished.",
		} {
			p := start(t, l, handler)
			for range 2 {
				if e := p.failure(`{}`); e.Message != want {
					t.Errorf("%s: %+v", handler, e)
				}
			}
		}
	})
	t.Run("over the bound", func(t *testing.T) {
		p := start(t, l, "function.streamPipeline")
		if e := p.failure(`7000000`); e.Type != "Function.ResponseSizeTooLarge" {
			t.Errorf("%+v", e)
		}
		p.idle()
		if o := p.invoke(`1`); string(o.Payload) != "ab" {
			t.Errorf("%s", o.Payload)
		}
	})
}

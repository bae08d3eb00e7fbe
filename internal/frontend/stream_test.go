package frontend

import (
	"errors"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

// streamed keeps what InvokeWithResponseStream answers.
type streamed struct {
	out    *api.InvokeWithResponseStreamResponse
	chunks string
	done   *api.InvokeWithResponseStreamCompleteEvent
	gone   error
}

func (s *streamed) Begin(out *api.InvokeWithResponseStreamResponse) error {
	s.out = out
	return s.gone
}

func (s *streamed) Send(e *api.InvokeWithResponseStreamResponseEvent) error {
	if e.PayloadChunk != nil {
		s.chunks += string(e.PayloadChunk.Payload) + "|"
	} else {
		s.done = e.InvokeComplete
	}
	return s.gone
}

func TestInvokeWithResponseStream(t *testing.T) {
	gone := errors.New("gone")
	for _, tc := range []struct {
		name          string
		parts         []string
		payload, fail string
		gone          error
		chunks        string
	}{
		{"streamed", []string{"a", "b"}, "", "", nil, "a|b|"},
		{"whole", nil, "all", "", nil, "all|"},
		{"failed before", nil, `{"errorType":"E"}`, "Unhandled", nil, ""},
		{"failed amid", []string{"a"}, `{"errorType":"E"}`, "Unhandled", nil, "a|"},
		{"nothing", []string{}, "", "", nil, ""},
		{"client gone", []string{"a", "b"}, "", "", gone, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, i := setUp(t, 0)
			i.result.Payload, i.result.FunctionError, i.result.LogTail = []byte(tc.payload), tc.fail, []byte("log")
			i.do = func() {
				if tc.parts == nil {
					return
				}
				i.in.Stream.Begin("text/plain")
				for _, p := range tc.parts {
					i.in.Stream.Send([]byte(p))
				}
			}
			call, got := newCall(), &streamed{gone: tc.gone}
			err := f.InvokeWithResponseStream(t.Context(), call, &api.InvokeWithResponseStreamRequest{FunctionName: wire.Ptr("f:blue"), LogType: wire.Ptr(api.LogTypeTail)}, got)
			if err != nil {
				t.Fatal(err)
			}
			if got.out == nil || *got.out.ExecutedVersion != "1" || got.chunks != tc.chunks || call.AnswerHeader.Get("X-Amzn-Trace-Id") == "" {
				t.Errorf("%+v, header %v", got, call.AnswerHeader)
			}
			if tc.gone != nil {
				return
			}
			if got.done == nil || value(got.done.ErrorCode) != tc.fail || value(got.done.LogResult) != "bG9n" {
				t.Fatalf("complete %+v", got.done)
			}
			if tc.fail != "" && value(got.done.ErrorDetails) != tc.payload {
				t.Errorf("details %s", *got.done.ErrorDetails)
			}
		})
	}
}

func TestInvokeWithResponseStreamRefuses(t *testing.T) {
	f, i := setUp(t, 0)
	for _, in := range []*api.InvokeWithResponseStreamRequest{
		{FunctionName: wire.Ptr("absent")},
		{FunctionName: wire.Ptr("f"), Payload: []byte("{")},
		{FunctionName: wire.Ptr("f"), Payload: make([]byte, payloadBytesMax+1)},
		{FunctionName: wire.Ptr("f"), ClientContext: wire.Ptr("?")},
		{FunctionName: wire.Ptr("f"), TenantId: wire.Ptr("t")},
		{FunctionName: wire.Ptr("a b")},
	} {
		got := &streamed{}
		if err := f.InvokeWithResponseStream(t.Context(), newCall(), in, got); err == nil || got.out != nil {
			t.Errorf("%s: %v, %+v", *in.FunctionName, err, got)
		}
	}
	got := &streamed{}
	err := f.InvokeWithResponseStream(t.Context(), newCall(), &api.InvokeWithResponseStreamRequest{FunctionName: wire.Ptr("f"), InvocationType: wire.Ptr(api.ResponseStreamingInvocationTypeDryRun)}, got)
	if err != nil || *got.out.StatusCode != 204 || got.done != nil || i.in != nil {
		t.Errorf("dry run: %v, %+v", err, got)
	}
}

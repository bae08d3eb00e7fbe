package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/eventstream"
)

type streamAnswer = wire.EventStream[*lambda.InvokeWithResponseStreamResponse, *lambda.InvokeWithResponseStreamResponseEvent]

func streamServer(t *testing.T, handle func(answer streamAnswer) error) string {
	t.Helper()
	s, err := wire.NewServer(wire.Config{
		Services: []*wire.Service{lambda.NewService(lambda.Handlers{
			InvokeWithResponseStream: func(_ context.Context, _ *wire.Call, _ *lambda.InvokeWithResponseStreamRequest, answer streamAnswer) error {
				return handle(answer)
			},
		})},
		Authenticator: anybody{},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL + "/2021-11-15/functions/f/response-streaming-invocations"
}

// TestEventsAreSentAtOnce sends the second event only when the client has the first.
func TestEventsAreSentAtOnce(t *testing.T) {
	seen := make(chan struct{})
	url := streamServer(t, func(answer streamAnswer) error {
		if err := answer.Begin(&lambda.InvokeWithResponseStreamResponse{ExecutedVersion: wire.Ptr("7")}); err != nil {
			return err
		}
		if err := answer.Send(&lambda.InvokeWithResponseStreamResponseEvent{PayloadChunk: &lambda.InvokeResponseStreamUpdate{Payload: []byte("first")}}); err != nil {
			return err
		}
		<-seen
		return answer.Send(&lambda.InvokeWithResponseStreamResponseEvent{InvokeComplete: &lambda.InvokeWithResponseStreamCompleteEvent{ErrorCode: wire.Ptr("Unhandled")}})
	})
	res, err := http.Post(url, "", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if h := res.Header; res.StatusCode != 200 || h.Get("Content-Type") != "application/vnd.amazon.eventstream" || h.Get("X-Amz-Executed-Version") != "7" {
		t.Errorf("status %d, header %v", res.StatusCode, h)
	}
	r := eventstream.NewReader(res.Body)
	wantEvent(t, r, "PayloadChunk", "application/octet-stream", "first")
	close(seen)
	wantEvent(t, r, "InvokeComplete", "application/json", `{"ErrorCode":"Unhandled"}`)
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the last event: %v", err)
	}
}

func wantEvent(t *testing.T, r *eventstream.Reader, kind, contentType, payload string) {
	t.Helper()
	m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{":message-type": "event", ":event-type": kind, ":content-type": contentType} {
		if have, _ := m.Get(name); have != eventstream.String(want) {
			t.Errorf("%s is %v, want %s", name, have, want)
		}
	}
	if string(m.Payload) != payload {
		t.Errorf("payload %s, want %s", m.Payload, payload)
	}
}

// TestFaultBeforeEvents: nothing has begun, so it is answered as in any other operation.
func TestFaultBeforeEvents(t *testing.T) {
	url := streamServer(t, func(streamAnswer) error { return lambda.NewResourceNotFoundException("no such function") })
	res, err := http.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 404 || !strings.Contains(string(b), "no such function") {
		t.Errorf("%d %s", res.StatusCode, b)
	}
}

// TestFaultAmongEvents: the status has gone, so the client must see the answer cut off.
func TestFaultAmongEvents(t *testing.T) {
	url := streamServer(t, func(answer streamAnswer) error {
		if err := answer.Begin(&lambda.InvokeWithResponseStreamResponse{}); err != nil {
			return err
		}
		return errors.New("broken")
	})
	res, err := http.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the answer looks whole")
	}
}

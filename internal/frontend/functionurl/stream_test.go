package functionurl

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/record"
)

// streaming serves a URL whose function answers as run says.
func streaming(t *testing.T, run func(to frontend.Stream) frontend.Answer) string {
	t.Helper()
	w := newWorld(t, map[string]record.FunctionURL{record.Latest: {ID: "abc", AuthType: "NONE", InvokeMode: modeStream}})
	w.handler.opts.Invoke = func(_ context.Context, r *frontend.Request) (frontend.Answer, error) {
		return run(r.Stream), w.err
	}
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	return server.URL + at
}

func failed(payload string) (a frontend.Answer) {
	a.FunctionError, a.Payload = "Unhandled", []byte(payload)
	return a
}

func TestStreamIsPassedOnAtOnce(t *testing.T) {
	seen := make(chan struct{})
	url := streaming(t, func(to frontend.Stream) frontend.Answer {
		to.Begin(frontend.StreamHead{ContentType: preludeType, TraceID: "Root=1"})
		for _, part := range []string{`{"statusCode":201,"headers":{"x-a":"b","content-type":"text/plain"},"coo`, `kies":["c=d"]}` + "\x00\x00\x00", "\x00\x00\x00\x00\x00first"} {
			to.Send([]byte(part))
		}
		<-seen
		to.Send([]byte(" second"))
		return frontend.Answer{}
	})
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	h := res.Header
	if res.StatusCode != 201 || h.Get("X-A") != "b" || h.Get("Content-Type") != "text/plain" || h.Get("Set-Cookie") != "c=d" || h.Get("X-Amzn-Trace-Id") != "Root=1" {
		t.Errorf("status %d, header %v", res.StatusCode, h)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%s, %v", first, err)
	}
	close(seen) // the function has not ended before
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != " second" {
		t.Errorf("%s, %v", rest, err)
	}
}

func TestStreamsAndFailures(t *testing.T) {
	for _, tc := range []struct {
		name   string
		run    func(to frontend.Stream) frontend.Answer
		status int
		kind   string
		body   string
		cut    bool
	}{
		{"no prelude", func(to frontend.Stream) frontend.Answer {
			to.Begin(frontend.StreamHead{ContentType: "text/event-stream"})
			to.Send([]byte("data"))
			return frontend.Answer{}
		}, 200, "text/event-stream", "data", false},
		{"whole", func(frontend.Stream) (a frontend.Answer) {
			a.Payload, a.ContentType = []byte(`{"statusCode":404}`), "application/json"
			return a
		}, 200, "application/json", `{"statusCode":404}`, false},
		{"failed before", func(frontend.Stream) frontend.Answer { return failed("{}") }, 502, "application/json", "Internal Server Error", false},
		{"failed amid", func(to frontend.Stream) frontend.Answer {
			to.Begin(frontend.StreamHead{ContentType: "text/plain"})
			to.Send([]byte("half"))
			return failed("{}")
		}, 200, "text/plain", "half", true},
		{"prelude without an end", func(to frontend.Stream) frontend.Answer {
			to.Begin(frontend.StreamHead{ContentType: preludeType})
			to.Send([]byte(strings.Repeat("x", preludeBytesMax+1)))
			to.Send(preludeEnd)
			return frontend.Answer{}
		}, 502, "application/json", "Internal Server Error", false},
		{"prelude of another kind", func(to frontend.Stream) frontend.Answer {
			to.Begin(frontend.StreamHead{ContentType: preludeType})
			to.Send(append([]byte(`{"statusCode":"many"}`), preludeEnd...))
			return frontend.Answer{}
		}, 502, "application/json", "Internal Server Error", false},
		{"nothing to say", func(to frontend.Stream) frontend.Answer {
			to.Begin(frontend.StreamHead{ContentType: preludeType})
			to.Send(append([]byte(`{}`), preludeEnd...))
			return frontend.Answer{}
		}, 200, "application/octet-stream", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, err := http.Get(streaming(t, tc.run))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if (err != nil) != tc.cut || res.StatusCode != tc.status || res.Header.Get("Content-Type") != tc.kind || string(b) != tc.body {
				t.Errorf("%d %s %q, %v", res.StatusCode, res.Header.Get("Content-Type"), b, err)
			}
		})
	}
}

func FuzzPrelude(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":"b"}}`+"\x00\x00\x00\x00\x00\x00\x00\x00body"), 7)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		s := newStreamed(httptest.NewRecorder(), nil)
		s.Begin(frontend.StreamHead{ContentType: preludeType})
		cut = min(max(cut, 0), len(b))
		s.Send(b[:cut])
		s.Send(b[cut:])
		s.end(&frontend.Answer{})
	})
}

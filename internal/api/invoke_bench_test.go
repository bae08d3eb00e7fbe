package api_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

// BenchmarkInvoke measures what the server adds to an invoke: routing, decoding,
// validation, the answer's headers; without the connection and the signature.
func BenchmarkInvoke(b *testing.B) {
	server := newServer(b, lambda.Handlers{
		Invoke: func(_ context.Context, _ *wire.Call, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
			return &lambda.InvocationResponse{StatusCode: wire.Ptr[int32](200), ExecutedVersion: wire.Ptr("$LATEST"), Payload: in.Payload}, nil
		},
	})
	for _, bc := range []struct {
		name string
		size int
	}{{"100B", 100}, {"6MB", 6 << 20}} {
		b.Run(bc.name, func(b *testing.B) {
			payload := bytes.Repeat([]byte("x"), bc.size)
			body := &reusable{data: payload}
			r := &http.Request{
				Method: "POST", Host: "127.0.0.1:4566", RemoteAddr: "127.0.0.1:40000", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
				URL: &url.URL{Path: "/2015-03-31/functions/hello/invocations"},
				Header: http.Header{
					"Authorization":         {scope("lambda")},
					"X-Amz-Invocation-Type": {"RequestResponse"},
					"User-Agent":            {"Boto3/1.43"},
				},
				Body: body, ContentLength: int64(bc.size),
			}
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			b.SetBytes(int64(bc.size))
			for b.Loop() {
				body.at = 0
				clear(w.header)
				server.ServeHTTP(w, r)
				if w.status != 200 || w.n != bc.size {
					b.Fatal(w.status, w.n)
				}
			}
		})
	}
}

// TestInvokeAllocations keeps the hot path lean; it was 23 when it was written.
func TestInvokeAllocations(t *testing.T) {
	const allocationsMax = 28
	server := newServer(t, lambda.Handlers{
		Invoke: func(_ context.Context, _ *wire.Call, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
			return &lambda.InvocationResponse{StatusCode: wire.Ptr[int32](200), ExecutedVersion: wire.Ptr("$LATEST"), Payload: in.Payload}, nil
		},
	})
	body := &reusable{data: []byte(`{"a":1}`)}
	r := &http.Request{
		Method: "POST", Host: "127.0.0.1:4566", RemoteAddr: "127.0.0.1:40000", URL: &url.URL{Path: "/2015-03-31/functions/hello/invocations"},
		Header: http.Header{"Authorization": {scope("lambda")}}, Body: body, ContentLength: 7,
	}
	w := &sink{header: http.Header{}}
	n := testing.AllocsPerRun(200, func() {
		body.at = 0
		clear(w.header)
		server.ServeHTTP(w, r)
	})
	if w.status != 200 || n > allocationsMax {
		t.Errorf("status %d with %.0f allocations, want at most %d", w.status, n, allocationsMax)
	}
}

type reusable struct {
	data []byte
	at   int
}

func (r *reusable) Read(p []byte) (int, error) {
	if r.at == len(r.data) {
		return 0, io.EOF
	}
	n := copy(p, r.data[r.at:])
	r.at += n
	return n, nil
}

func (r *reusable) Close() error { return nil }

// sink is a ResponseWriter that counts.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(status int) {
	s.status, s.n = status, 0
}
func (s *sink) Write(p []byte) (int, error) {
	s.n += len(p)
	return len(p), nil
}

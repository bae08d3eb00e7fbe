package runtimeapi

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// taker is a Stream that tells of each part.
type taker chan string

func (tk taker) Begin(contentType string) { tk <- "begin " + contentType }
func (tk taker) Send(p []byte)            { tk <- string(p) }

func (tk taker) want(t *testing.T, what string) {
	t.Helper()
	select {
	case have := <-tk:
		if have != what {
			t.Fatalf("got %.80q, want %.80q", have, what)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%.80q never came", what)
	}
}

func serveWith(t testing.TB, opts Options) (*Session, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, opts)
	t.Cleanup(func() { s.Close() })
	return s, l.Addr().String()
}

func streamed(t *testing.T, opts Options, fields string) (*peer, taker, <-chan result) {
	t.Helper()
	s, addr := serveWith(t, opts)
	tk := make(taker, 64)
	inv := invocation("id-1", "{}")
	inv.Stream = tk
	done := invoke(t, s, inv)
	p := dial(t, addr)
	p.next()
	p.send("POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/x\r\n%s\r\n", fields)
	tk.want(t, "begin text/x")
	return p, tk, done
}

const chunkedField = "Transfer-Encoding: chunked\r\n"

func TestStreamArrivesAsItIsWritten(t *testing.T) {
	p, tk, done := streamed(t, Options{}, chunkedField)
	p.send("3\r\none\r\n")
	tk.want(t, "one") // long before the answer ends
	p.send("6\r\ntw")
	tk.want(t, "tw") // a chunk that is not whole, too
	p.send("o...\r\n0\r\n\r\n")
	tk.want(t, "o...")
	if res, _ := p.read(); res.StatusCode != 202 {
		t.Errorf("status %d", res.StatusCode)
	}
	r := <-done
	if r.err != nil || !r.o.Streaming || r.o.Streamed != 9 || len(r.o.Payload) != 0 || r.o.ErrorType != "" {
		t.Errorf("outcome %+v, %v", r.o, r.err)
	}
}

func TestStreamOfKnownLength(t *testing.T) {
	p, tk, done := streamed(t, Options{}, "Content-Length: 4\r\n")
	p.send("ab")
	tk.want(t, "ab")
	p.send("cd")
	tk.want(t, "cd")
	p.read()
	if r := <-done; r.err != nil || r.o.Streamed != 4 {
		t.Errorf("outcome %+v, %v", r.o, r.err)
	}
}

func TestStreamBreaks(t *testing.T) {
	for _, tc := range []struct{ name, rest, errorType, payload string }{
		{"trailer", "0\r\nLambda-Runtime-Function-Error-Type: Function.Oops\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n", "Function.Oops", `{"a":1}`},
		{"too large", "ff\r\n", "Function.ResponseSizeTooLarge", `{"errorMessage":"Response payload size exceeded maximum allowed payload size (100 bytes).","errorType":"Function.ResponseSizeTooLarge"}`},
		{"malformed", "zz\r\n", "Runtime.TruncatedResponse", `{"errorMessage":"The response ended before it was complete.","errorType":"Runtime.TruncatedResponse"}`},
		{"lost", "", "Runtime.TruncatedResponse", `{"errorMessage":"The response ended before it was complete.","errorType":"Runtime.TruncatedResponse"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, tk, done := streamed(t, Options{StreamBytesMax: 100}, chunkedField)
			p.send("3\r\none\r\n")
			tk.want(t, "one")
			if p.send("%s", tc.rest); tc.rest == "" {
				p.nc.Close()
			}
			r := <-done
			if r.err != nil || r.o.ErrorType != tc.errorType || string(r.o.Payload) != tc.payload || r.o.Streamed != 3 {
				t.Errorf("outcome %+v %s, %v", r.o, r.o.Payload, r.err)
			}
		})
	}
}

func TestStreamGivenUp(t *testing.T) {
	s, addr := serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	inv := invocation("id-1", "{}")
	tk := make(taker, 64)
	inv.Stream = tk
	ended := make(chan error)
	go func() { _, err := s.Invoke(ctx, inv); ended <- err }()
	p := dial(t, addr)
	p.next()
	p.send("POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n%s\r\n1\r\nx\r\n", chunkedField)
	tk.want(t, "begin application/json")
	tk.want(t, "x")
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestWholeAnswerToAStream(t *testing.T) {
	s, addr := serve(t)
	inv := invocation("id-1", "{}")
	inv.Stream = make(taker) // nobody takes: it must not be asked
	done := invoke(t, s, inv)
	p := dial(t, addr)
	p.next()
	p.post("invocation/id-1/response", "", "whole")
	if r := <-done; r.err != nil || string(r.o.Payload) != "whole" || r.o.Streaming {
		t.Errorf("outcome %+v, %v", r.o, r.err)
	}
}

func TestPace(t *testing.T) {
	at := time.Unix(1, 0)
	p := pace{burst: 100, perSecond: 10}
	for _, tc := range []struct {
		after, want time.Duration
		n           int
	}{
		{0, 0, 100},
		{0, time.Second, 10},
		{time.Second, 0, 0},
		{time.Hour, 0, 100}, // never more than the burst
		{0, 500 * time.Millisecond, 5},
	} {
		at = at.Add(tc.after)
		if have := p.take(at, tc.n); have != tc.want {
			t.Errorf("after %v, %d bytes wait %v, want %v", tc.after, tc.n, have, tc.want)
		}
	}
}

func TestStreamIsPaced(t *testing.T) {
	p, tk, done := streamed(t, Options{streamBurst: 10, streamPerSecond: 100}, chunkedField)
	began := time.Now()
	p.send("1e\r\n%s\r\n0\r\n\r\n", strings.Repeat("x", 30))
	<-tk
	if r := <-done; r.err != nil || time.Since(began) < 150*time.Millisecond {
		t.Errorf("%v after %v", r.err, time.Since(began))
	}
}

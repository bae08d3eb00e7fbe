package runtimeapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMalformedRequests(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"no version", "GET /\r\n\r\n", 400},
		{"garbage", "\x16\x03\x01\x02\x00\x01\r\n\r\n", 400},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"space in name", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		{"folded", "GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", 400},
		{"bare CR", "GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		{"signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400},
		{"huge length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		{"length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"gzip", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"long target", "GET /" + strings.Repeat("x", targetBytesMax) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		{"many fields", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("a: b\r\n", headFieldsMax) + "\r\n", 431},
		{"endless head", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", headBytesMax), 431},
		{"unknown path", "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"bare LF", "GET /x HTTP/1.1\nHost: x\n\n", 404},
		{"empty lines first", "\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"absolute form", "GET http://a/x?q HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"HTTP/1.0", "GET /x HTTP/1.0\r\n\r\n", 404},
		{"bad chunk", "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"chunk without end", "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := serve(t)
			p := dial(t, addr)
			go io.WriteString(p.nc, tt.request)
			res, err := http.ReadResponse(p.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tt.status {
				t.Fatal(res.Status)
			}
		})
	}
}

func TestConnectionClose(t *testing.T) {
	for _, request := range []string{
		"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\n\r\n",
	} {
		for _, parked := range []bool{false, true} {
			s, addr := serve(t)
			p := dial(t, addr)
			inv := invocation("i", "{}")
			var ch <-chan result
			if !parked {
				ch = invoke(t, s, inv)
				for s.inHand() == nil {
					time.Sleep(time.Millisecond)
				}
			}
			p.send("%s", request)
			if parked {
				if err := s.WaitNext(ctxFor(t)); err != nil {
					t.Fatal(err)
				}
				ch = invoke(t, s, inv)
			}
			if res, body := p.read(); !res.Close || body != "{}" {
				t.Fatalf("close=%v %q", res.Close, body)
			}
			if _, err := p.r.ReadByte(); err != io.EOF {
				t.Fatal("still open:", err)
			}
			p = dial(t, addr)
			p.post("invocation/i/response", "Connection: close\r\n", "1")
			if r := <-ch; r.err != nil {
				t.Fatal(r.err)
			}
			if _, err := p.r.ReadByte(); err != io.EOF {
				t.Fatal("still open:", err)
			}
		}
	}
}

func (s *Session) inHand() *Invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.call
}

func TestPipelined(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1" +
		"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if r := <-invoke(t, s, invocation("i", "{}")); r.err != nil || string(r.o.Payload) != "1" {
		t.Fatal(r)
	}
	for _, want := range []int{200, 202} {
		if res, _ := p.read(); res.StatusCode != want {
			t.Fatal(res.Status)
		}
	}
	if err := s.WaitNext(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
}

func TestExpectContinue(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	ch := invoke(t, s, invocation("i", "{}"))
	p.next()
	p.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	if line, err := p.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	p.r.ReadString('\n')
	p.send("[1]")
	if res, _ := p.read(); res.StatusCode != 202 {
		t.Fatal(res.Status)
	}
	<-ch
	ch = invoke(t, s, invocation("j", "{}"))
	p.next()
	p.send("POST /2018-06-01/runtime/invocation/j/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7000000\r\n\r\n")
	if res, _ := p.read(); res.StatusCode != 413 || !res.Close {
		t.Fatal(res.Status, "must be refused before it is sent")
	}
	<-ch
}

func TestConnectionsAreBounded(t *testing.T) {
	_, addr := serve(t)
	for range connsMax {
		p := dial(t, addr)
		p.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		p.read()
	}
	p := dial(t, addr)
	if _, err := p.r.ReadByte(); err == nil {
		t.Fatal("one too many was served")
	}
}

func TestSlowHeadsAreCutOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Options{headTime: 30 * time.Millisecond})
	defer s.Close()
	p := dial(t, l.Addr().String())
	// An idle connection may wait for ever; a head that has begun may not.
	p.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	p.read()
	p.send("GET /x HT")
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestInitErrorOverTheBound(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	if res, _ := p.post("init/error", "", strings.Repeat("x", ResponseBytesMax+1)); res.StatusCode != 413 {
		t.Fatal(res.Status)
	}
	if res, _ := p.post("init/error", "", "{}"); res.StatusCode != 202 { // the claim was given back
		t.Fatal(res.Status)
	}
	if err := s.Ready(ctxFor(t)); err == nil {
		t.Fatal("no init error")
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("POST http://a/b?c HTTP/1.0\nContent-Length: 5\nConnection: a, close\nExpect: 100-continue\n\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\nLambda-Runtime-Function-Error-Type: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := headEnd(b, 0)
		// Found step by step it is the same end.
		for i := range b {
			if m := headEnd(b[:i], 0); m >= 0 && m != n {
				t.Fatalf("end %d of %d bytes, %d of all", m, i, n)
			}
		}
		if n < 0 {
			return
		}
		var h head
		if err := h.parse(b[:n]); err != nil {
			return
		}
		if h.length < 0 || h.chunked && h.hasLength || len(h.method) == 0 {
			t.Fatalf("%+v", h)
		}
		// What is taken, net/http takes as well, or it is stricter on purpose.
		if bytes.IndexByte(h.path, '\n') >= 0 || bytes.IndexByte(h.path, ' ') >= 0 {
			t.Fatalf("path %q", h.path)
		}
	})
}

func FuzzConnection(f *testing.F) {
	f.Add([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\nPOST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: x\r\n\r\n"))
	f.Add([]byte("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &pipeListener{conns: make(chan net.Conn, 1), done: make(chan struct{})}
		s := Serve(l, Options{})
		ours, theirs := net.Pipe()
		l.conns <- theirs
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Invoke(ctx, invocation("i", "{}"))
		}()
		go io.Copy(io.Discard, ours)
		ours.SetWriteDeadline(time.Now().Add(5 * time.Second))
		ours.Write(b)
		ours.Close()
		cancel()
		<-ended
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

package runtimeapi

import (
	"io"
	"testing"
	"time"
)

const nextRequest = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"

// held answers an invocation with Hold, and returns before it is released.
func held(t *testing.T, s *Session, p *peer, header, after string) {
	t.Helper()
	p.send(nextRequest)
	inv := invocation("i", "{}")
	inv.Hold = true
	ch := invoke(t, s, inv)
	p.read()
	p.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nHost: x\r\n%sContent-Length: 1\r\n\r\n1%s", header, after)
	if r := <-ch; r.err != nil || string(r.o.Payload) != "1" {
		t.Fatal(r)
	}
}

func TestHold(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	held(t, s, p, "", "")
	_ = p.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := p.r.Peek(1); err == nil {
		t.Fatalf("acknowledged before Release: %q", b)
	}
	_ = p.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	s.Release()
	s.Release() // nothing is owed any more
	if res, _ := p.read(); res.StatusCode != 202 {
		t.Fatal(res.Status)
	}
	p.send(nextRequest)
	if err := s.WaitNext(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
}

// What the runtime asks before it has its acknowledgement is answered after that.
func TestHoldPipelined(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	held(t, s, p, "", nextRequest)
	s.Release()
	if res, _ := p.read(); res.StatusCode != 202 {
		t.Fatal(res.Status)
	}
	ch := invoke(t, s, invocation("j", `"second"`))
	if res, body := p.read(); res.StatusCode != 200 || body != `"second"` {
		t.Fatal(res.Status, body)
	}
	p.post("invocation/j/response", "", "2")
	if r := <-ch; r.err != nil {
		t.Fatal(r.err)
	}
}

func TestHoldConnectionEnds(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	held(t, s, p, "Connection: close\r\n", "")
	s.Release()
	if res, _ := p.read(); res.StatusCode != 202 || !res.Close {
		t.Fatal(res.Status, res.Close)
	}
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Fatal("still open:", err)
	}

	// A runtime that does not wait for its acknowledgement loses nothing but that.
	p = dial(t, addr)
	held(t, s, p, "", "")
	p.nc.Close()
	for s.connections() > 0 {
		time.Sleep(time.Millisecond)
	}
	s.Release()
	p = dial(t, addr)
	p.send(nextRequest)
	if err := s.WaitNext(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
}

// A session that ends while a response is held leaves nothing behind.
func TestHoldClosed(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	held(t, s, p, "", "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Release()
}

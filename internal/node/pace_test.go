package node

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	p := &pace{every: time.Millisecond, burst: 10, now: func() time.Time { return now }}
	for range 10 {
		if d := p.turn(); d > 0 {
			t.Fatalf("waits %v within the burst", d)
		}
	}
	for i := range 5 {
		if d := p.turn(); d != time.Duration(i+1)*time.Millisecond {
			t.Errorf("turn %d after the burst waits %v", i, d)
		}
	}
	now = now.Add(8 * time.Millisecond) // 5 of them were taken
	for i := range 3 {
		if d := p.turn(); d > 0 {
			t.Errorf("saved turn %d waits %v", i, d)
		}
	}
	if d := p.turn(); d <= 0 {
		t.Error("more turns than were saved")
	}
	now = now.Add(time.Hour)
	for range 10 {
		p.turn()
	}
	if d := p.turn(); d <= 0 {
		t.Error("an hour saved more than a burst")
	}
}

// TestSandboxConnections: what the code of one sandbox opens at lambdad's endpoint is bounded, and a place that
// becomes free is used again.
func TestSandboxConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pace{burst: 1, now: time.Now}
	server := &http.Server{Handler: p.handler(http.NotFoundHandler())}
	paced := newPacedListener(l, p)
	served := make(chan error, 1)
	go func() { served <- server.Serve(paced) }()
	ask := func(c net.Conn) error {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 12))
		return err
	}
	var held []net.Conn
	for range sandboxConnsMax {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := ask(c); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	further, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer further.Close()
	answered := make(chan error, 1)
	go func() { answered <- ask(further) }()
	select {
	case err := <-answered:
		t.Fatalf("one connection too many was served: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	held[0].Close()
	if err := <-answered; err != nil {
		t.Errorf("after another was closed: %v", err)
	}
	for _, c := range held {
		c.Close()
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-served
}

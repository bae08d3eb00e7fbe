package runtimeapi

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	askStart   = "GET /2018-06-01/lambdad/start HTTP/1.1\r\nHost: x\r\n\r\n"
	askRestore = "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n"
)

func serveGates(t testing.TB, g Gates) (*Session, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Options{Gates: g})
	t.Cleanup(func() { s.Close() })
	return s, l.Addr().String()
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// errorOf posts an error and returns the answer's status.
func (p *peer) errorOf(path, errorType string) int {
	p.t.Helper()
	p.send("POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Error-Type: %s\r\nContent-Length: 2\r\n\r\n{}", path, errorType)
	res, _ := p.read()
	return res.StatusCode
}

func TestGateStart(t *testing.T) {
	s, addr := serveGates(t, Gates{Start: true})
	p := dial(t, addr)
	p.send(askStart)
	if err := s.WaitGate(soon(t), GateStart); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenGate(GateStart, []byte(`{"environment":{"A":"1"}}`)); err != nil {
		t.Fatal(err)
	}
	res, body := p.read()
	if res.StatusCode != 200 || body != `{"environment":{"A":"1"}}` || res.Header.Get("Content-Type") != "application/json" {
		t.Fatal(res.Status, body)
	}
	for name, err := range map[string]error{
		"opened twice":         s.OpenGate(GateStart, []byte("{}")),
		"waited for when open": s.WaitGate(soon(t), GateStart),
	} {
		if !errors.Is(err, ErrGatePassed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	// What the function runs on cannot wait there again, nor read what was its own.
	q := dial(t, addr)
	q.send(askStart)
	if res, body := q.read(); res.StatusCode != 403 || strings.Contains(body, `"A"`) {
		t.Fatal(res.Status, body)
	}
}

// TestGateOpenedFirst: the answer is there before the question.
func TestGateOpenedFirst(t *testing.T) {
	s, addr := serveGates(t, Gates{Restore: true})
	if err := s.OpenGate(GateRestore, []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	p := dial(t, addr)
	p.send(askRestore)
	if res, body := p.read(); res.StatusCode != 200 || body != `{"a":1}` {
		t.Fatal(res.Status, body)
	}
	// A copy that lost its connection on the way asks again.
	p.nc.Close()
	p = dial(t, addr)
	p.send(askRestore)
	if res, body := p.read(); res.StatusCode != 200 || body != `{"a":1}` {
		t.Fatal(res.Status, body)
	}
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
}

func TestGateLosesItsRuntime(t *testing.T) {
	s, addr := serveGates(t, Gates{Start: true})
	p := dial(t, addr)
	p.send(askStart)
	if err := s.WaitGate(soon(t), GateStart); err != nil {
		t.Fatal(err)
	}
	p.nc.Close()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for ctx := soon(t); s.WaitGate(over, GateStart) == nil; {
		if ctx.Err() != nil {
			t.Fatal("a runtime that is gone waits for ever")
		}
		time.Sleep(time.Millisecond)
	}
	if err := s.WaitGate(over, GateStart); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p = dial(t, addr)
	p.send(askStart)
	if err := s.WaitGate(soon(t), GateStart); err != nil {
		t.Fatal(err)
	}
	// The newest request counts.
	q := dial(t, addr)
	q.send(askStart)
	if _, err := p.r.ReadByte(); err == nil {
		t.Fatal("the older request was answered")
	}
	if err := s.OpenGate(GateStart, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if res, _ := q.read(); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
}

func TestGateErrors(t *testing.T) {
	t.Run("not served", func(t *testing.T) {
		s, addr := serve(t)
		p := dial(t, addr)
		for _, ask := range []string{askStart, askRestore} {
			p.send("%s", ask)
			if res, _ := p.read(); res.StatusCode != 404 {
				t.Error(ask, res.Status)
			}
		}
		if status := p.errorOf("restore/error", "Runtime.X"); status != 404 {
			t.Error(status)
		}
		if err := s.WaitGate(soon(t), GateRestore); !errors.Is(err, ErrNoGate) {
			t.Error(err)
		}
		if err := s.OpenGate(GateStart, []byte("{}")); !errors.Is(err, ErrNoGate) {
			t.Error(err)
		}
		if err := errors.Join(s.WaitGate(soon(t), 7)); !errors.Is(err, ErrNoGate) {
			t.Error(err)
		}
	})
	t.Run("init error instead", func(t *testing.T) {
		s, addr := serveGates(t, Gates{Restore: true})
		p := dial(t, addr)
		if status := p.errorOf("restore/error", "Runtime.TooEarly"); status != 403 {
			t.Error(status)
		}
		if status := p.errorOf("init/error", "Runtime.BeforeCheckpointError"); status != 202 {
			t.Error(status)
		}
		var refused *InitError
		if err := s.WaitGate(soon(t), GateRestore); !errors.As(err, &refused) || refused.ErrorType != "Runtime.BeforeCheckpointError" {
			t.Error(err)
		}
		if err := s.OpenGate(GateRestore, []byte("{}")); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("next instead", func(t *testing.T) {
		s, addr := serveGates(t, Gates{Restore: true})
		p := dial(t, addr)
		p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := s.WaitGate(soon(t), GateRestore); !errors.Is(err, ErrGatePassed) {
			t.Error(err)
		}
	})
	t.Run("next before it was restored", func(t *testing.T) {
		s, addr := serveGates(t, Gates{Restore: true})
		p := dial(t, addr)
		p.send(askRestore)
		if err := s.WaitGate(soon(t), GateRestore); err != nil {
			t.Fatal(err)
		}
		q := dial(t, addr)
		res, body := q.next()
		if res.StatusCode != 403 || !strings.Contains(body, "from RestoreReady to Ready") {
			t.Error(res.Status, body)
		}
	})
	t.Run("restore error", func(t *testing.T) {
		s, addr := serveGates(t, Gates{Restore: true})
		if err := s.OpenGate(GateRestore, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		p := dial(t, addr)
		p.send(askRestore)
		p.read()
		if status := p.errorOf("restore/error", "Runtime.AfterRestoreError"); status != 202 {
			t.Error(status)
		}
		var refused *InitError
		if err := s.Ready(soon(t)); !errors.As(err, &refused) || refused.ErrorType != "Runtime.AfterRestoreError" {
			t.Error(err)
		}
		if _, err := s.Invoke(soon(t), &Invocation{}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("method", func(t *testing.T) {
		_, addr := serveGates(t, Gates{Start: true, Restore: true})
		for _, request := range []string{
			"POST /2018-06-01/lambdad/start", "POST /2018-06-01/runtime/restore/next", "GET /2018-06-01/runtime/restore/error",
		} {
			p := dial(t, addr)
			p.send("%s HTTP/1.1\r\nHost: x\r\n\r\n", request)
			if res, _ := p.read(); res.StatusCode != 405 {
				t.Error(request, res.Status)
			}
		}
	})
	t.Run("closed", func(t *testing.T) {
		s, _ := serveGates(t, Gates{Start: true})
		done := make(chan error, 1)
		go func() { done <- s.WaitGate(context.Background(), GateStart) }()
		s.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := s.OpenGate(GateStart, []byte("{}")); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("bound", func(t *testing.T) {
		s, _ := serveGates(t, Gates{Start: true})
		for _, n := range []int{0, gateBodyMax + 1} {
			if err := s.OpenGate(GateStart, make([]byte, n)); err == nil {
				t.Error(n, "bytes pass")
			}
		}
	})
}

// FuzzGates: whatever a runtime asks in whatever order, the session ends, and an
// answer never goes to more than the gate was opened for.
func FuzzGates(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3})
	f.Add([]byte{1, 4, 1, 2, 5})
	f.Add([]byte{0, 6, 0, 7, 2})
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 12 {
			return
		}
		s, addr := serveGates(t, Gates{Start: true, Restore: true})
		p := dial(t, addr)
		for _, step := range steps {
			switch step % 8 {
			case 0:
				p.nc.Write([]byte(askStart))
			case 1:
				p.nc.Write([]byte(askRestore))
			case 2:
				p.nc.Write([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"))
			case 3:
				p.nc.Write([]byte("POST /2018-06-01/runtime/restore/error HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
			case 4:
				s.OpenGate(GateStart, []byte("{}"))
			case 5:
				s.OpenGate(GateRestore, []byte("{}"))
			case 6:
				p.nc.Close()
				p = dial(t, addr)
			case 7:
				p.nc.Write([]byte("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		s.WaitGate(ctx, GateStart)
		s.WaitGate(ctx, GateRestore)
		s.Close()
	})
}

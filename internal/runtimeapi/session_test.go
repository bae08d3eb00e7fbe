package runtimeapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

func serve(t testing.TB) (*Session, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(l, Options{})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

// peer is a hand-written runtime on one connection.
type peer struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func dial(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &peer{t, nc, bufio.NewReader(nc)}
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.nc, format, args...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read() (*http.Response, string) {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(b)
}

func (p *peer) next() (*http.Response, string) {
	p.t.Helper()
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	return p.read()
}

func (p *peer) post(path, fields, body string) (*http.Response, string) {
	p.t.Helper()
	p.send("POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, fields, len(body), body)
	return p.read()
}

func ctxFor(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type result struct {
	o   *Outcome
	err error
}

func invoke(t testing.TB, s *Session, inv *Invocation) <-chan result {
	ch := make(chan result, 1)
	ctx := ctxFor(t)
	go func() {
		o, err := s.Invoke(ctx, inv)
		ch <- result{o, err}
	}()
	return ch
}

func invocation(id, payload string) *Invocation {
	return &Invocation{
		RequestID:   aws.RequestID(id),
		Deadline:    time.UnixMilli(1700000000123),
		FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f",
		Payload:     []byte(payload),
	}
}

func TestInvokeDeliversHeadersAndPayload(t *testing.T) {
	s, addr := serve(t)
	inv := invocation("id-1", `{"a":1}`)
	inv.TraceID = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1"
	inv.ClientContext = "{\"custom\":\r\n{\"x\":\"é\"}}"
	inv.TenantID = "t1"
	ch := invoke(t, s, inv) // before the runtime asks
	p := dial(t, addr)
	res, body := p.next()
	if body != `{"a":1}` || res.StatusCode != 200 {
		t.Fatalf("%d %q", res.StatusCode, body)
	}
	want := map[string]string{
		"Content-Type":                        "application/json",
		"Lambda-Runtime-Aws-Request-Id":       "id-1",
		"Lambda-Runtime-Deadline-Ms":          "1700000000123",
		"Lambda-Runtime-Invoked-Function-Arn": inv.FunctionARN,
		"Lambda-Runtime-Trace-Id":             inv.TraceID,
		"Lambda-Runtime-Client-Context":       "{\"custom\":  {\"x\":\"é\"}}",
		"Lambda-Runtime-Aws-Tenant-Id":        "t1",
		"Lambda-Runtime-Cognito-Identity":     "",
	}
	for k, v := range want {
		if got := res.Header.Get(k); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
	if _, ok := res.Header["Lambda-Runtime-Cognito-Identity"]; ok {
		t.Error("an empty header was sent")
	}
	res, body = p.post("invocation/id-1/response", "", `"out"`)
	if res.StatusCode != 202 || body != "{\"status\":\"OK\"}\n" {
		t.Fatalf("%d %q", res.StatusCode, body)
	}
	r := <-ch
	if r.err != nil || string(r.o.Payload) != `"out"` || r.o.ErrorType != "" || r.o.ContentType != "application/json" || r.o.Streaming {
		t.Fatalf("%+v %v", r.o, r.err)
	}
	if r.o.Done.Before(r.o.FirstByte) || r.o.FirstByte.IsZero() {
		t.Error("times are not in order")
	}
}

func TestReadyAndWaitNext(t *testing.T) {
	s, addr := serve(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Ready(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	p := dial(t, addr)
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.Ready(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitNext(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		id := "id-" + strconv.Itoa(i)
		ch := invoke(t, s, invocation(id, "{}"))
		if res, _ := p.read(); res.Header.Get("Lambda-Runtime-Aws-Request-Id") != id {
			t.Fatal(res.Header)
		}
		p.post("invocation/"+id+"/response", "", "null")
		if r := <-ch; r.err != nil {
			t.Fatal(r.err)
		}
		short, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if err := s.WaitNext(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("not idle before next:", err)
		}
		cancel()
		p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := s.WaitNext(ctxFor(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInitError(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	res, _ := p.post("init/error", "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n", `{"errorMessage":"m"}`)
	if res.StatusCode != 202 {
		t.Fatal(res.Status)
	}
	var ie *InitError
	if err := s.Ready(ctxFor(t)); !errors.As(err, &ie) || ie.ErrorType != "Runtime.ImportModuleError" || string(ie.Payload) != `{"errorMessage":"m"}` {
		t.Fatalf("%#v", err)
	}
	res, body := p.next()
	if want := `{"errorMessage":"State transition from InitError to Ready failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}` + "\n"; res.StatusCode != 403 || body != want {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if res, _ := p.post("init/error", "", "{}"); res.StatusCode != 403 {
		t.Fatal(res.Status)
	}
	if _, err := s.Invoke(ctxFor(t), invocation("a", "")); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := s.WaitNext(ctxFor(t)); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestAnswersAreRefused(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	const badID = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}` + "\n"
	if res, body := p.post("invocation/id-1/response", "", "{}"); res.StatusCode != 400 || body != badID {
		t.Fatal("before any invocation:", res.Status, body)
	}
	ch := invoke(t, s, invocation("id-1", "{}"))
	p.next()
	if res, body := p.post("invocation/id-2/response", "", "{}"); res.StatusCode != 400 || body != badID {
		t.Fatal("forged:", res.Status, body)
	}
	if res, _ := p.post("invocation/id-2/error", "", "{}"); res.StatusCode != 400 {
		t.Fatal("forged:", res.Status)
	}
	if res, body := p.post("init/error", "", "{}"); res.StatusCode != 403 || !strings.Contains(body, "from Ready to InitError failed") {
		t.Fatal(res.Status, body)
	}
	if res, body := p.post("invocation/id-1/response", "Lambda-Runtime-Function-Response-Mode: other\r\n", "{}"); res.StatusCode != 400 || !strings.Contains(body, "InvalidFunctionResponseMode") {
		t.Fatal(res.Status, body)
	}
	if res, _ := p.post("invocation/id-1/response", "", "1"); res.StatusCode != 202 {
		t.Fatal(res.Status)
	}
	if r := <-ch; r.err != nil || string(r.o.Payload) != "1" {
		t.Fatal(r)
	}
	if res, body := p.post("invocation/id-1/response", "", "2"); res.StatusCode != 403 || !strings.Contains(body, "from ResponseSent to InvocationResponse failed") {
		t.Fatal("a second answer:", res.Status, body)
	}
	if res, body := p.post("invocation/id-1/error", "", "2"); res.StatusCode != 403 || !strings.Contains(body, "from ResponseSent to InvocationErrorResponse failed") {
		t.Fatal("a second answer:", res.Status, body)
	}
	for path, want := range map[string]int{"restore/next": 404, "restore/error": 404, "nothing": 404, "invocation/id-1/what": 404, "invocation/x": 404, "invocation/next": 405} {
		if res, _ := p.post(path, "", "{}"); res.StatusCode != want {
			t.Error(path, res.Status)
		}
	}
	p.send("GET /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := p.read(); res.StatusCode != 405 {
		t.Error(res.Status)
	}
	p.send("GET /2020-01-01/extension/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := p.read(); res.StatusCode != 404 {
		t.Error(res.Status)
	}
}

func TestErrorTypes(t *testing.T) {
	for in, want := range map[string]string{
		"Runtime.ExitError":       "Runtime.ExitError",
		"Function.SomeError":      "Function.SomeError",
		"Function.some":           "Function.Unknown",
		"Function.A":              "Function.Unknown",
		"Function.Abc1":           "Function.Unknown",
		"Function<RuntimeError>":  "Runtime.Unknown",
		"Runtime.":                "Runtime.Unknown",
		"":                        "Runtime.Unknown",
		"Exception":               "Runtime.Unknown",
		"Function.A\u00c4B":       "Function.Unknown",
		"Function.Abc.Def":        "Function.Unknown",
		"Runtime.ImportModuleErr": "Runtime.ImportModuleErr",
	} {
		if got := validErrorType([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPayloadBounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		size   int
		status int
	}{
		{"at the bound", ResponseBytesMax, 202},
		{"over the bound", ResponseBytesMax + 1, 413},
		{"far over the bound", 4 * ResponseBytesMax, 413},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s chunked=%v", tt.name, chunked), func(t *testing.T) {
				s, addr := serve(t)
				p := dial(t, addr)
				ch := invoke(t, s, invocation("i", "{}"))
				p.next()
				body := bytes.Repeat([]byte("x"), tt.size)
				var res *http.Response
				var text string
				if chunked {
					p.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
					for b := body; len(b) > 0; {
						n := min(len(b), 100_000)
						p.send("%x;ext=1\r\n%s\r\n", n, b[:n])
						b = b[n:]
					}
					p.send("0\r\n\r\n")
					res, text = p.read()
				} else {
					res, text = p.post("invocation/i/response", "", string(body))
				}
				if res.StatusCode != tt.status {
					t.Fatal(res.Status, text)
				}
				r := <-ch
				if r.err != nil {
					t.Fatal(r.err)
				}
				if tt.status == 202 {
					if !bytes.Equal(r.o.Payload, body) {
						t.Fatal("payload differs")
					}
				} else {
					if text != `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`+"\n" {
						t.Error(text)
					}
					if r.o.ErrorType != "Function.ResponseSizeTooLarge" || string(r.o.Payload) != `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}` {
						t.Errorf("%+v", r.o)
					}
				}
				// The connection goes on.
				ch = invoke(t, s, invocation("j", "{}"))
				p.next()
				p.post("invocation/j/response", "", "1")
				if r := <-ch; r.err != nil {
					t.Fatal(r.err)
				}
			})
		}
	}
}

func TestLargeInvocation(t *testing.T) {
	s, addr := serve(t)
	payload := strings.Repeat("é", 3<<20)
	ch := invoke(t, s, invocation("i", payload))
	p := dial(t, addr)
	if _, body := p.next(); body != payload {
		t.Fatal("payload differs")
	}
	p.post("invocation/i/error", "Lambda-Runtime-Function-Error-Type: Function.X\r\nContent-Type: text/plain\r\n", "e")
	if r := <-ch; r.err != nil || r.o.ErrorType != "Function.Unknown" || r.o.ContentType != "text/plain" {
		t.Fatalf("%+v", r)
	}
}

func TestStreamingResponse(t *testing.T) {
	const start = "POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nHost: x\r\nLambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: application/vnd.awslambda.http-integration-response\r\nTransfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
	t.Run("whole", func(t *testing.T) {
		s, addr := serve(t)
		p := dial(t, addr)
		ch := invoke(t, s, invocation("i", ""))
		p.next()
		p.send(start + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
		p.read()
		if r := <-ch; r.err != nil || !r.o.Streaming || string(r.o.Payload) != "abcde" || r.o.ContentType != "application/vnd.awslambda.http-integration-response" {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("broken in the middle", func(t *testing.T) {
		s, addr := serve(t)
		p := dial(t, addr)
		ch := invoke(t, s, invocation("i", ""))
		p.next()
		p.send(start + "3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Runtime.StreamError\r\nLambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJ4In0=\r\n\r\n")
		if res, _ := p.read(); res.StatusCode != 202 {
			t.Fatal(res.Status)
		}
		if r := <-ch; r.err != nil || r.o.ErrorType != "Runtime.StreamError" || string(r.o.Payload) != `{"errorMessage":"x"}` {
			t.Fatalf("%+v", r)
		}
	})
	t.Run("connection lost", func(t *testing.T) {
		s, addr := serve(t)
		p := dial(t, addr)
		ch := invoke(t, s, invocation("i", ""))
		p.next()
		p.send(start + "3\r\nab")
		p.nc.Close()
		p = dial(t, addr) // the same invocation is delivered again and can be answered
		for {
			if res, _ := p.next(); res.StatusCode == 200 {
				break
			}
		}
		p.post("invocation/i/response", "", "1")
		if r := <-ch; r.err != nil || string(r.o.Payload) != "1" {
			t.Fatalf("%+v", r)
		}
	})
}

func TestInvokeGivenUp(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, invocation("i", ""))
		ch <- err
	}()
	p.next()
	if _, err := s.Invoke(ctxFor(t), invocation("j", "")); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	cancel()
	if err := <-ch; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := s.Invoke(ctxFor(t), invocation("j", "")); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestInvokeDoesNotOutliveContextWhenRuntimeDoesNotRead(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.WaitNext(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Invoke(ctx, invocation("i", strings.Repeat("x", 64<<20))); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestCloseEndsWaits(t *testing.T) {
	s, addr := serve(t)
	p := dial(t, addr)
	ch := invoke(t, s, invocation("i", ""))
	p.next()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := <-ch; !errors.Is(r.err, ErrClosed) {
		t.Fatal(r)
	}
	if err := s.Ready(ctxFor(t)); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestDrainTakesLastWords(t *testing.T) {
	for range 200 {
		s, addr := serve(t)
		p := dial(t, addr)
		p.send("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		p.nc.Close()
		if err := s.Drain(ctxFor(t)); err != nil {
			t.Fatal(err)
		}
		var ie *InitError
		if err := s.Ready(ctxFor(t)); !errors.As(err, &ie) {
			t.Fatal(err)
		}
	}
}

func TestNewestNextCounts(t *testing.T) {
	s, addr := serve(t)
	old := dial(t, addr)
	old.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.WaitNext(ctxFor(t)); err != nil {
		t.Fatal(err)
	}
	p := dial(t, addr)
	p.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := old.r.ReadByte(); err == nil {
		t.Fatal("the older connection stays")
	}
	ch := invoke(t, s, invocation("i", "{}"))
	p.read()
	p.post("invocation/i/response", "", "1")
	if r := <-ch; r.err != nil {
		t.Fatal(r.err)
	}
}

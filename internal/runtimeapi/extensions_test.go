package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var aFunction = Function{Name: "f", Version: "7", Handler: "h.handler", Account: "123456789012"}

// register registers and returns the identifier.
func (p *peer) register(name, events string) string {
	p.t.Helper()
	res, body := p.extension("POST", "register", "Lambda-Extension-Name: "+name+"\r\n", `{"events":`+events+`}`)
	if res.StatusCode != 200 {
		p.t.Fatal("register ", name, ": ", res.Status, body)
	}
	return res.Header.Get("Lambda-Extension-Identifier")
}

func (p *peer) extension(method, path, fields, body string) (*http.Response, string) {
	p.t.Helper()
	p.send("%s /2020-01-01/extension/%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, fields, len(body), body)
	return p.read()
}

func (p *peer) askEvent(id string) {
	p.t.Helper()
	p.send("GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: x\r\nLambda-Extension-Identifier: %s\r\n\r\n", id)
}

func (p *peer) event() map[string]any {
	p.t.Helper()
	res, body := p.read()
	if res.StatusCode != 200 || len(res.Header.Get("Lambda-Extension-Event-Identifier")) != 36 {
		p.t.Fatal(res.Status, res.Header, body)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		p.t.Fatal(err, body)
	}
	return v
}

func TestRegister(t *testing.T) {
	_, addr := serveWith(t, Options{Function: aFunction, External: []string{"ext"}})
	p := dial(t, addr)
	res, body := p.extension("POST", "register", "Lambda-Extension-Name: ext\r\nLambda-Extension-Accept-Feature: other, accountId\r\n", `{"events":["INVOKE","SHUTDOWN","INVOKE"]}`)
	if res.StatusCode != 200 || len(res.Header.Get("Lambda-Extension-Identifier")) != 36 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatal(res.Status, res.Header, body)
	}
	if want := `{"functionName":"f","functionVersion":"7","handler":"h.handler","accountId":"123456789012"}` + "\n"; body != want {
		t.Error(body)
	}
	if res, body := p.extension("POST", "register", "Lambda-Extension-Name: inner\r\n", `{}`); res.StatusCode != 200 || strings.Contains(body, "accountId") {
		t.Error(res.Status, body)
	}
}

// TestExtensionErrors holds every refusal to the words of AWS's published runtime interface code.
func TestExtensionErrors(t *testing.T) {
	s, addr := serveWith(t, Options{Function: aFunction, External: []string{"ext", "late"}})
	p := dial(t, addr)
	ext := p.register("ext", `["INVOKE","SHUTDOWN"]`)
	unknown := "01234567-89ab-4def-8123-456789abcdef"
	name := func(n string) string { return "Lambda-Extension-Name: " + n + "\r\n" }
	id := func(v string) string { return "Lambda-Extension-Identifier: " + v + "\r\n" }
	why := "Lambda-Extension-Function-Error-Type: Extension.Some\r\n"
	for _, c := range []struct {
		method, path, fields, body string
		status                     int
		errorType, message         string
	}{
		{"POST", "register", "", `{"events":[]}`, 403, "Extension.InvalidExtensionName", "Empty extension name"},
		{"POST", "register", name("x"), `{"events":["OTHER"]}`, 403, "Extension.InvalidEventType", "OTHER: ErrorInvalidEventType"},
		{"POST", "register", name("late"), `{"events":["\"\u0001"]}`, 403, "Extension.InvalidEventType", "\"\x01: ErrorInvalidEventType"},
		{"POST", "register", name("x"), `{"events":["SHUTDOWN"]}`, 403, "Extension.InvalidEventType", "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"},
		{"POST", "register", name("x"), `{"events"`, 403, "InvalidRequestFormat", "unexpected end of JSON input"},
		{"POST", "register", name("x"), ``, 403, "InvalidRequestFormat", "unexpected end of JSON input"},
		{"POST", "register", name("x"), `{"configurationKeys":["a"]}`, 403, "InvalidRequestFormat", "configurationKeys are deprecated; use environment variables instead"},
		{"POST", "register", name("ext"), `{"events":[]}`, 403, "Extension.InvalidExtensionState", "State transition from Registered to Registered failed for extension ext. Error: State transition is not allowed"},
		{"GET", "register", name("x"), ``, 405, "", ""},
		{"POST", "event/next", id(ext), ``, 405, "", ""},
		{"GET", "init/error", id(ext), ``, 405, "", ""},
		{"GET", "exit/error", id(ext), ``, 405, "", ""},
		{"POST", "other", id(ext), ``, 404, "", ""},
		{"GET", "event/next", "", ``, 403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"},
		{"GET", "event/next", id("x"), ``, 403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"},
		{"GET", "event/next", id(unknown), ``, 403, "Extension.UnknownExtensionIdentifier", "Unknown extension " + unknown},
		{"POST", "init/error", why, `{}`, 403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"},
		{"POST", "init/error", id(ext), `{}`, 403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"},
		{"POST", "exit/error", id(ext), `{}`, 403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"},
		{"POST", "init/error", id(unknown) + why, `{}`, 403, "Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier"},
		{"POST", "exit/error", id(unknown) + why, `{}`, 403, "Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier"},
		{"POST", "init/error", id(ext) + why, `{"errorMessage":"m"}`, 202, "", ""},
		{"POST", "init/error", id(ext) + why, `{}`, 202, "", ""}, // only the first one counts
		{"POST", "exit/error", id(ext) + why, `{}`, 403, "Extension.InvalidExtensionState", "State transition from InitError to Exited failed for extension " + ext + ". Error: State transition is not allowed"},
		{"GET", "event/next", id(strings.ToUpper(ext)), ``, 403, "Extension.InvalidExtensionState", "State transition from InitError to Ready failed for extension " + ext + ". Error: State transition is not allowed"},
	} {
		res, body := p.extension(c.method, c.path, c.fields, c.body)
		if res.StatusCode != c.status {
			t.Errorf("%s %s %q %s: %s %s", c.method, c.path, c.fields, c.body, res.Status, body)
			continue
		}
		var got struct{ ErrorType, ErrorMessage string }
		if c.errorType != "" && (json.Unmarshal([]byte(body), &got) != nil || got.ErrorType != c.errorType || got.ErrorMessage != c.message) {
			t.Errorf("%s %s %q %s: %s", c.method, c.path, c.fields, c.body, body)
		}
	}
	if res, _ := p.extension("POST", "register", name("x"), strings.Repeat(" ", registerBytesMax+1)); res.StatusCode != 413 {
		t.Error(res.Status)
	}
	if fault := s.ExtensionFault(); fault != ExtensionInitError {
		t.Error(fault)
	}
	info := s.Extensions()
	if len(info) != 2 || info[0].State != "InitError" || info[0].ErrorType != "Extension.Some" || info[1].State != "Started" || !slices.Equal(info[0].Events, []string{"INVOKE", "SHUTDOWN"}) {
		t.Error(info)
	}
}

func TestExtensionLimit(t *testing.T) {
	s, addr := serveWith(t, Options{})
	p := dial(t, addr)
	for i := range ExtensionsMax {
		p.register(fmt.Sprint("inner", i), `["INVOKE"]`)
	}
	for name, want := range map[string]string{"one more": "Extension limit (10) reached", "inner1": "Extension limit (10) reached"} {
		if res, body := p.extension("POST", "register", "Lambda-Extension-Name: "+name+"\r\n", `{}`); res.StatusCode != 403 || !strings.Contains(body, want) {
			t.Error(name, res.Status, body)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	dial(t, addr).send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("INIT ended before the extensions asked for events:", err)
	}
}

func TestRegistrationCloses(t *testing.T) {
	s, addr := serveWith(t, Options{})
	p := dial(t, addr)
	p.register("a", `[]`)
	if res, body := p.extension("POST", "register", "Lambda-Extension-Name: a\r\n", `{}`); res.StatusCode != 403 || !strings.Contains(body, "Extension with this name already registered") {
		t.Error(res.Status, body)
	}
	runtime := dial(t, addr)
	ch := invoke(t, s, invocation("id-1", "{}"))
	runtime.next()
	if res, body := p.extension("POST", "register", "Lambda-Extension-Name: b\r\n", `{}`); res.StatusCode != 403 || !strings.Contains(body, "Extension.RegistrationClosed") {
		t.Error(res.Status, body)
	}
	runtime.post("invocation/id-1/response", "", "1")
	<-ch
}

func TestInvokeEvents(t *testing.T) {
	s, addr := serveWith(t, Options{Function: aFunction, External: []string{"both", "quiet"}})
	both, quiet, inner, runtime := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	bothID := both.register("both", `["INVOKE","SHUTDOWN"]`)
	quietID := quiet.register("quiet", `[]`)
	innerID := inner.register("inner", `["INVOKE"]`)
	both.askEvent(bothID)
	quiet.askEvent(quietID)
	inner.askEvent(innerID)
	runtime.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	if res, body := dial(t, addr).extension("GET", "event/next", "Lambda-Extension-Identifier: "+bothID+"\r\n", ""); res.StatusCode != 403 || !strings.Contains(body, "from Ready to Ready failed") {
		t.Error("a second one waits:", res.Status, body)
	}
	inv := invocation("id-1", "{}")
	inv.TraceID, inv.FunctionARN, inv.Deadline = "Root=1", "arn:f:live", time.UnixMilli(1700000000123)
	ch := invoke(t, s, inv)
	runtime.read()
	want := map[string]any{"eventType": "INVOKE", "deadlineMs": 1700000000123.0, "requestId": "id-1", "invokedFunctionArn": "arn:f:live", "tracing": map[string]any{"type": "X-Amzn-Trace-Id", "value": "Root=1"}}
	for _, p := range []*peer{both, inner} {
		if got := p.event(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Error(got)
		}
	}
	runtime.post("invocation/id-1/response", "", "1")
	if r := <-ch; r.err != nil || string(r.o.Payload) != "1" {
		t.Fatal("the answer waits for extensions:", r)
	}
	runtime.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	both.askEvent(bothID)
	if err := s.WaitRuntime(soon(t)); err != nil {
		t.Error("the runtime is done, whatever extensions are:", err)
	}
	idle := make(chan error, 1)
	go func() { idle <- s.WaitNext(soon(t)) }()
	select {
	case err := <-idle:
		t.Fatal("idle before the internal extension was:", err)
	case <-time.After(20 * time.Millisecond):
	}
	inner.askEvent(innerID)
	if err := <-idle; err != nil {
		t.Fatal(err)
	}
	deadline := time.UnixMilli(1700000009000)
	if names := s.Shutdown(ShutdownSpindown, deadline); !slices.Equal(names, []string{"both"}) {
		t.Error(names)
	}
	if got := both.event(); fmt.Sprint(got) != fmt.Sprint(map[string]any{"eventType": "SHUTDOWN", "deadlineMs": 1700000009000.0, "shutdownReason": "spindown"}) {
		t.Error(got)
	}
	if names := s.Shutdown(ShutdownSpindown, deadline); names != nil {
		t.Error("told twice:", names)
	}
}

// TestEventsWait: an event for an extension that lost its connection is there when it asks again.
func TestEventsWait(t *testing.T) {
	s, addr := serveWith(t, Options{External: []string{"ext"}})
	p, runtime := dial(t, addr), dial(t, addr)
	id := p.register("ext", `["SHUTDOWN"]`)
	p.askEvent(id)
	runtime.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := s.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	p.nc.Close()
	for gone := false; !gone; {
		s.mu.Lock()
		gone = s.extensions.all[0].parked == nil
		s.mu.Unlock()
	}
	s.Shutdown(ShutdownFailure, time.Now())
	again := dial(t, addr)
	again.askEvent(id)
	if got := again.event(); got["shutdownReason"] != "failure" {
		t.Error(got)
	}
}

func FuzzDecodeRegistration(f *testing.F) {
	for _, seed := range []string{`{"events":["INVOKE","SHUTDOWN"]}`, `{"events":["x"]}`, `{"configurationKeys":[""]}`, `{`, `[]`, `null`, `{"events":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		invoke, shutdown, refusal := decodeRegistration(body)
		if refusal == nil {
			return
		}
		if invoke && shutdown {
			t.Error("refused, and registered for both")
		}
		_, answer, ok := strings.Cut(string(refusal), "\r\n\r\n")
		var got struct{ ErrorType, ErrorMessage string }
		if !ok || json.Unmarshal([]byte(answer), &got) != nil || got.ErrorType == "" {
			t.Errorf("%q", refusal)
		}
	})
}

// TestExtensionsOutliveTheRuntime: when the runtime has ended, or an invocation ran out of time, extensions are still
// told of the end, whether they wait or ask later.
func TestExtensionsOutliveTheRuntime(t *testing.T) {
	s, addr := serveWith(t, Options{External: []string{"waits", "asks", "silent"}})
	line := dial(t, addr)
	line.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pathProcesses)
	nc, err := s.Processes(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	waits, asks, silent, runtime := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	waitsID, asksID := waits.register("waits", `["INVOKE","SHUTDOWN"]`), asks.register("asks", `["INVOKE","SHUTDOWN"]`)
	waits.askEvent(waitsID)
	asks.askEvent(asksID)
	silentID := silent.register("silent", `["SHUTDOWN"]`)
	if err := s.Registered(soon(t)); err != nil {
		t.Fatal(err)
	}
	silent.askEvent(silentID)
	ch := invoke(t, s, invocation("id-1", "{}"))
	runtime.next()
	waits.event()
	asks.event()
	waits.askEvent(waitsID)
	runtime.nc.Close() // it has died
	if err := s.Drain(soon(t)); err != nil {
		t.Fatal(err)
	}
	if r := <-ch; !errors.Is(r.err, ErrClosed) {
		t.Fatal(r)
	}
	if names := s.Shutdown(ShutdownFailure, time.Now()); !slices.Equal(names, []string{"waits", "asks", "silent"}) {
		t.Error(names)
	}
	again := dial(t, addr)
	again.askEvent(asksID)
	for _, p := range []*peer{waits, again, silent} {
		if got := p.event(); got["eventType"] != "SHUTDOWN" || got["shutdownReason"] != "failure" {
			t.Error(got)
		}
	}
	if res, body := waits.extension("POST", "exit/error", "Lambda-Extension-Identifier: "+waitsID+"\r\nLambda-Extension-Function-Error-Type: Extension.X\r\n", "{}"); res.StatusCode != 202 {
		t.Error(res.Status, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Error("the processes' connection is not the session's:", err)
	}
}

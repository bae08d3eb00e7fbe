package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	testAccount = aws.AccountID("111111111111")
	testRegion  = aws.Region("us-east-1")
)

type object = map[string]any

// house serves the operations over HTTP on a store in memory.
type house struct {
	*testing.T
	url   string
	logs  *logs.Logs
	clock atomic.Int64 // milliseconds

	queries *queries
}

type anyone struct{}

func (anyone) Authenticate(*http.Request, []byte, string, wire.Protocol) (wire.Identity, error) {
	return wire.Identity{
		Principal: aws.Principal{Type: aws.PrincipalRoot, Account: testAccount},
		Region:    testRegion, Service: "logs",
	}, nil
}

func newHouse(t *testing.T, authorizer Authorizer) *house {
	t.Helper()
	h := &house{T: t}
	h.clock.Store(1_767_225_600_000)
	s := mem.New()
	h.logs = logs.Open(s, logs.Options{Now: h.now, Log: slog.New(slog.DiscardHandler), FlushEvery: time.Millisecond})
	c := newControl(Options{Logs: h.logs, Authorizer: authorizer, Subscribers: refusing{}, Now: h.now})
	h.queries = c.queries
	server, err := wire.NewServer(wire.Config{
		Services:      []*wire.Service{api.NewService(c.handlers())},
		Authenticator: anyone{}, Region: testRegion,
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	h.url = web.URL
	t.Cleanup(func() {
		web.Close()
		h.logs.Close(context.Background())
		s.Close()
	})
	return h
}

func (h *house) now() time.Time { return time.UnixMilli(h.clock.Load()) }

// ask makes a request as the AWS clients do and gives the answer in boto3's form.
func (h *house) ask(operation string, in object) object {
	h.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		h.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.Context(), http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatal(err)
	}
	out := object{}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			h.Fatalf("%v: %s", err, b)
		}
	}
	if resp.StatusCode >= 300 {
		code, _ := out["__type"].(string)
		message := out["message"]
		if message == nil {
			message = out["Message"]
		}
		out = object{"Error": object{"Code": code[strings.LastIndexByte(code, '#')+1:], "Message": message}}
	}
	out["ResponseMetadata"] = object{"HTTPHeaders": object{}, "HTTPStatusCode": float64(resp.StatusCode)}
	return out
}

// must asks and fails the test on an error.
func (h *house) must(operation string, in object) object {
	h.Helper()
	out := h.ask(operation, in)
	if e, ok := out["Error"]; ok {
		h.Fatalf("%s: %v", operation, e)
	}
	return out
}

// refused asks and returns the error's code and message.
func (h *house) refused(operation string, in object) (code, message string) {
	h.Helper()
	e, ok := h.ask(operation, in)["Error"].(object)
	if !ok {
		h.Errorf("%s of %v went through", operation, in)
		return "", ""
	}
	code, _ = e["Code"].(string)
	message, _ = e["Message"].(string)
	return code, message
}

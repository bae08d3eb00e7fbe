package functionurl

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/mem"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/worker"
)

var fn = record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}

// world is everything around a handler.
type world struct {
	handler *Handler
	signed  bool   // the authenticator knows the caller
	deny    string // the action that is denied
	asked   []iam.Access
	policy  *record.Policy
	stored  *record.Policy // what the view does not have yet
	answer  frontend.Answer
	err     error
	event   map[string]any
}

func (w *world) Authenticate(*http.Request, []byte, string, wire.Protocol) (wire.Identity, error) {
	if !w.signed {
		return wire.Identity{}, errors.New("no signature")
	}
	return wire.Identity{AccessKeyID: "AKIA", Principal: aws.Principal{Type: aws.PrincipalUser, Account: "000000000000", ARN: "arn:aws:iam::000000000000:user/u", UserID: "AIDA"}}, nil
}

func (w *world) AuthorizeAccess(_ context.Context, _ *wire.Call, access iam.Access) error {
	w.asked = append(w.asked, access)
	if w.deny == access.Action && !slices.Contains(access.ResourcePolicies, "fresh") {
		return errors.New("denied")
	}
	return nil
}

type policies struct{ *world }

func (p policies) Get(record.Qualified) (*record.Policy, bool) { return p.policy, p.policy != nil }

func (p policies) Refresh(context.Context, record.Qualified) (*record.Policy, bool, error) {
	return p.stored, p.stored != nil, nil
}

type aliases map[string]bool

func (a aliases) Get(key record.Qualified) (*record.Alias, bool) {
	return &record.Alias{Version: "1"}, a[key.Qualifier]
}

func newWorld(t *testing.T, urls map[string]record.FunctionURL) *world {
	t.Helper()
	s := mem.New()
	t.Cleanup(func() { s.Close() })
	for qualifier, u := range urls {
		put, err := record.FunctionURLs.Put(record.Qualified{ID: fn, Qualifier: qualifier}, &u, store.IfAbsent())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), put); err != nil {
			t.Fatal(err)
		}
	}
	view := record.FunctionURLs.View(s, nil)
	w := &world{answer: frontend.Answer{Result: worker.Result{Payload: []byte(`"ok"`)}, TraceID: "Root=1"}}
	var err error
	w.handler, err = New(Options{
		URLs: view, Policies: policies{w}, Aliases: aliases{"live": true}, Authority: w, Domain: "example.test",
		Invoke: func(_ context.Context, r *frontend.Request) (frontend.Answer, error) {
			w.event = nil
			if err := json.Unmarshal(r.Payload, &w.event); err != nil {
				t.Error(err)
			}
			return w.answer, w.err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { view.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	<-view.Ready()
	return w
}

func plain(t *testing.T) *world {
	return newWorld(t, map[string]record.FunctionURL{record.Latest: {ID: "abc", AuthType: "NONE"}})
}

func (w *world) do(r *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const at = record.FunctionURLPath + "abc"

func TestAddresses(t *testing.T) {
	w := plain(t)
	for target, want := range map[string]string{
		at:                                "/",
		at + "/":                          "/",
		at + "/a%20b/c?q=1":               "/a%20b/c",
		record.FunctionURLPath + "other/": "",
		record.FunctionURLPath:            "",
		"http://abc.lambda-url.us-east-1.example.test/x":      "/x",
		"http://ABC.Lambda-URL.us-east-1.example.test:4566/x": "/x",
		"http://abc.lambda-url.us-east-1.example.test./x":     "/x",
		"http://other.lambda-url.us-east-1.example.test/x":    "",
		"http://abc.lambda-url.us-east-1.elsewhere.test/x":    "",
	} {
		w.event = nil
		answer := w.do(httptest.NewRequest("GET", target, nil))
		got, _ := w.event["rawPath"].(string)
		if got != want || want == "" && answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: the function saw %q, want %q; status %d", target, got, want, answer.StatusCode)
		}
	}
	if w.handler.Hosted(httptest.NewRequest("GET", "http://lambda.us-east-1.example.test/", nil)) {
		t.Error("a service's host was taken for a function's")
	}
}

func TestEvent(t *testing.T) {
	w := plain(t)
	r := httptest.NewRequest("POST", at+"/p?a=1&a=2&b=x%20y", strings.NewReader(`{"k":1}`))
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Many": {"1", "2"}, "Cookie": {"a=1; b=2", "c=3"}, "User-Agent": {"test"}}
	r.RemoteAddr = "192.0.2.7:1234"
	w.do(r)
	context := w.event["requestContext"].(map[string]any)
	now, err := time.Parse(timeForm, context["time"].(string))
	if err != nil || time.Since(now) > time.Minute {
		t.Errorf("time %v, %v", context["time"], err)
	}
	delete(context, "time")
	delete(context, "timeEpoch")
	delete(context, "requestId")
	headers := w.event["headers"].(map[string]any)
	if trace, _ := headers["x-amzn-trace-id"].(string); !strings.HasPrefix(trace, "Root=1-") {
		t.Errorf("the trace is %q", trace)
	}
	delete(headers, "x-amzn-trace-id")
	got, _ := json.Marshal(w.event)
	const want = `{"body":"{\"k\":1}","cookies":["a=1","b=2","c=3"],"headers":{"content-length":"7","content-type":"application/json","host":"abc.lambda-url.us-east-1.example.test","user-agent":"test","x-forwarded-for":"192.0.2.7","x-forwarded-port":"80","x-forwarded-proto":"http","x-many":"1,2"},` +
		`"isBase64Encoded":false,"queryStringParameters":{"a":"1,2","b":"x y"},"rawPath":"/p","rawQueryString":"a=1\u0026a=2\u0026b=x%20y",` +
		`"requestContext":{"accountId":"anonymous","apiId":"abc","domainName":"abc.lambda-url.us-east-1.example.test","domainPrefix":"abc","http":{"method":"POST","path":"/p","protocol":"HTTP/1.1","sourceIp":"192.0.2.7","userAgent":"test"},"routeKey":"$default","stage":"$default"},"routeKey":"$default","version":"2.0"}`
	if string(got) != want {
		t.Errorf("the function saw\n%s\nwant\n%s", got, want)
	}
	binary := httptest.NewRequest("POST", at, strings.NewReader("\x00\xff"))
	w.do(binary)
	if w.event["isBase64Encoded"] != true || w.event["body"] != "AP8=" {
		t.Errorf("a binary body came as %v", w.event["body"])
	}
}

func TestResponses(t *testing.T) {
	for name, tc := range map[string]struct {
		payload, body string
		status        int
		header        http.Header
	}{
		"string":     {`"plain"`, "plain", 200, nil},
		"list":       {`[1, 2]`, `[1, 2]`, 200, nil},
		"null":       {`null`, `null`, 200, nil},
		"object":     {`{"a":1}`, `{"a":1}`, 200, nil},
		"envelope":   {`{"statusCode":201,"body":"x","headers":{"X-A":"b","X-N":1,"x-t":true}}`, "x", 201, http.Header{"X-A": {"b"}, "X-N": {"1"}, "X-T": {"true"}}},
		"cookies":    {`{"statusCode":200,"cookies":["a=1","b=2"]}`, "", 200, http.Header{"Set-Cookie": {"a=1", "b=2"}}},
		"base64":     {`{"statusCode":200,"body":"AP8=","isBase64Encoded":true,"headers":{"content-type":"image/png"}}`, "\x00\xff", 200, http.Header{"Content-Type": {"image/png"}}},
		"no content": {`{"statusCode":204}`, "", 204, nil},
		"a prelude":  {"{\"statusCode\":201,\"headers\":{\"X-A\":\"b\"}}\x00\x00\x00\x00\x00\x00\x00\x00body", "{\"statusCode\":201,\"headers\":{\"X-A\":\"b\"}}\x00\x00\x00\x00\x00\x00\x00\x00body", 200, http.Header{"X-A": nil}},
		"bad base64": {`{"statusCode":200,"body":"!","isBase64Encoded":true}`, "Internal Server Error", 502, nil},
		"text":       {`{"statusCode":"201","body":null}`, "", 201, nil},
		"fraction":   {`{"statusCode":201.0,"body":"x"}`, "x", 201, nil},
		"no number":  {`{"statusCode":"abc","body":"x"}`, "Internal Server Error", 502, nil},
		"no whole":   {`{"statusCode":200.5,"body":"x"}`, "Internal Server Error", 502, nil},
		"bad flag":   {`{"statusCode":200,"isBase64Encoded":"true","body":"x"}`, "Internal Server Error", 502, nil},
		"no status":  {`{"statusCode":null,"body":"x"}`, `{"statusCode":null,"body":"x"}`, 200, nil},
		"other case": {`{"StatusCode":201,"Body":"x"}`, `{"StatusCode":201,"Body":"x"}`, 200, nil},
		"bad status": {`{"statusCode":99}`, "Internal Server Error", 502, nil},
		"server's":   {`{"statusCode":200,"headers":{"x-amzn-RequestId":"q","X-AMZN-trace-id":"Root=2","x-amzn-errortype":"E"},"body":"x"}`, "x", 200, http.Header{"X-Amzn-Requestid": nil, "X-Amzn-Trace-Id": {"Root=1"}, "X-Amzn-Errortype": nil}},
		"injection":  {`{"statusCode":200,"headers":{"X-A":"b\r\nX-B: c","Bad Name":"x","Content-Length":"9"},"body":"x"}`, "x", 200, http.Header{"X-A": nil, "X-B": nil, "Bad Name": nil, "Content-Length": {"1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := plain(t)
			w.answer.Payload = []byte(tc.payload)
			answer := w.do(httptest.NewRequest("GET", at, nil))
			if got := text(t, answer); answer.StatusCode != tc.status || got != tc.body {
				t.Errorf("%d %q", answer.StatusCode, got)
			}
			for name, want := range tc.header {
				if got := answer.Header[name]; strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	w := plain(t)
	w.answer.FunctionError = "Unhandled"
	if answer := w.do(httptest.NewRequest("GET", at, nil)); answer.StatusCode != 502 || text(t, answer) != "Internal Server Error" {
		t.Errorf("a function that failed: %d", answer.StatusCode)
	}
	w.err = api.NewTooManyRequestsException("Rate Exceeded.")
	if answer := w.do(httptest.NewRequest("GET", at, nil)); answer.StatusCode != 429 {
		t.Errorf("throttled: %d", answer.StatusCode)
	}
	large := httptest.NewRequest("POST", at, strings.NewReader(strings.Repeat("x", bodyBytesMax+1)))
	if answer := w.do(large); answer.StatusCode != 413 {
		t.Errorf("too large: %d", answer.StatusCode)
	}
}

func TestWhoMay(t *testing.T) {
	w := newWorld(t, map[string]record.FunctionURL{
		record.Latest: {ID: "abc", AuthType: "AWS_IAM"}, "live": {ID: "live", AuthType: "NONE"}, "gone": {ID: "gone", AuthType: "NONE"},
	})
	forbidden := func(what string, r *http.Request) {
		t.Helper()
		w.event = nil
		answer := w.do(r)
		if body := text(t, answer); answer.StatusCode != 403 || !strings.Contains(body, "Forbidden. For troubleshooting") || answer.Header["x-amzn-ErrorType"][0] != "AccessDeniedException" || w.event != nil {
			t.Errorf("%s: %d %s", what, answer.StatusCode, body)
		}
	}
	forbidden("unsigned", httptest.NewRequest("GET", at, nil))
	forbidden("an alias that is gone", httptest.NewRequest("GET", record.FunctionURLPath+"gone/", nil))
	w.signed = true
	for _, w.deny = range []string{"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} {
		forbidden("signed and denied "+w.deny, httptest.NewRequest("GET", at, nil))
	}
	w.stored = &record.Policy{Document: "fresh"}
	if answer := w.do(httptest.NewRequest("GET", at, nil)); answer.StatusCode != 200 {
		t.Errorf("a permission that was given a moment ago: %d", answer.StatusCode)
	}
	w.asked, w.deny, w.policy = nil, "", &record.Policy{Document: "{}"}
	w.do(httptest.NewRequest("GET", at, nil))
	identity := w.event["requestContext"].(map[string]any)["authorizer"].(map[string]any)["iam"].(map[string]any)
	if identity["userArn"] != "arn:aws:iam::000000000000:user/u" || identity["accessKey"] != "AKIA" {
		t.Errorf("the function sees %v", identity)
	}
	want := []iam.Access{
		{Action: "lambda:InvokeFunctionUrl", Conditions: map[string][]string{"lambda:FunctionUrlAuthType": {"AWS_IAM"}}},
		{Action: "lambda:InvokeFunction", Conditions: map[string][]string{"lambda:InvokedViaFunctionUrl": {"true"}}},
	}
	for i := range want {
		want[i].Resource, want[i].Owner, want[i].ResourcePolicies = fn.ARN(), fn.Account, []string{"{}"}
	}
	if !reflect.DeepEqual(w.asked, want) {
		t.Errorf("asked %+v", w.asked)
	}
	w.do(httptest.NewRequest("GET", record.FunctionURLPath+"live/", nil))
	if last := w.asked[len(w.asked)-1]; last.Resource != fn.QualifiedARN("live") {
		t.Errorf("asked for %s", last.Resource)
	}
}

func TestCors(t *testing.T) {
	age := int32(60)
	w := newWorld(t, map[string]record.FunctionURL{record.Latest: {ID: "abc", AuthType: "NONE", Cors: &record.Cors{
		AllowOrigins: []string{"https://a.test"}, AllowMethods: []string{"GET", "PUT"}, AllowHeaders: []string{"x-a"}, ExposeHeaders: []string{"x-b"}, AllowCredentials: true, MaxAgeS: &age,
	}}})
	ask := func(method, origin string, preflight bool) http.Header {
		r := httptest.NewRequest(method, at, nil)
		r.Header.Set("Origin", origin)
		if preflight {
			r.Header.Set("Access-Control-Request-Method", "PUT")
		}
		w.event = nil
		h := w.do(r).Header
		if (w.event == nil) != preflight {
			t.Errorf("%s: the function ran: %v", method, w.event != nil)
		}
		return h
	}
	h := ask("OPTIONS", "https://a.test", true)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://a.test", "Access-Control-Allow-Methods": "GET,PUT", "Access-Control-Allow-Headers": "x-a",
		"Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "60", "Access-Control-Expose-Headers": "x-b",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	if h := ask("OPTIONS", "https://b.test", true); h.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin is let in")
	}
	w.answer.Payload = []byte(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*"}}`)
	if h := ask("GET", "https://a.test", false); h.Get("Access-Control-Allow-Origin") != "https://a.test" {
		t.Errorf("the function's own header won: %q", h.Get("Access-Control-Allow-Origin"))
	}
}

func FuzzRespond(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":"b"},"cookies":["a"],"body":"x"}`))
	f.Add([]byte(`{"statusCode":1e3}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		rec := httptest.NewRecorder()
		respond(rec, payload, nil)
		if code := rec.Result().StatusCode; code < 200 || code > 599 {
			t.Errorf("status %d", code)
		}
	})
}

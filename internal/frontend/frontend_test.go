package frontend

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/worker"
)

type view struct {
	known map[string]*record.Function // NAME:VERSION
	late  map[string]*record.Function // only in the store
}

func (v *view) Function(id record.FunctionID, version string) (*record.Function, bool) {
	fn, ok := v.known[id.Name+":"+version]
	return fn, ok
}

func (v *view) Refresh(_ context.Context, id record.FunctionID, version string) (*record.Function, bool, error) {
	if fn, ok := v.late[id.Name+":"+version]; ok {
		return fn, true, nil
	}
	fn, ok := v.Function(id, version)
	return fn, ok, nil
}

type aliases map[record.Qualified]*record.Alias

func (a aliases) Get(key record.Qualified) (*record.Alias, bool) {
	alias, ok := a[key]
	return alias, ok && alias.Description != "late"
}

func (a aliases) Refresh(_ context.Context, key record.Qualified) (*record.Alias, bool, error) {
	alias, ok := a[key]
	return alias, ok, nil
}

type invoker struct {
	fn     *record.Function
	in     *worker.Invocation
	result worker.Result
	err    error
	do     func()
	events events
	tenant string
}

type events struct {
	accepted []*Event
	err      error
}

func (e *events) Accept(_ context.Context, event *Event) error {
	if e.err == nil {
		e.accepted = append(e.accepted, event)
	}
	return e.err
}

func (i *invoker) Invoke(fn *record.Function, tenantID string, in *worker.Invocation) (worker.Result, error) {
	i.fn, i.in, i.tenant = fn, in, tenantID
	if i.do != nil {
		i.do()
	}
	return i.result, i.err
}

func function(name, version string, state record.State) *record.Function {
	return &record.Function{ID: record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: name}, Version: version, State: state, TracingMode: "PassThrough"}
}

func setUp(t *testing.T, concurrency int) (*Frontend, *invoker) {
	t.Helper()
	broken := function("broken", record.Latest, record.StateFailed)
	broken.StateReason, broken.StateReasonCode = "no python3.99 here", "InvalidRuntime"
	traced := function("traced", record.Latest, record.StateActive)
	traced.TracingMode = "Active"
	v := &view{
		known: map[string]*record.Function{
			"f:$LATEST":       function("f", record.Latest, record.StateActive),
			"f:1":             function("f", "1", record.StateActive),
			"pending:$LATEST": function("pending", record.Latest, record.StatePending),
			"settled:$LATEST": function("settled", record.Latest, record.StatePending),
			"failed:$LATEST":  function("failed", record.Latest, record.StateFailed),
			"broken:$LATEST":  broken,
			"traced:$LATEST":  traced,
		},
		late: map[string]*record.Function{
			"settled:$LATEST": function("settled", record.Latest, record.StateActive),
			"new:$LATEST":     function("new", record.Latest, record.StateActive),
		},
	}
	i := &invoker{result: worker.Result{Payload: []byte(`"ok"`)}}
	id := record.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "f"}
	named := aliases{
		{ID: id, Qualifier: "blue"}:  {Version: "1"},
		{ID: id, Qualifier: "next"}:  {Version: record.Latest, Description: "late"},
		{ID: id, Qualifier: "all"}:   {Version: "2", Weights: map[string]float64{"1": 1}},
		{ID: id, Qualifier: "never"}: {Version: "1", Weights: map[string]float64{"2": 0}},
	}
	f, err := New(Options{Functions: v, Aliases: named, Invoker: i, Events: &i.events, Concurrency: concurrency})
	if err != nil {
		t.Fatal(err)
	}
	return f, i
}

func newCall() *wire.Call {
	return &wire.Call{RequestID: "id", Account: "000000000000", Region: "us-east-1", Received: time.Unix(0x5e34a614, 0), Principal: aws.Principal{ARN: "arn:aws:iam::000000000000:user/admin"}, AnswerHeader: http.Header{}}
}

func request(name string, change func(*api.InvocationRequest)) *api.InvocationRequest {
	in := &api.InvocationRequest{FunctionName: &name}
	if change != nil {
		change(in)
	}
	return in
}

func TestInvokeResolves(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:"
	for _, tc := range []struct{ name, qualifier, version, invoked string }{
		{"f", "", "$LATEST", arn + "f"},
		{"f", "$LATEST", "$LATEST", arn + "f:$LATEST"},
		{"f:1", "", "1", arn + "f:1"},
		{"f", "1", "1", arn + "f:1"},
		{"f:1", "1", "1", arn + "f:1"},
		{"f", "blue", "1", arn + "f:blue"},
		{"f:blue", "", "1", arn + "f:blue"},
		{arn + "f:next", "", "$LATEST", arn + "f:next"},
		{"f", "all", "1", arn + "f:all"},
		{"f", "never", "1", arn + "f:never"},
		{"000000000000:function:f", "", "$LATEST", arn + "f"},
		{arn + "f", "1", "1", arn + "f:1"},
		{arn + "f:1", "", "1", arn + "f:1"},
		{"settled", "", "$LATEST", arn + "settled"},
		{"new", "", "$LATEST", arn + "new"},
	} {
		t.Run(tc.name+"/"+tc.qualifier, func(t *testing.T) {
			f, i := setUp(t, 0)
			call := newCall()
			out, err := f.Invoke(context.Background(), call, request(tc.name, func(in *api.InvocationRequest) {
				if tc.qualifier != "" {
					in.Qualifier = &tc.qualifier
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			if *out.StatusCode != 200 || *out.ExecutedVersion != tc.version || string(out.Payload) != `"ok"` || out.FunctionError != nil || out.LogResult != nil {
				t.Errorf("answer %+v", out)
			}
			if i.in.FunctionARN != tc.invoked || string(i.in.Payload) != "{}" || i.in.RequestID != "id" {
				t.Errorf("invoked %+v", i.in)
			}
			if trace := call.AnswerHeader.Get("X-Amzn-Trace-Id"); trace != i.in.TraceID || !regexp.MustCompile(`^Root=1-5e34a614-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=[0-9a-f]{8}:0$`).MatchString(trace) {
				t.Errorf("trace %q", trace)
			}
		})
	}
}

func TestInvokeRefuses(t *testing.T) {
	big := make([]byte, payloadBytesMax+1)
	for name, tc := range map[string]struct {
		in      *api.InvocationRequest
		status  int
		code    string
		message string
	}{
		"missing":          {request("doesnotexist", nil), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:doesnotexist:$LATEST"},
		"missing version":  {request("f:7", nil), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:7"},
		"latest published": {request("f:$LATEST.PUBLISHED", nil), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST.PUBLISHED"},
		"missing alias":    {request("f", func(in *api.InvocationRequest) { in.Qualifier = wire.Ptr("live") }), 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:live"},
		"two qualifiers":   {request("f:1", func(in *api.InvocationRequest) { in.Qualifier = wire.Ptr("2") }), 400, "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier."},
		"other region":     {request("arn:aws:lambda:eu-west-1:000000000000:function:f", nil), 404, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"},
		"other account":    {request("111111111111:function:f", nil), 403, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/admin is not authorized to perform: lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:111111111111:function:f because no resource-based policy allows the lambda:InvokeFunction action"},
		"pending":          {request("pending", nil), 409, "ResourceConflictException", "The operation cannot be performed at this time. The function is currently in the following state: Pending"},
		"failed":           {request("failed", nil), 409, "ResourceConflictException", "The operation cannot be performed at this time. The function is currently in the following state: Failed"},
		"no runtime":       {request("broken", nil), 502, "InvalidRuntimeException", "no python3.99 here"},
		"event, missing":   {request("gone", func(in *api.InvocationRequest) { in.InvocationType = wire.Ptr("Event") }), 404, "ResourceNotFoundException", ""},
		"event, not JSON":  {request("f", func(in *api.InvocationRequest) { in.InvocationType, in.Payload = wire.Ptr("Event"), []byte("{") }), 400, "InvalidRequestContentException", ""},
		"event, large": {request("f", func(in *api.InvocationRequest) {
			in.InvocationType, in.Payload = wire.Ptr("Event"), make([]byte, EventBytesMax+1)
		}), 413, "RequestTooLargeException", "Request must be smaller than 1048576 bytes for the InvokeFunction operation"},
		"tenant":         {request("f", func(in *api.InvocationRequest) { in.TenantId = wire.Ptr("t") }), 400, "InvalidParameterValueException", ""},
		"too large":      {request("f", func(in *api.InvocationRequest) { in.Payload = big }), 413, "RequestTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation"},
		"not JSON":       {request("f", func(in *api.InvocationRequest) { in.Payload = []byte("\x99") }), 400, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: Unexpected character ((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 1]"},
		"context":        {request("f", func(in *api.InvocationRequest) { in.ClientContext = wire.Ptr("e30") }), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"array context":  {request("f", func(in *api.InvocationRequest) { in.ClientContext = wire.Ptr("WzEsMl0=") }), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"number context": {request("f", func(in *api.InvocationRequest) { in.ClientContext = wire.Ptr("IDU=") }), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"string context": {request("f", func(in *api.InvocationRequest) { in.ClientContext = wire.Ptr("InN0ciI=") }), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"blank context":  {request("f", func(in *api.InvocationRequest) { in.ClientContext = wire.Ptr("IA==") }), 400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"large context":  {request("f", func(in *api.InvocationRequest) { in.ClientContext = wire.Ptr(strings.Repeat("A", 3584)) }), 400, "InvalidRequestContentException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, i := setUp(t, 0)
			_, err := f.Invoke(context.Background(), newCall(), tc.in)
			var fault wire.Fault
			if !errors.As(err, &fault) || fault.FaultStatus() != tc.status || fault.FaultCode() != tc.code || tc.message != "" && fault.FaultMessage() != tc.message {
				t.Errorf("fault %v", err)
			}
			if i.in != nil {
				t.Error("it was invoked all the same")
			}
		})
	}
}

func TestDryRun(t *testing.T) {
	f, i := setUp(t, 0)
	out, err := f.Invoke(context.Background(), newCall(), request("f", func(in *api.InvocationRequest) { in.InvocationType = wire.Ptr("DryRun") }))
	if err != nil || *out.StatusCode != 204 || out.Payload != nil || out.ExecutedVersion != nil || i.in != nil {
		t.Errorf("%v %+v", err, out)
	}
}

func TestTenants(t *testing.T) {
	f, i := setUp(t, 0)
	tenanted := function("tenanted", record.Latest, record.StateActive)
	tenanted.Tenancy = record.TenancyPerTenant
	f.functions.(*view).known["tenanted:$LATEST"] = tenanted
	of := func(name string, tenant *string) *api.InvocationRequest {
		return request(name, func(in *api.InvocationRequest) { in.TenantId = tenant })
	}
	if _, err := f.Invoke(context.Background(), newCall(), of("tenanted", wire.Ptr("blue"))); err != nil || i.tenant != "blue" {
		t.Errorf("%v, ran for %q", err, i.tenant)
	}
	for name, in := range map[string]*api.InvocationRequest{"Add a valid tenant ID": of("tenanted", nil), "Remove the tenant ID": of("f", wire.Ptr("blue"))} {
		for _, kind := range []string{"RequestResponse", "Event"} {
			in.InvocationType = &kind
			_, err := f.Invoke(context.Background(), newCall(), in)
			var fault *api.InvalidParameterValueException
			if !errors.As(err, &fault) || !strings.Contains(fault.FaultMessage(), name) {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
	event := of("tenanted", wire.Ptr("green"))
	event.InvocationType = wire.Ptr("Event")
	if _, err := f.Invoke(context.Background(), newCall(), event); err != nil || i.events.accepted[0].TenantID != "green" {
		t.Errorf("%v, accepted %+v", err, i.events.accepted)
	}
}

func TestEvent(t *testing.T) {
	f, i := setUp(t, 0)
	event := request("f:blue", func(in *api.InvocationRequest) { in.InvocationType = wire.Ptr("Event") })
	out, err := f.Invoke(context.Background(), newCall(), event)
	if err != nil || *out.StatusCode != 202 || out.Payload != nil || out.ExecutedVersion != nil || i.in != nil {
		t.Errorf("%v %+v", err, out)
	}
	if len(i.events.accepted) != 1 {
		t.Fatal("no event was accepted")
	}
	e := i.events.accepted[0]
	if e.Name.ARN() != "arn:aws:lambda:us-east-1:000000000000:function:f:blue" || string(e.Payload) != "{}" || e.RequestID != "id" || !strings.HasPrefix(e.TraceID, "Root=1-") {
		t.Errorf("accepted %+v", e)
	}
	i.events.err = store.ErrFull
	_, err = f.Invoke(context.Background(), newCall(), event)
	var fault wire.Fault
	if !errors.As(err, &fault) || fault.FaultStatus() != 503 {
		t.Errorf("with a full disk: %v", err)
	}
}

func TestInvokeAsync(t *testing.T) {
	f, i := setUp(t, 0)
	out, err := f.InvokeAsync(context.Background(), newCall(), &api.InvokeAsyncRequest{FunctionName: wire.Ptr("f"), InvokeArgs: io.NopCloser(strings.NewReader(`{"a":1}`))})
	if err != nil || *out.Status != 202 || len(i.events.accepted) != 1 || string(i.events.accepted[0].Payload) != `{"a":1}` {
		t.Errorf("%v %+v %v", err, out, i.events.accepted)
	}
}

func TestErrorsAndTail(t *testing.T) {
	f, i := setUp(t, 0)
	i.result = worker.Result{Payload: []byte(`{}`), FunctionError: "Unhandled", LogTail: []byte("START\nEND\n")}
	out, err := f.Invoke(context.Background(), newCall(), request("f", func(in *api.InvocationRequest) {
		in.LogType = wire.Ptr("Tail")
		in.ClientContext = wire.Ptr(base64.StdEncoding.EncodeToString([]byte("{\"custom\":\n{}}")))
	}))
	if err != nil || *out.StatusCode != 200 || *out.FunctionError != "Unhandled" || *out.LogResult != base64.StdEncoding.EncodeToString([]byte("START\nEND\n")) {
		t.Errorf("%v %+v", err, out)
	}
	if !i.in.WantTail || i.in.ClientContext != `{"custom": {}}` {
		t.Errorf("invoked %+v", i.in)
	}
	for err, want := range map[error]string{
		assignment.ErrNoCapacity: "429 TooManyRequestsException",
		assignment.ErrTooLarge:   "400 InvalidParameterValueException",
		fmt.Errorf("%w: %w", assignment.ErrStart, worker.ErrIsolation): "400 InvalidParameterValueException",
		assignment.ErrQueueFull:                                                     "429 TooManyRequestsException",
		assignment.ErrDraining:                                                      "503 ServiceUnavailableException",
		fmt.Errorf("%w: secret", assignment.ErrStart):                               "500 ServiceException",
		fmt.Errorf("%w: %w: secret", assignment.ErrStart, worker.ErrRole):           "403 AccessDeniedException",
		fmt.Errorf("%w: %w: secret", assignment.ErrStart, worker.ErrRuntime):        "502 InvalidRuntimeException",
		fmt.Errorf("%w: %w: secret", assignment.ErrStart, worker.ErrExtensions):     "400 InvalidParameterValueException",
		fmt.Errorf("%w: %w: secret", assignment.ErrStart, worker.ErrRestore):        "400 SnapStartException",
		fmt.Errorf("%w: %w: secret", assignment.ErrStart, worker.ErrRestoreTimeout): "408 SnapStartTimeoutException",
	} {
		i.err = err
		_, got := f.Invoke(context.Background(), newCall(), request("f", nil))
		var fault wire.Fault
		if !errors.As(got, &fault) || fmt.Sprint(fault.FaultStatus(), " ", fault.FaultCode()) != want || strings.Contains(fault.FaultMessage(), "secret") {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestConcurrencyLimit(t *testing.T) {
	f, i := setUp(t, 1)
	var inner error
	i.do = func() {
		i.do = nil
		_, inner = f.Invoke(context.Background(), newCall(), request("f", nil))
	}
	if _, err := f.Invoke(context.Background(), newCall(), request("f", nil)); err != nil {
		t.Fatal(err)
	}
	var fault *api.TooManyRequestsException
	if !errors.As(inner, &fault) || fault.FaultMessage() != "Rate Exceeded." || *fault.Reason != "ConcurrentInvocationLimitExceeded" || *fault.RetryAfterSeconds != "1" {
		t.Errorf("fault %v", inner)
	}
	if _, err := f.Invoke(context.Background(), newCall(), request("f", nil)); err != nil {
		t.Errorf("the place was not given back: %v", err)
	}
}

func TestTraceHeader(t *testing.T) {
	const root = "Root=1-5e34a614-10bdxmplf1fb44f07bc535a1"
	for name, tc := range map[string]struct{ callers, mode, want string }{
		"passed":          {root + ";Parent=1;Sampled=1", "PassThrough", root + ";Parent=1;Sampled=1"},
		"decided":         {root + ";Sampled=0", "Active", root + ";Sampled=0"},
		"undecided":       {root + ";Parent=1", "Active", root + ";Parent=1;Sampled=1"},
		"undecided, pass": {root + ";Parent=1", "PassThrough", root + ";Parent=1;Sampled=0"},
		"made, active":    {"", "Active", "new;Sampled=1"},
		"made":            {"", "PassThrough", "new;Sampled=0"},
		"header attack":   {root + "\r\nX: y", "PassThrough", "new;Sampled=0"},
		"too long":        {root + strings.Repeat("x", 2000), "Active", "new;Sampled=1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := traceHeader(tc.callers, tc.mode, time.Time{})
			got = regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16}`).ReplaceAllString(got, "new")
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	if got := traceHeader(root, "PassThrough", time.Time{}); !regexp.MustCompile(`^` + root + `;Parent=[0-9a-f]{16};Sampled=0$`).MatchString(got) {
		t.Errorf("a root alone became %q", got)
	}
}

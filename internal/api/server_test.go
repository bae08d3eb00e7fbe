// Package api_test holds what the generated services promise together with the
// server: real requests in, AWS's answers out.
package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/api/sts"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
)

// anybody lets everybody in.
type anybody struct{}

func (anybody) Authenticate(*http.Request, []byte, string, wire.Protocol) (wire.Identity, error) {
	return wire.Identity{Principal: aws.Principal{Type: aws.PrincipalRoot, Account: "000000000000"}}, nil
}

func newServer(t testing.TB, h lambda.Handlers) *wire.Server {
	t.Helper()
	s, err := wire.NewServer(wire.Config{
		Services: []*wire.Service{
			lambda.NewService(h),
			sts.NewService(sts.Handlers{
				GetCallerIdentity: func(_ context.Context, call *wire.Call, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
					return &sts.GetCallerIdentityResponse{Account: wire.Ptr(string(call.Account)), Arn: wire.Ptr("arn:aws:iam::000000000000:root")}, nil
				},
			}),
			iam.NewService(iam.Handlers{
				GetRole: func(_ context.Context, _ *wire.Call, in *iam.GetRoleRequest) (*iam.GetRoleResponse, error) {
					return nil, iam.NewNoSuchEntityException("The role with name " + *in.RoleName + " cannot be found.")
				},
				CreateRole: func(_ context.Context, _ *wire.Call, in *iam.CreateRoleRequest) (*iam.CreateRoleResponse, error) {
					created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
					return &iam.CreateRoleResponse{Role: &iam.Role{RoleName: in.RoleName, Tags: in.Tags, CreateDate: &created}}, nil
				},
			}),
			logs.NewService(logs.Handlers{
				DescribeLogGroups: func(context.Context, *wire.Call, *logs.DescribeLogGroupsRequest) (*logs.DescribeLogGroupsResponse, error) {
					return &logs.DescribeLogGroupsResponse{LogGroups: []logs.LogGroup{}}, nil
				},
				CreateLogGroup: func(context.Context, *wire.Call, *logs.CreateLogGroupRequest) error {
					return logs.NewResourceAlreadyExistsException("The specified log group already exists")
				},
			}),
		},
		Authenticator: anybody{},
		Region:        "us-east-1",
		Domains:       []string{"lambdad.internal"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func scope(service string) string {
	return "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
}

func TestAnswers(t *testing.T) {
	server := newServer(t, lambda.Handlers{
		GetFunction: func(_ context.Context, call *wire.Call, in *lambda.GetFunctionRequest) (*lambda.GetFunctionResponse, error) {
			return nil, lambda.NewResourceNotFoundException("Function not found: " + *in.FunctionName + " in " + string(call.Region))
		},
		ListFunctions: func(context.Context, *wire.Call, *lambda.ListFunctionsRequest) (*lambda.ListFunctionsResponse, error) {
			return &lambda.ListFunctionsResponse{Functions: []lambda.FunctionConfiguration{}}, nil
		},
		CreateFunction: func(context.Context, *wire.Call, *lambda.CreateFunctionRequest) (*lambda.FunctionConfiguration, error) {
			return &lambda.FunctionConfiguration{}, nil
		},
		DeleteAlias: func(context.Context, *wire.Call, *lambda.DeleteAliasRequest) error { return nil },
		GetAlias: func(context.Context, *wire.Call, *lambda.GetAliasRequest) (*lambda.AliasConfiguration, error) {
			panic("on purpose")
		},
		GetPolicy: func(context.Context, *wire.Call, *lambda.GetPolicyRequest) (*lambda.GetPolicyResponse, error) {
			return nil, errors.New("a secret of the inside")
		},
		DeleteFunctionConcurrency: func(context.Context, *wire.Call, *lambda.DeleteFunctionConcurrencyRequest) error {
			return fmt.Errorf("write a secret of the inside: %w", syscall.ENOSPC)
		},
		ListTags: func(context.Context, *wire.Call, *lambda.ListTagsRequest) (*lambda.ListTagsResponse, error) {
			e := lambda.NewTooManyRequestsException("Rate Exceeded.")
			e.Reason = wire.Ptr(lambda.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded)
			e.RetryAfterSeconds = wire.Ptr("1")
			return nil, e
		},
		Invoke: func(_ context.Context, call *wire.Call, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
			call.AnswerHeader.Set("X-Amzn-Trace-Id", "root=1")
			return &lambda.InvocationResponse{StatusCode: wire.Ptr[int32](200), ExecutedVersion: wire.Ptr("$LATEST"), Payload: in.Payload}, nil
		},
	})
	for _, tc := range []struct {
		name, method, url, body string
		header                  map[string]string
		status                  int
		want                    string // of the body
		wantHeader              map[string]string
	}{
		{name: "fault with Type and the model's member name", method: "GET", url: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
			header: map[string]string{"Authorization": scope("lambda")}, status: 404,
			want:       `{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:f in eu-west-1"}`,
			wantHeader: map[string]string{"X-Amzn-Errortype": "ResourceNotFoundException", "Content-Type": "application/json"}},
		{name: "empty list", method: "GET", url: "/2015-03-31/functions/", header: map[string]string{"Authorization": scope("lambda")}, status: 200, want: `{"Functions":[]}`},
		{name: "no content", method: "DELETE", url: "/2015-03-31/functions/f/aliases/a", status: 204},
		{name: "panic", method: "GET", url: "/2015-03-31/functions/f/aliases/a", status: 500,
			want: `{"message":"The request processing has failed because of an unknown error, exception or failure."}`, wantHeader: map[string]string{"X-Amzn-Errortype": "ServiceException"}},
		{name: "no fault", method: "GET", url: "/2015-03-31/functions/f/policy", status: 500,
			want: `{"message":"The request processing has failed because of an unknown error, exception or failure."}`},
		{name: "full disk", method: "DELETE", url: "/2017-10-31/functions/f/concurrency", status: 500,
			want: `{"message":"The host's disk is full; nothing was changed."}`, wantHeader: map[string]string{"X-Amzn-Errortype": "ServiceException"}},
		{name: "fault with a header", method: "GET", url: "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af", status: 429,
			want: `{"Type":"User","message":"Rate Exceeded.","Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}`, wantHeader: map[string]string{"Retry-After": "1"}},
		{name: "not built", method: "GET", url: "/2016-08-19/account-settings", status: 501,
			want: `{"message":"The operation GetAccountSettings of Lambda is not implemented by lambdad."}`, wantHeader: map[string]string{"X-Amzn-Errortype": "NotImplementedException"}},
		{name: "unknown route", method: "GET", url: "/2015-03-31/nothing", header: map[string]string{"Authorization": scope("lambda")}, status: 404,
			want: `{"message":""}`, wantHeader: map[string]string{"X-Amzn-Errortype": "UnknownOperationException", "Content-Type": "application/json"}},
		{name: "unknown route with a form", method: "POST", url: "/2015-03-31/nothing", body: "a=b", header: map[string]string{"Authorization": scope("lambda"), "Content-Type": "application/x-www-form-urlencoded"}, status: 404,
			want: `{"message":""}`},
		{name: "route of a scope that is none of ours", method: "GET", url: "/2015-03-31/functions/", header: map[string]string{"Authorization": scope("lambdaa")}, status: 200},
		{name: "service that is not here", method: "GET", url: "/restapis", header: map[string]string{"Authorization": scope("apigateway")}, status: 404,
			want: `{"message":"lambdad has no service apigateway with this operation."}`},
		{name: "action of a service that is not here", method: "POST", url: "/", body: "Action=ListTopics&Version=2010-03-31", header: map[string]string{"Authorization": scope("sns"), "Content-Type": "application/x-www-form-urlencoded"}, status: 400,
			want: "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation ListTopics. lambdad has no service sns with this operation.</Message></Error><RequestId>ID</RequestId></ErrorResponse>"},
		{name: "path at a query service", method: "GET", url: "/foo", header: map[string]string{"Authorization": scope("sts")}, status: 400,
			want: "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>MissingAction</Code><Message>The request must contain the parameter Action.</Message></Error><RequestId>ID</RequestId></ErrorResponse>"},
		{name: "form without its type at a query service", method: "POST", url: "/", body: "Action=GetCallerIdentity&Version=2011-06-15", header: map[string]string{"Authorization": scope("sts")}, status: 200},
		{name: "json service without a target", method: "POST", url: "/", body: "{}", header: map[string]string{"Authorization": scope("logs")}, status: 404,
			want: `{"__type":"UnknownOperationException"}`, wantHeader: map[string]string{"Content-Type": "application/x-amz-json-1.1"}},
		{name: "json with another method", method: "GET", url: "/", header: map[string]string{"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Authorization": scope("logs")}, status: 400,
			want: `{"__type":"UnknownOperationException"}`},
		{name: "not built, whatever the input", method: "POST", url: "/", body: "{", header: map[string]string{"X-Amz-Target": "Logs_20140328.StartQuery", "Authorization": scope("logs")}, status: 501},
		{name: "nobody", method: "GET", url: "/", status: 403, want: `{"message":"Missing Authentication Token"}`},
		{name: "validation", method: "POST", url: "/2015-03-31/functions", body: `{"FunctionName":"f","Role":"r1","Code":{}}`, status: 400,
			want: `{"message":"1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+"}`},
		{name: "two violations", method: "POST", url: "/2015-03-31/functions", body: `{"FunctionName":"f"}`, status: 400,
			want: `{"message":"2 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null; Value null at 'code' failed to satisfy constraint: Member must not be null"}`},
		{name: "element violation", method: "POST", url: "/2015-03-31/functions", body: `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{},"Architectures":["X86_64"]}`, status: 400,
			want: `{"message":"1 validation error detected: Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"}`},
		{name: "not json", method: "POST", url: "/2015-03-31/functions", body: `{`, status: 400, wantHeader: map[string]string{"X-Amzn-Errortype": "InvalidRequestContentException"}},
		{name: "wrong type", method: "POST", url: "/2015-03-31/functions", body: `{"MemorySize":"128"}`, status: 400},
		{name: "invoke", method: "POST", url: "/2015-03-31/functions/f/invocations", body: `{"a":1}`, status: 200, want: `{"a":1}`,
			wantHeader: map[string]string{"X-Amz-Executed-Version": "$LATEST", "X-Amzn-Trace-Id": "root=1"}},
		{name: "query by scope", method: "POST", url: "/", body: "Action=GetCallerIdentity&Version=2011-06-15", header: map[string]string{"Authorization": scope("sts"), "Content-Type": "application/x-www-form-urlencoded"}, status: 200,
			want:       "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn></GetCallerIdentityResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
			wantHeader: map[string]string{"Content-Type": "text/xml"}},
		{name: "query by version", method: "POST", url: "/", body: "Action=GetRole&Version=2010-05-08&RoleName=r", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 404,
			want: "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The role with name r cannot be found.</Message></Error><RequestId>ID</RequestId></ErrorResponse>"},
		{name: "query by URL", method: "GET", url: "/?Action=GetRole&Version=2010-05-08&RoleName=r", header: map[string]string{"Authorization": scope("iam")}, status: 404},
		{name: "query lists", method: "POST", url: "/", body: "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Key=k&Tags.member.1.Value=v", header: map[string]string{"Authorization": scope("iam"), "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, status: 200,
			want: "<CreateRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateRoleResult><Role><RoleName>r</RoleName><CreateDate>2026-01-02T03:04:05Z</CreateDate><Tags><member><Key>k</Key><Value>v</Value></member></Tags></Role></CreateRoleResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></CreateRoleResponse>"},
		{name: "query hides values", method: "POST", url: "/", body: "Action=GetRole&Version=2010-05-08&RoleName=a%20b", header: map[string]string{"Authorization": scope("iam"), "Content-Type": "application/x-www-form-urlencoded"}, status: 400,
			want: "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>1 validation error detected: Value at 'roleName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+</Message></Error><RequestId>ID</RequestId></ErrorResponse>"},
		{name: "unknown action", method: "POST", url: "/", body: "Action=Nothing&Version=2010-05-08", header: map[string]string{"Authorization": scope("iam"), "Content-Type": "application/x-www-form-urlencoded"}, status: 400,
			want: "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation Nothing for version 2010-05-08</Message></Error><RequestId>ID</RequestId></ErrorResponse>"},
		{name: "json", method: "POST", url: "/", body: "{}", header: map[string]string{"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Content-Type": "application/x-amz-json-1.1"}, status: 200, want: `{"logGroups":[]}`,
			wantHeader: map[string]string{"Content-Type": "application/x-amz-json-1.1"}},
		{name: "json fault without a modelled message", method: "POST", url: "/", body: `{"logGroupName":"g"}`, header: map[string]string{"X-Amz-Target": "Logs_20140328.CreateLogGroup"}, status: 400,
			want: `{"__type":"ResourceAlreadyExistsException","message":"The specified log group already exists"}`},
		{name: "json unknown operation", method: "POST", url: "/", body: "{}", header: map[string]string{"X-Amz-Target": "Logs_20140328.Nothing", "Content-Type": "application/x-amz-json-1.1"}, status: 400, want: `{"__type":"UnknownOperationException"}`},
		{name: "json validation code", method: "POST", url: "/", body: `{"limit":51}`, header: map[string]string{"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}, status: 400,
			want: `{"__type":"InvalidParameterException","message":"1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 50"}`},
		{name: "host", method: "POST", url: "http://sts.us-west-2.amazonaws.com/", body: "Action=GetCallerIdentity&Version=2011-06-15", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 200},
		{name: "own domain", method: "GET", url: "http://lambda.us-west-2.lambdad.internal:4566/2015-03-31/functions", status: 200},
		{name: "no auth operation", method: "POST", url: "/", body: "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::000000000000:role/r&RoleSessionName=ss&WebIdentityToken=tttt", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 501},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, tc.url, strings.NewReader(tc.body))
			for k, v := range tc.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			resp := w.Result()
			body, _ := io.ReadAll(resp.Body)
			got := string(body)
			id := w.Header()["x-amzn-RequestId"]
			if len(id) != 1 || len(id[0]) != 36 {
				t.Errorf("x-amzn-RequestId = %q", id)
			} else {
				got = strings.ReplaceAll(got, id[0], "ID")
			}
			if resp.StatusCode != tc.status {
				t.Errorf("status = %d, want %d", resp.StatusCode, tc.status)
			}
			if tc.want != "" && got != tc.want {
				t.Errorf("body = %s\nwant   %s", got, tc.want)
			}
			for k, v := range tc.wantHeader {
				found := ""
				for name, values := range w.Header() {
					if strings.EqualFold(name, k) {
						found = values[0]
					}
				}
				if found != v {
					t.Errorf("header %s = %q, want %q", k, found, v)
				}
			}
		})
	}
}

func TestBodyBounds(t *testing.T) {
	server := newServer(t, lambda.Handlers{})
	for _, tc := range []struct {
		name, url, want string
		size            int64
	}{
		{"Invoke", "/2015-03-31/functions/f/invocations", "Request must be smaller than 6291456 bytes for the InvokeFunction operation", 6291457},
		{"CreateFunction", "/2015-03-31/functions", "Request must be smaller than 70167211 bytes for the CreateFunction operation", 70167212},
	} {
		for _, sized := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				r := httptest.NewRequest("POST", tc.url, io.LimitReader(zeros{}, tc.size))
				if r.ContentLength = tc.size; !sized {
					r.ContentLength = -1
				}
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != 413 || !strings.Contains(w.Body.String(), tc.want) {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestOneDate runs over a real connection: two Date headers break clients
// (AWS-BEHAVIOUR, JS SDK v3).
func TestOneDate(t *testing.T) {
	ts := httptest.NewServer(newServer(t, lambda.Handlers{}))
	defer ts.Close()
	resp, err := http.Get(ts.URL + "/2016-08-19/account-settings")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := len(resp.Header.Values("Date")); n != 1 {
		t.Errorf("%d Date headers", n)
	}
	if resp.Header.Get("x-amzn-RequestId") == "" {
		t.Error("no request id")
	}
}

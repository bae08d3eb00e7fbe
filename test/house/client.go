package house

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const trustPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// activeMax bounds the wait for a function to become Active.
const activeMax = time.Minute

// Client is the AWS SDK for Go, pointed at a house, with the few steps that many
// stories share.
type Client struct {
	Config aws.Config
	Lambda *lambda.Client
	IAM    *iam.Client
	Logs   *cloudwatchlogs.Client
	Role   string // the ARN of a role that Lambda may assume

	t testing.TB
}

// SDKConfig points the AWS SDK for Go at the house, with its administrator's key and no retries.
func (h *House) SDKConfig(t testing.TB) aws.Config {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(context.Background(),
		config.WithSharedCredentialsFiles([]string{filepath.Join(h.Data, "credentials")}),
		config.WithSharedConfigFiles([]string{os.DevNull}),
		config.WithRegion(h.Region), config.WithBaseEndpoint(h.Endpoint), config.WithRetryMaxAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = steady{&http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}}
	return cfg
}

// steady sends bodies that may be closed at any time. The SDK closes a request's body as soon as
// the answer's head is there, which net/http takes for a failure to write where it has not seen the
// body's end yet, and then closes the connection under an answer that does not fit into one read.
type steady struct{ *http.Client }

func (c steady) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return c.Client.Do(r)
}

// Client makes a client and a role for functions.
func (h *House) Client(t testing.TB) *Client {
	t.Helper()
	cfg := h.SDKConfig(t)
	c := &Client{Config: cfg, Lambda: lambda.NewFromConfig(cfg), IAM: iam.NewFromConfig(cfg), Logs: cloudwatchlogs.NewFromConfig(cfg), t: t}
	role, err := c.IAM.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("story"), AssumeRolePolicyDocument: aws.String(trustPolicy)})
	if err != nil {
		t.Fatal(err)
	}
	c.Role = *role.Role.Arn
	return c
}

// Again is the client after a kill and another start of the house: with connections of its own, as
// those of before are broken, and an SDK without retries only sees that when it sends on one.
func (c *Client) Again(h *House) *Client {
	again := *c
	again.Config = h.SDKConfig(c.t)
	again.Lambda, again.IAM, again.Logs = lambda.NewFromConfig(again.Config), iam.NewFromConfig(again.Config), cloudwatchlogs.NewFromConfig(again.Config)
	return &again
}

// With is the client for a subtest: what it skips or fails is the subtest.
func (c *Client) With(t testing.TB) *Client {
	with := *c
	with.t = t
	return &with
}

// Function creates a function from in with the missing parts filled (name, role, Python
// 3.12, app.handler) and the files given, and waits until it is Active.
func (c *Client) Function(in lambda.CreateFunctionInput, files map[string]string) string {
	c.t.Helper()
	if in.FunctionName == nil {
		in.FunctionName = aws.String("story")
	}
	if in.Runtime == "" {
		in.Runtime = types.RuntimePython312
	}
	if in.Handler == nil {
		in.Handler = aws.String("app.handler")
	}
	in.Role = &c.Role
	in.Code = &types.FunctionCode{ZipFile: Zip(c.t, files)}
	if _, err := c.Lambda.CreateFunction(c.t.Context(), &in); err != nil {
		c.t.Fatal(err)
	}
	c.WaitActive(*in.FunctionName)
	return *in.FunctionName
}

// WaitActive waits until a function's state is Active, and fails with its reason if it is not.
func (c *Client) WaitActive(name string) {
	c.t.Helper()
	if err := lambda.NewFunctionActiveV2Waiter(c.Lambda).Wait(c.t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, activeMax); err != nil {
		got, getErr := c.Lambda.GetFunctionConfiguration(c.t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if getErr == nil && got.StateReasonCode == types.StateReasonCodeInvalidRuntime {
			c.t.Skipf("needs an interpreter for %s", got.Runtime)
		}
		if getErr == nil {
			c.t.Fatalf("%s is %s: %s", name, got.State, aws.ToString(got.StateReason))
		}
		c.t.Fatal(err)
	}
}

// WaitUpdated waits until a function's last update is Successful.
func (c *Client) WaitUpdated(name string) {
	c.t.Helper()
	if err := lambda.NewFunctionUpdatedV2Waiter(c.Lambda).Wait(c.t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, activeMax); err != nil {
		c.t.Fatal(err)
	}
}

// Answer is what an invoke gave back.
type Answer struct {
	FunctionError string
	Payload       string
	Log           string // the decoded tail
	Version       string
}

// JSON decodes the payload into an object.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.Payload), &v); err != nil {
		t.Fatalf("payload is no JSON object: %v: %s", err, a.Payload)
	}
	return v
}

// Invoke invokes synchronously with the log's tail.
func (c *Client) Invoke(name string, payload string) Answer {
	c.t.Helper()
	answer, err := c.TryInvoke(name, payload)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// TryInvoke is Invoke for invokes that may be refused.
func (c *Client) TryInvoke(name string, payload string) (Answer, error) {
	out, err := c.Lambda.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(payload), LogType: types.LogTypeTail})
	if err != nil {
		return Answer{}, err
	}
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	return Answer{FunctionError: aws.ToString(out.FunctionError), Payload: string(out.Payload), Log: string(log), Version: aws.ToString(out.ExecutedVersion)}, err
}

// logMax bounds the wait for a line of a log: it is written beside the answer's way.
const logMax = 10 * time.Second

// LogLines are all messages of a function's log group, as soon as one of them contains want.
func (c *Client) LogLines(name, want string) []string {
	c.t.Helper()
	for deadline := time.Now().Add(logMax); ; time.Sleep(50 * time.Millisecond) {
		lines := c.logLines(name)
		for _, line := range lines {
			if strings.Contains(line, want) {
				return lines
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("no line of %s's log contains %q: %q", name, want, lines)
		}
	}
}

func (c *Client) logLines(name string) []string {
	c.t.Helper()
	var lines []string
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(c.Logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + name)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.t.Context())
		var notFound *logtypes.ResourceNotFoundException
		if errors.As(err, &notFound) {
			return nil // the first line makes the group
		}
		if err != nil {
			c.t.Fatal(err)
		}
		for _, e := range page.Events {
			lines = append(lines, *e.Message)
		}
	}
	return lines
}

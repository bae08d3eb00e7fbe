package story

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestOutsideDestinations sends what became of asynchronous invokes to SNS, EventBridge and S3 elsewhere.
func TestOutsideDestinations(t *testing.T) {
	type asked struct{ method, path, body string }
	came := make(chan asked, 10)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=") {
			came <- asked{r.Method, r.URL.Path, string(body)}
		}
		_, _ = io.WriteString(w, "{}")
	}))
	defer outside.Close()
	h := house.Start(t, "--event-time-scale", "0.005", "--endpoint", "sns="+outside.URL, "--endpoint", "events="+outside.URL)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("sender")}, map[string]string{"app.py": "def handler(event, context):\n    return event['n']\n"})
	bus, topic := "arn:aws:events:"+h.Region+":000000000000:event-bus/default", "arn:aws:sns:"+h.Region+":000000000000:topic"
	put := func(success, failure string) error {
		_, err := c.Lambda.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &name, MaximumRetryAttempts: aws.Int32(0), DestinationConfig: &types.DestinationConfig{
			OnSuccess: &types.OnSuccess{Destination: &success}, OnFailure: &types.OnFailure{Destination: &failure},
		}})
		return err
	}
	if err := put(bus, topic); err == nil || !strings.Contains(err.Error(), "permissions to call PutEvents") {
		t.Errorf("a bus that the role may not use: %v", err)
	}
	if _, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("story"), PolicyName: aws.String("send"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sns:Publish","events:PutEvents","s3:PutObject"],"Resource":"*"}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	if err := put(bus, "arn:aws:s3:::bucket"); err == nil || !strings.Contains(err.Error(), "--endpoint") {
		t.Errorf("a service without an endpoint: %v", err)
	}
	if err := put(bus, topic); err != nil {
		t.Fatal(err)
	}
	next := func(payload string) asked {
		t.Helper()
		if _, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
		select {
		case a := <-came:
			return a
		case <-time.After(30 * time.Second):
			t.Fatal("nothing came")
		}
		return asked{}
	}
	if got := next(`{"n":"fine"}`); !strings.Contains(got.body, `"DetailType":"Lambda Function Invocation Result - Success"`) || !strings.Contains(got.body, `\"responsePayload\":\"fine\"`) {
		t.Errorf("%+v", got)
	}
	got := next(`{}`)
	form, err := url.ParseQuery(got.body)
	if err != nil || form.Get("TopicArn") != topic || !strings.Contains(form.Get("Message"), `"condition":"RetriesExhausted"`) {
		t.Errorf("%+v, %v", got, err)
	}
}

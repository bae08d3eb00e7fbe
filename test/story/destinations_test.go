package story

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestQueueDestinations sends what became of asynchronous invokes to queues: the record of a success,
// that of a failure, and the dead letter; and refuses a queue that the role may not send to.
func TestQueueDestinations(t *testing.T) {
	h := house.Start(t, "--event-time-scale", "0.005")
	c := h.Client(t)
	queues := sqs.NewFromConfig(h.SDKConfig(t))
	queue := func(name string) (url *string, arn string) {
		t.Helper()
		created, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return created.QueueUrl, "arn:aws:sqs:" + h.Region + ":000000000000:" + name
	}
	good, goodARN := queue("good")
	bad, badARN := queue("bad")
	dead, deadARN := queue("dead")
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("sender")}, map[string]string{"app.py": "def handler(event, context):\n    if event.get('fail'):\n        raise ValueError('asked to')\n    return {'fine': True}\n"})
	config := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &name, MaximumRetryAttempts: aws.Int32(0), DestinationConfig: &types.DestinationConfig{
		OnSuccess: &types.OnSuccess{Destination: &goodARN}, OnFailure: &types.OnFailure{Destination: &badARN},
	}}
	if _, err := c.Lambda.PutFunctionEventInvokeConfig(t.Context(), config); err == nil || !strings.Contains(err.Error(), "permissions to call SendMessage") {
		t.Errorf("a queue that the role may not send to: %v", err)
	}
	if _, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("story"), PolicyName: aws.String("send"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lambda.PutFunctionEventInvokeConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, DeadLetterConfig: &types.DeadLetterConfig{TargetArn: &deadARN}}); err != nil {
		t.Fatal(err)
	}
	c.WaitUpdated(name)
	for _, payload := range []string{`{"n":1}`, `{"fail":true}`} {
		if _, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	take := func(url *string) sqstypes.Message {
		t.Helper()
		got, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 20, MessageAttributeNames: []string{"All"}})
		if err != nil || len(got.Messages) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		return got.Messages[0]
	}
	var success, failure struct {
		RequestContext  struct{ Condition, FunctionArn string }
		RequestPayload  map[string]any
		ResponsePayload map[string]any
	}
	if err := json.Unmarshal([]byte(*take(good).Body), &success); err != nil || success.RequestContext.Condition != "Success" || success.ResponsePayload["fine"] != true {
		t.Errorf("%+v, %v", success, err)
	}
	if err := json.Unmarshal([]byte(*take(bad).Body), &failure); err != nil || failure.RequestContext.Condition != "RetriesExhausted" || failure.ResponsePayload["errorMessage"] != "asked to" {
		t.Errorf("%+v, %v", failure, err)
	}
	letter := take(dead)
	if *letter.Body != `{"fail":true}` || *letter.MessageAttributes["ErrorCode"].StringValue != "200" || *letter.MessageAttributes["ErrorMessage"].StringValue != "asked to" {
		t.Errorf("%s %v", *letter.Body, letter.MessageAttributes)
	}
}

package story

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/lambdad/lambdad/test/house"
)

// loopCode calls itself and passes the trace header on, as AWS's SDKs do inside of functions.
const loopCode = `import json, os, urllib.error, urllib.request

def handler(event, context):
    n = event.get('n', 1)
    if n >= event.get('limit', 30):
        return {'n': n}
    headers = {'X-Amzn-Trace-Id': os.environ['_X_AMZN_TRACE_ID'], 'X-Amz-Invocation-Type': event.get('type', 'RequestResponse')}
    url = os.environ['AWS_ENDPOINT_URL'] + '/2015-03-31/functions/' + context.function_name + '/invocations'
    request = urllib.request.Request(url, json.dumps(dict(event, n=n + 1)).encode(), headers, method='POST')
    try:
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b'{}')
    except urllib.error.HTTPError as e:
        return {'n': n, 'error': e.headers['x-amzn-ErrorType'], 'status': e.code}
`

// TestRecursiveLoops: a function that calls itself runs 16 times, whether it waits for itself or
// not; the 17th event goes to the dead-letter queue. One that may goes on.
func TestRecursiveLoops(t *testing.T) {
	h := house.Start(t, "--auth", "none", "--event-time-scale", "0.005")
	c := h.Client(t)
	queues := sqs.NewFromConfig(h.SDKConfig(t))
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("dead")})
	if err != nil {
		t.Fatal(err)
	}
	name := c.Function(lambda.CreateFunctionInput{
		FunctionName: aws.String("loop"), Timeout: aws.Int32(120),
		DeadLetterConfig: &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:sqs:" + h.Region + ":000000000000:dead")},
	}, map[string]string{"app.py": loopCode})

	got := c.Invoke(name, `{}`).JSON(t)
	if got["n"] != 16.0 || got["status"] != 400.0 || !strings.HasPrefix(fmt.Sprint(got["error"]), "RecursiveInvocationException") {
		t.Errorf("a loop of synchronous invokes ended with %v", got)
	}
	if _, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"type":"Event"}`)}); err != nil {
		t.Fatal(err)
	}
	letters, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, WaitTimeSeconds: 20, MessageAttributeNames: []string{"All"}})
	if err != nil || len(letters.Messages) != 1 {
		t.Fatalf("dead letters: %v, %v", letters, err)
	}
	var event struct{ N int }
	if err := json.Unmarshal([]byte(*letters.Messages[0].Body), &event); err != nil || event.N != 17 {
		t.Errorf("the dead letter is %s, %v; want the 17th event", *letters.Messages[0].Body, err)
	}
	if log := h.Log(); !strings.Contains(log, "part of a recursive loop") {
		t.Error("no line of the log tells of the loop")
	}

	if _, err := c.Lambda.PutFunctionRecursionConfig(t.Context(), &lambda.PutFunctionRecursionConfigInput{FunctionName: &name, RecursiveLoop: types.RecursiveLoopAllow}); err != nil {
		t.Fatal(err)
	}
	if got := c.Invoke(name, `{"limit":20}`).JSON(t); got["n"] != 20.0 {
		t.Errorf("a loop that is allowed ended with %v", got)
	}
	response, err := http.Get(h.Endpoint + "/_lambdad/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if metrics, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(metrics), "lambdad_invoke_recursive_dropped_total 2\n") {
		t.Errorf("the metrics do not count two loops: %v", err)
	}
}

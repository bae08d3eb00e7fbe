package story

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestKillWithEvents kills lambdad again and again while clients send events: every event that was
// acknowledged runs, and its record reaches the queue that it is to go to.
func TestKillWithEvents(t *testing.T) {
	t.Parallel()
	h := house.Start(t, "--event-time-scale", "0.005")
	c := h.Client(t)
	queues := func() *sqs.Client { return sqs.NewFromConfig(h.SDKConfig(t)) }
	if _, err := queues().CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("records")}); err != nil {
		t.Fatal(err)
	}
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("eventful")}, map[string]string{"app.py": "def handler(event, context):\n    return event\n"})
	if _, err := c.IAM.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("story"), PolicyName: aws.String("send"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}`),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lambda.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &name, DestinationConfig: &types.DestinationConfig{
		OnSuccess: &types.OnSuccess{Destination: aws.String("arn:aws:sqs:" + h.Region + ":000000000000:records")},
	}}); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for round := range 3 {
		stop := make(chan struct{})
		var running sync.WaitGroup
		for client := range 4 {
			running.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					event := fmt.Sprintf("%d-%d-%d", round, client, n)
					answer, err := c.Lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, InvocationType: types.InvocationTypeEvent, Payload: []byte(`"` + event + `"`)})
					if err != nil {
						time.Sleep(10 * time.Millisecond) // it has been killed
						continue
					}
					if answer.StatusCode == 202 {
						mu.Lock()
						acknowledged[event] = true
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(300+rand.IntN(700)) * time.Millisecond)
		h.Kill()
		close(stop)
		running.Wait()
		h.Run()
		c = c.Again(h)
	}
	sent := len(acknowledged)
	if sent == 0 {
		t.Fatal("nothing was acknowledged")
	}
	client := queues()
	at, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("records")})
	if err != nil {
		t.Fatal(err)
	}
	for ended := time.Now().Add(2 * time.Minute); len(acknowledged) > 0 && time.Now().Before(ended); {
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: at.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil {
			t.Logf("receive: %v", err) // what was on its way comes again
			continue
		}
		var taken []sqstypes.DeleteMessageBatchRequestEntry
		for i, m := range got.Messages {
			var record struct{ RequestPayload, ResponsePayload string }
			if err := json.Unmarshal([]byte(*m.Body), &record); err != nil || record.RequestPayload != record.ResponsePayload {
				t.Errorf("%s, %v", *m.Body, err)
			}
			delete(acknowledged, record.RequestPayload)
			taken = append(taken, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
		}
		if len(taken) == 0 {
			continue
		}
		if _, err := client.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: at.QueueUrl, Entries: taken}); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) > 0 {
		t.Errorf("of %d acknowledged events %d never ran", sent, len(acknowledged))
	}
	t.Logf("%d acknowledged events", sent)
}

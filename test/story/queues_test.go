package story

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/lambdad/lambdad/test/house"
)

// ledger is what clients were told of their messages.
type ledger struct {
	mu      sync.Mutex
	sent    map[string]bool // by body: acknowledged
	deleted map[string]bool // acknowledged
	doubt   map[string]bool // a delete of it was under way when the program died
}

// TestKilledQueues kills lambdad again and again while messages are sent, received and deleted:
// what was acknowledged is there, what was deleted stays so, and a FIFO group keeps its order.
func TestKilledQueues(t *testing.T) {
	const rounds, workers = 5, 8
	h := house.Start(t)
	book := &ledger{sent: map[string]bool{}, deleted: map[string]bool{}, doubt: map[string]bool{}}
	client := sqs.NewFromConfig(h.SDKConfig(t))
	for _, name := range []string{"q", "q.fifo"} {
		attributes := map[string]string{"VisibilityTimeout": "1"}
		if name == "q.fifo" {
			attributes["FifoQueue"] = "true"
		}
		if _, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(name), Attributes: attributes}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range rounds {
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for w := range workers {
			running.Go(func() { book.work(ctx, sqs.NewFromConfig(h.SDKConfig(t)), h.Endpoint, fmt.Sprint(round, "-", w)) })
		}
		time.Sleep(time.Duration(200+rand.IntN(400)) * time.Millisecond)
		h.Kill()
		stop()
		running.Wait()
		h.Run()
	}
	client = sqs.NewFromConfig(h.SDKConfig(t))
	for _, name := range []string{"q", "q.fifo"} {
		left := drainQueue(t, client, h.Endpoint+"/000000000000/"+name)
		for body := range left {
			if book.deleted[name+" "+body] {
				t.Errorf("%s: %s was deleted, and is back", name, body)
			}
		}
		sent := 0
		for key := range book.sent {
			var queue, body string
			if _, err := fmt.Sscan(key, &queue, &body); err != nil {
				t.Fatal(err)
			}
			if queue != name {
				continue
			}
			sent++
			if !book.deleted[key] && !book.doubt[key] && !left[body] {
				t.Errorf("%s: %s was acknowledged, and is lost", name, body)
			}
		}
		t.Logf("%s: %d messages acknowledged, %d left after %d kills", name, sent, len(left), rounds)
		if sent == 0 {
			t.Errorf("%s: the test sent nothing", name)
		}
	}
}

// work sends, receives and deletes until the program dies.
func (l *ledger) work(ctx context.Context, client *sqs.Client, endpoint, name string) {
	for i := 0; ctx.Err() == nil; i++ {
		queue := []string{"q", "q.fifo"}[i%2]
		url, body := aws.String(endpoint+"/000000000000/"+queue), fmt.Sprint(name, "-", i)
		in := &sqs.SendMessageInput{QueueUrl: url, MessageBody: &body}
		if queue == "q.fifo" {
			in.MessageGroupId, in.MessageDeduplicationId = &name, &body
		}
		if _, err := client.SendMessage(ctx, in); err != nil {
			return
		}
		l.note(l.sent, queue, body)
		if i%4 > 1 {
			continue
		}
		got, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, VisibilityTimeout: 30})
		if err != nil {
			return
		}
		for _, m := range got.Messages {
			l.note(l.doubt, queue, *m.Body)
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return
			}
			l.note(l.deleted, queue, *m.Body)
		}
	}
}

func (l *ledger) note(in map[string]bool, queue, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[queue+" "+body] = true
}

// drainQueue receives and deletes everything; in a FIFO queue each group must come in order.
func drainQueue(t *testing.T, client *sqs.Client, url string) map[string]bool {
	t.Helper()
	left, last := map[string]bool{}, map[string]string{}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		counts, err := client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
		if err != nil {
			t.Fatal(err)
		}
		if counts.Attributes["ApproximateNumberOfMessages"] == "0" && counts.Attributes["ApproximateNumberOfMessagesNotVisible"] == "0" {
			return left
		}
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			t.Fatal(err)
		}
		var entries []types.DeleteMessageBatchRequestEntry
		for i, m := range got.Messages {
			left[*m.Body] = true
			group, number := m.Attributes["MessageGroupId"], m.Attributes["SequenceNumber"]
			if group != "" && number <= last[group] {
				t.Errorf("group %s: %s comes after %s", group, number, last[group])
			}
			last[group] = number
			entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
		}
		if len(entries) == 0 {
			continue
		}
		if _, err := client.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries}); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the queue does not get empty")
	return nil
}

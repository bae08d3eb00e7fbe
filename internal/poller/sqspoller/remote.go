package sqspoller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/poller/remote"
	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	// remoteWait is how long a receive waits at an endpoint. Source: SQS API, ReceiveMessage.
	remoteWait = 20 * time.Second
	// remoteTimeout bounds any call, with what it waits.
	remoteTimeout = remoteWait + 10*time.Second
)

// Remote is SQS at an endpoint, spoken to in its JSON protocol. It is safe for concurrent use.
type Remote struct {
	client *remote.Client

	mu   sync.Mutex
	urls map[string]string // of queues, by ARN
}

// NewRemote makes a client of an endpoint.
func NewRemote(endpoint *url.URL) *Remote {
	service := remote.Service{Name: "SQS", Signing: "sqs", Target: "AmazonSQS", Version: "1.0", Timeout: remoteTimeout}
	return &Remote{client: remote.New(service, endpoint), urls: map[string]string{}}
}

// Visibility is a queue's visibility timeout.
func (r *Remote) Visibility(ctx context.Context, sign sigv4.Credentials, queue string) (time.Duration, error) {
	var out struct{ Attributes map[string]string }
	if err := r.ask(ctx, sign, queue, "GetQueueAttributes", map[string]any{"AttributeNames": []string{"VisibilityTimeout"}}, &out); err != nil {
		return 0, err
	}
	seconds, err := strconv.Atoi(out.Attributes["VisibilityTimeout"])
	if err != nil {
		return 0, fmt.Errorf("the visibility timeout of %s: %w", queue, err)
	}
	return time.Duration(seconds) * time.Second, nil
}

// remoteMessage is a Message of SQS's model.
type remoteMessage struct {
	MessageId, ReceiptHandle, Body string
	Attributes                     map[string]string
	MessageAttributes              map[string]struct {
		DataType, StringValue string
		BinaryValue           []byte
	}
}

// Receive takes messages, and waits for them.
func (r *Remote) Receive(ctx context.Context, sign sigv4.Credentials, queue string, most int) ([]sqs.Received, error) {
	var out struct{ Messages []remoteMessage }
	err := r.ask(ctx, sign, queue, "ReceiveMessage", map[string]any{
		"MaxNumberOfMessages": most, "WaitTimeSeconds": int(remoteWait.Seconds()), "AttributeNames": []string{"All"}, "MessageAttributeNames": []string{"All"},
	}, &out)
	var got []sqs.Received
	for i := range out.Messages {
		got = append(got, received(&out.Messages[i]))
	}
	return got, err
}

func received(m *remoteMessage) sqs.Received {
	milli := func(name string) time.Time {
		n, _ := strconv.ParseInt(m.Attributes[name], 10, 64)
		return time.UnixMilli(n)
	}
	receives, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	number, _ := strconv.ParseUint(m.Attributes["SequenceNumber"], 10, 64)
	out := sqs.Received{
		MessageID: m.MessageId, Receipt: m.ReceiptHandle, Body: m.Body, Trace: m.Attributes["AWSTraceHeader"], Sender: m.Attributes["SenderId"],
		Group: m.Attributes["MessageGroupId"], DedupID: m.Attributes["MessageDeduplicationId"], Number: number, DeadFrom: m.Attributes["DeadLetterQueueSourceArn"],
		Receives: receives, Sent: milli("SentTimestamp"), First: milli("ApproximateFirstReceiveTimestamp"),
	}
	for name, a := range m.MessageAttributes {
		if out.Attributes == nil {
			out.Attributes = map[string]sqs.Attribute{}
		}
		out.Attributes[name] = sqs.Attribute{Type: a.DataType, Text: a.StringValue, Binary: a.BinaryValue}
	}
	return out
}

// Delete removes messages; it fails where one of them stays.
func (r *Remote) Delete(ctx context.Context, sign sigv4.Credentials, queue string, receipts []string) error {
	return r.batches(ctx, sign, queue, "DeleteMessageBatch", receipts, nil)
}

// Release makes messages visible at once.
func (r *Remote) Release(ctx context.Context, sign sigv4.Credentials, queue string, receipts []string) error {
	return r.batches(ctx, sign, queue, "ChangeMessageVisibilityBatch", receipts, map[string]any{"VisibilityTimeout": 0})
}

func (r *Remote) batches(ctx context.Context, sign sigv4.Credentials, queue, operation string, receipts []string, more map[string]any) error {
	var all error
	for start := 0; start < len(receipts); start += receiveMax {
		var entries []map[string]any
		for i, receipt := range receipts[start:min(start+receiveMax, len(receipts))] {
			entry := map[string]any{"Id": strconv.Itoa(i), "ReceiptHandle": receipt}
			for k, v := range more {
				entry[k] = v
			}
			entries = append(entries, entry)
		}
		var out struct {
			Failed []struct{ Id, Code, Message string }
		}
		err := r.ask(ctx, sign, queue, operation, map[string]any{"Entries": entries}, &out)
		for _, f := range out.Failed {
			err = errors.Join(err, &remote.Error{Service: "SQS", Status: http.StatusOK, Code: f.Code, Message: f.Message})
		}
		all = errors.Join(all, err)
	}
	return all
}

// ask does one operation on a queue.
func (r *Remote) ask(ctx context.Context, sign sigv4.Credentials, queue, operation string, in map[string]any, out any) error {
	arn, err := aws.ParseARN(queue)
	if err != nil {
		return err
	}
	address, err := r.queueURL(ctx, sign, arn)
	if err != nil {
		return err
	}
	in["QueueUrl"] = address
	return r.post(ctx, sign, arn.Region, operation, in, out)
}

// queueURL is asked for once.
func (r *Remote) queueURL(ctx context.Context, sign sigv4.Credentials, queue aws.ARN) (string, error) {
	r.mu.Lock()
	known := r.urls[queue.String()]
	r.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var out struct{ QueueUrl string }
	if err := r.post(ctx, sign, queue.Region, "GetQueueUrl", map[string]any{"QueueName": queue.Resource, "QueueOwnerAWSAccountId": queue.Account}, &out); err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.urls[queue.String()] = out.QueueUrl
	return out.QueueUrl, nil
}

func (r *Remote) post(ctx context.Context, sign sigv4.Credentials, region aws.Region, operation string, in, out any) error {
	err := r.client.Ask(ctx, sign, region, operation, in, out)
	var fault *remote.Error
	if errors.As(err, &fault) && (strings.HasSuffix(fault.Code, "NonExistentQueue") || strings.HasSuffix(fault.Code, "QueueDoesNotExist")) {
		return fmt.Errorf("%w: %w", sqs.ErrNoQueue, err)
	}
	return err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// benchStart measures from a request to the function's first line, waited for and not.
func benchStart(ctx context.Context, b *bench) error {
	warm, cold := 500, 60
	if b.quick {
		warm, cold = 100, 10
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := clockLanguage(ctx, dir)
	if err != nil {
		return err
	}
	s, err := startServer(ctx, b.lambdad, "--memory", "100000")
	if err != nil {
		return err
	}
	defer s.stop()
	c, err := newCaller(ctx, s, 8)
	if err != nil {
		return err
	}
	ends, err := c.listen(ctx, "started")
	if err != nil {
		return err
	}
	name := func(i int) string { return fmt.Sprintf("start-%03d", i) }
	for i := range 2 * cold {
		if err := errors.Join(c.deploy(ctx, name(i), l), ends.follow(ctx, name(i))); err != nil {
			return err
		}
	}
	ages := map[string]sample{}
	// One of each kind in turn, so that what else the machine does hits both.
	for i := range cold {
		if err := startOnce(ctx, c, ends, ages, "cold", name(2*i), name(2*i+1)); err != nil {
			return err
		}
	}
	for range warm {
		if err := startOnce(ctx, c, ends, ages, "warm", name(0), name(1)); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, kind := range []string{"warm", "cold"} {
		waited, sent := ages[kind+" RequestResponse"], ages[kind+" Event"]
		rows = append(rows, []string{kind + ", InvocationType=RequestResponse", fmt.Sprint(len(waited)), millis(waited.p50()), millis(waited.p99()), "1.00"},
			[]string{kind + ", InvocationType=Event: on disk, leased, begun", fmt.Sprint(len(sent)), millis(sent.p50()), millis(sent.p99()), ratio(sent.p50(), waited.p50())})
	}
	b.report.table("Asynchronous invokes: from the request to the function's first line", []string{"Go function", "n", "p50 ms", "p99 ms", "of the other's p50"}, rows,
		"One at a time; the function says when it was called, on the machine's own clock. Of an event, the function tells through its OnSuccess destination, a queue.")
	return nil
}

// startOnce invokes one function and waits for it, and sends an event to the other.
func startOnce(ctx context.Context, c *caller, ends *ended, ages map[string]sample, kind, waited, sent string) error {
	out, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &waited, Payload: clockEvent(0)})
	if err != nil {
		return err
	}
	var a clockAnswer
	if err := json.Unmarshal(out.Payload, &a); err != nil {
		return err
	}
	ages[kind+" RequestResponse"] = append(ages[kind+" RequestResponse"], a.age())
	if err := c.send(ctx, sent, clockEvent(0)); err != nil {
		return err
	}
	answers, err := ends.collect(ctx, 1)
	if err != nil {
		return err
	}
	ages[kind+" Event"] = append(ages[kind+" Event"], answers[0].age())
	return nil
}

// clockEvent is an event for testdata/clock that is sent now.
func clockEvent(sleep time.Duration) []byte {
	return fmt.Appendf(nil, `{"sent":%d,"sleepMs":%d}`, time.Now().UnixNano(), sleep.Milliseconds())
}

type clockAnswer struct {
	Sent    int64 `json:"sent"`
	Started int64 `json:"started"`
}

func (a clockAnswer) age() time.Duration { return time.Duration(a.Started - a.Sent) }

// ended is a queue that learns what came of asynchronous invokes.
type ended struct {
	caller   *caller
	client   *awssqs.Client
	url, arn string
}

func (c *caller) listen(ctx context.Context, queue string) (*ended, error) {
	if err := c.allow(ctx, "sqs:*"); err != nil {
		return nil, err
	}
	url, arn, err := c.createQueue(ctx, queue)
	return &ended{caller: c, client: awssqs.NewFromConfig(c.config), url: url, arn: arn}, err
}

// follow makes the queue the function's OnSuccess destination.
func (e *ended) follow(ctx context.Context, function string) error {
	_, err := e.caller.lambda.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &function,
		DestinationConfig: &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: &e.arn}}})
	return err
}

// collectTimeout bounds how long the ends of events are waited for; one that failed comes again after a minute.
const collectTimeout = 3 * time.Minute

// collect waits for the answers of so many events.
func (e *ended) collect(ctx context.Context, count int) (answers []clockAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	for len(answers) < count {
		got, err := e.client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: &e.url, MaxNumberOfMessages: 10, WaitTimeSeconds: 10})
		if err != nil {
			return answers, fmt.Errorf("%d of %d events ended: %w", len(answers), count, err)
		}
		var over []sqstypes.DeleteMessageBatchRequestEntry
		for i, m := range got.Messages {
			var r struct {
				ResponsePayload clockAnswer `json:"responsePayload"`
			}
			if err := json.Unmarshal([]byte(*m.Body), &r); err != nil {
				return nil, err
			}
			answers = append(answers, r.ResponsePayload)
			over = append(over, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
		}
		if len(over) > 0 {
			if _, err := e.client.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{QueueUrl: &e.url, Entries: over}); err != nil {
				return nil, err
			}
		}
	}
	return answers, nil
}

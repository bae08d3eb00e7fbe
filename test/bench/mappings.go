package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// handConsumers is how many loops the peer has.
const handConsumers = 16

// handMax ends it, full or empty.
const handMax = 5 * time.Second

// benchMappings empties a queue into a function through an event source mapping, beside a
// program that does the same by hand: receive, invoke, delete.
func benchMappings(ctx context.Context, b *bench) error {
	count := 20_000
	if b.quick {
		count = 3_000
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-mappings-")
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
	c, err := newCaller(ctx, s, 64)
	if err != nil {
		return err
	}
	if err := errors.Join(c.allow(ctx, "sqs:*"), c.deploy(ctx, "batches", l)); err != nil {
		return err
	}
	byHand, err := emptyByHand(ctx, c, count)
	if err != nil {
		return err
	}
	rows := [][]string{{fmt.Sprintf("by hand: the SDK for Go in %d loops, receive, invoke, delete", handConsumers), "10", fmt.Sprintf("up to %d", count), fmt.Sprintf("%.0f", byHand), "1.00"}}
	for _, size := range []int{1, 10, 100} {
		n := count
		if size == 1 {
			n /= 4
		}
		rate, err := emptyByMapping(ctx, c, n, size)
		if err != nil {
			return err
		}
		rows = append(rows, []string{"event source mapping", fmt.Sprint(size), fmt.Sprint(n), fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.2f", rate/byHand)})
	}
	b.report.table("Event source mappings: a queue into a function", []string{"how", "batch size", "messages of 1 KiB", "messages a second", "of by hand"}, rows,
		"All messages wait when the clock starts, and of a mapping are deleted when it ends; what a mapping needs to begin is in it. The function (Go) answers at once. Batches over 10 have a window of one second.")
	return nil
}

// fillQueue sends so many messages to a new queue.
func fillQueue(ctx context.Context, c *caller, queue string, count int) (client *awssqs.Client, url, arn string, err error) {
	client = awssqs.NewFromConfig(c.config)
	if url, arn, err = c.createQueue(ctx, queue); err != nil {
		return nil, "", "", err
	}
	return client, url, arn, forEach(count/10, 16, func(int) error {
		var entries []sqstypes.SendMessageBatchRequestEntry
		for i := range 10 {
			entries = append(entries, sqstypes.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: &queueBody})
		}
		out, err := client.SendMessageBatch(ctx, &awssqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries})
		if err == nil && len(out.Failed) > 0 {
			err = fmt.Errorf("%d messages were refused: %s", len(out.Failed), *out.Failed[0].Message)
		}
		return err
	})
}

// emptyByHand is what a program does that has no mapping.
func emptyByHand(ctx context.Context, c *caller, count int) (perSecond float64, err error) {
	client, url, _, err := fillQueue(ctx, c, "by-hand", count)
	if err != nil {
		return 0, err
	}
	var over atomic.Int64
	stop := time.Now().Add(handMax)
	took, err := timed(func() error {
		return forEach(handConsumers, handConsumers, func(int) error {
			for over.Load() < int64(count) && time.Now().Before(stop) {
				n, err := batchByHand(ctx, c, client, url)
				if err != nil {
					return err
				}
				over.Add(int64(n))
			}
			return nil
		})
	})
	return float64(over.Load()) / took.Seconds(), err
}

func batchByHand(ctx context.Context, c *caller, client *awssqs.Client, url string) (int, error) {
	got, err := client.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
	if err != nil || len(got.Messages) == 0 {
		return 0, err
	}
	type entry struct {
		MessageID string `json:"messageId"`
		Body      string `json:"body"`
	}
	event := struct{ Records []entry }{}
	var over []sqstypes.DeleteMessageBatchRequestEntry
	for i, m := range got.Messages {
		event.Records = append(event.Records, entry{*m.MessageId, *m.Body})
		over = append(over, sqstypes.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), ReceiptHandle: m.ReceiptHandle})
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return 0, err
	}
	if _, err := c.invoke(ctx, "batches", payload); err != nil {
		return 0, err
	}
	out, err := client.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: over})
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d messages were not deleted: %s", len(out.Failed), *out.Failed[0].Message)
	}
	return len(over), err
}

// mappingTimeout bounds how long a mapping may take to empty its queue.
const mappingTimeout = 5 * time.Minute

// emptyByMapping creates a mapping of a full queue and waits until nothing is left in it.
func emptyByMapping(ctx context.Context, c *caller, count, size int) (perSecond float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, mappingTimeout)
	defer cancel()
	client, url, arn, err := fillQueue(ctx, c, fmt.Sprintf("mapped-%d", size), count)
	if err != nil {
		return 0, err
	}
	in := &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("batches"), EventSourceArn: &arn, BatchSize: aws.Int32(int32(size))}
	if size > 10 {
		in.MaximumBatchingWindowInSeconds = aws.Int32(1)
	}
	var id string
	took, err := timed(func() error {
		out, err := c.lambda.CreateEventSourceMapping(ctx, in)
		if err != nil {
			return err
		}
		id = *out.UUID
		for {
			got, err := client.GetQueueAttributes(ctx, &awssqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{
				sqstypes.QueueAttributeNameApproximateNumberOfMessages, sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible}})
			if err != nil {
				return err
			}
			left := 0
			for _, n := range got.Attributes {
				if strings.Trim(n, "0") != "" {
					left++
				}
			}
			if left == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("left in the queue: %v: %w", got.Attributes, ctx.Err())
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	if err != nil {
		return 0, err
	}
	return float64(count) / took.Seconds(), removeMapping(ctx, c, id)
}

// removeMapping deletes a mapping as soon as it may be: not while it is Creating.
func removeMapping(ctx context.Context, c *caller, id string) error {
	for {
		_, err := c.lambda.DeleteEventSourceMapping(ctx, &lambda.DeleteEventSourceMappingInput{UUID: &id})
		var busy *types.ResourceInUseException
		if !errors.As(err, &busy) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

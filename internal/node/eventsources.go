package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/control/lambda"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/poller/filter"
	"github.com/lambdad/lambdad/internal/poller/sqspoller"
	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// eventSources is the door of pollers, and of the control plane, to what event source
// mappings read.
type eventSources struct{ n *node }

// queueWait is how long a receive waits. Source: SQS API, ReceiveMessage.
const queueWait = 20 * time.Second

// queueActions are what a role needs to read a queue. Source: Lambda developer guide, "Using
// Lambda with Amazon SQS", permissions.
var queueActions = []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"}

var errNoQueue = errors.New("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")

// CheckFilter implements the control plane's door.
func (e eventSources) CheckFilter(pattern string) error {
	_, err := filter.Compile(pattern)
	return err
}

// Reach implements the control plane's door. The texts are AWS's (recorded:
// test_esm_with_not_existing_sqs_queue; the other as its users quote it).
func (e eventSources) Reach(ctx context.Context, role, source string) (lambda.EventSource, error) {
	arn, err := aws.ParseARN(source)
	if err == nil && streamActions[arn.Service] != nil {
		return e.n.streams.reach(ctx, role, arn)
	}
	if err != nil || arn.Service != "sqs" {
		return lambda.EventSource{}, fmt.Errorf("lambdad cannot read the event source %s: it has no service %s.", source, arn.Service)
	}
	if remote := e.remote(source); remote != nil {
		// Whoever answers there checks the keys; the queue is asked for nothing but its settings.
		visibility, err := e.Visibility(ctx, role, source)
		if errors.Is(err, sqs.ErrNoQueue) {
			return lambda.EventSource{}, errNoQueue
		}
		return lambda.EventSource{VisibilityTimeout: visibility}, err
	}
	for _, action := range queueActions {
		if err := e.mayQueue(ctx, role, arn, action); err != nil {
			return lambda.EventSource{}, fmt.Errorf("The provided execution role does not have permissions to call %s on SQS", action)
		}
	}
	visibility, err := e.visibility(ctx, source)
	if errors.Is(err, sqs.ErrNoQueue) {
		return lambda.EventSource{}, errNoQueue
	}
	return lambda.EventSource{VisibilityTimeout: visibility}, err
}

// mayQueue asks whether a role may do something to a queue, by its own policies and the queue's.
func (e eventSources) mayQueue(ctx context.Context, role string, queue aws.ARN, action string) error {
	access := iam.Access{Action: "sqs:" + action, Resource: queue.String(), Owner: queue.Account}
	if attributes, err := e.n.queues.Attributes(ctx, access.Resource); err == nil && attributes["Policy"] != "" {
		access.ResourcePolicies = []string{attributes["Policy"]}
	}
	return e.n.authority.RoleMay(ctx, role, access)
}

func (e eventSources) visibility(ctx context.Context, queue string) (time.Duration, error) {
	attributes, err := e.n.queues.Attributes(ctx, queue)
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.Atoi(attributes["VisibilityTimeout"])
	if err != nil {
		return 0, fmt.Errorf("the visibility timeout of %s: %w", queue, err)
	}
	return time.Duration(seconds) * time.Second, nil
}

// remote is where a queue is that this node has not, nil if there is no such place.
func (e eventSources) remote(queue string) *sqspoller.Remote {
	if e.n.remoteQueues == nil || e.n.queues.Exists(queue) {
		return nil
	}
	return e.n.remoteQueues
}

// keys sign requests to another endpoint: the operator's where the environment has some, because
// only those are known outside; else the role's own.
func (e eventSources) keys(ctx context.Context, role, queue string) (sigv4.Credentials, error) {
	if own := outwardKeys(); own.AccessKeyID != "" {
		return own, nil
	}
	issued, err := e.n.authority.IssueForFunction(ctx, role, queue, outwardTTL)
	return sigv4.Credentials{AccessKeyID: issued.AccessKeyID, SecretAccessKey: issued.SecretAccessKey, SessionToken: issued.SessionToken}, err
}

// Visibility implements sqspoller.Queues, as the methods below do.
func (e eventSources) Visibility(ctx context.Context, role, queue string) (time.Duration, error) {
	if remote := e.remote(queue); remote != nil {
		keys, err := e.keys(ctx, role, queue)
		if err != nil {
			return 0, err
		}
		return remote.Visibility(ctx, keys, queue)
	}
	if err := e.may(ctx, role, queue, "GetQueueAttributes"); err != nil {
		return 0, err
	}
	return e.visibility(ctx, queue)
}

func (e eventSources) Receive(ctx context.Context, role, queue string, most int) ([]sqs.Received, error) {
	if remote := e.remote(queue); remote != nil {
		keys, err := e.keys(ctx, role, queue)
		if err != nil {
			return nil, err
		}
		return remote.Receive(ctx, keys, queue, most)
	}
	if err := e.may(ctx, role, queue, "ReceiveMessage"); err != nil {
		return nil, err
	}
	return e.n.queues.Receive(ctx, queue, sqs.Ask{Limit: most, Wait: queueWait})
}

func (e eventSources) Delete(ctx context.Context, role, queue string, receipts []string) error {
	if remote := e.remote(queue); remote != nil {
		keys, err := e.keys(ctx, role, queue)
		if err != nil {
			return err
		}
		return remote.Delete(ctx, keys, queue, receipts)
	}
	if err := e.may(ctx, role, queue, "DeleteMessage"); err != nil {
		return err
	}
	return each(receipts, func(receipt string) error { return e.n.queues.Delete(ctx, queue, receipt) })
}

func (e eventSources) Release(ctx context.Context, role, queue string, receipts []string) error {
	if remote := e.remote(queue); remote != nil {
		keys, err := e.keys(ctx, role, queue)
		if err != nil {
			return err
		}
		return remote.Release(ctx, keys, queue, receipts)
	}
	return each(receipts, func(receipt string) error { return e.n.queues.ChangeVisibility(ctx, queue, receipt, 0) })
}

func (e eventSources) may(ctx context.Context, role, queue, action string) error {
	arn, err := aws.ParseARN(queue)
	if err != nil {
		return err
	}
	return e.mayQueue(ctx, role, arn, action)
}

// settleParallel bounds how many messages of a batch the queue is told of at once: each waits
// for the disk, and those that wait together share a flush.
const settleParallel = 32

func each(receipts []string, tell func(string) error) error {
	errs := make(chan error, len(receipts))
	places := make(chan struct{}, settleParallel)
	for _, receipt := range receipts {
		places <- struct{}{}
		go func() {
			errs <- tell(receipt)
			<-places
		}()
	}
	var all error
	for range receipts {
		all = errors.Join(all, <-errs)
	}
	return all
}

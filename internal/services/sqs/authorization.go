package sqs

import (
	"context"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

// ownerOnly are the actions that a queue's policy cannot give to another account
// (developer guide, "Limitations of Amazon SQS custom policies").
const ownerOnly = "AddPermission CancelMessageMoveTask CreateQueue DeleteQueue ListMessageMoveTasks ListQueues ListQueueTags RemovePermission SetQueueAttributes StartMessageMoveTask TagQueue UntagQueue"

// authorizeCall runs before the request is validated. It also puts into the input
// what the query protocol says by the path.
func (s *Service) authorizeCall(ctx context.Context, call *wire.Call, operation string, in any) error {
	completeInput(call, in)
	if call.Protocol == wire.Query && (operation == "CreateQueue" || operation == "ListQueues") && isQueuePath(call.Path) {
		return invalidAction(operation)
	}
	if s.authorize == nil {
		return nil
	}
	action := strings.TrimSuffix(operation, "Batch") // a batch is authorised as the action it repeats
	switch in := in.(type) {
	case *api.ListQueuesRequest:
		return s.ask(ctx, call, action, Name{}, nil)
	case *api.CreateQueueRequest:
		return s.ask(ctx, call, action, Name{call.Account, call.Region, value(in.QueueName)}, tagConditions(in.Tags, nil))
	case *api.GetQueueUrlRequest:
		return s.ask(ctx, call, action, ownName(call, in), nil)
	case *api.StartMessageMoveTaskRequest:
		return s.authorizeMove(ctx, call, in)
	case *api.ListMessageMoveTasksRequest:
		return s.askARN(ctx, call, action, value(in.SourceArn))
	case *api.CancelMessageMoveTaskRequest:
		return s.askARN(ctx, call, action, s.moveSource(value(in.TaskHandle)))
	case *api.TagQueueRequest:
		return s.askURL(ctx, call, action, in.QueueUrl, tagConditions(in.Tags, nil))
	case *api.UntagQueueRequest:
		return s.askURL(ctx, call, action, in.QueueUrl, tagConditions(nil, in.TagKeys))
	}
	return s.askURL(ctx, call, action, *queueURL(in), nil)
}

func (s *Service) askURL(ctx context.Context, call *wire.Call, action string, url *string, conditions map[string][]string) error {
	name, ok := parseURL(value(url), call)
	if !ok {
		return nil // validation says what is wrong with it
	}
	return s.ask(ctx, call, action, name, conditions)
}

func (s *Service) askARN(ctx context.Context, call *wire.Call, action, arn string) error {
	name, ok := ParseARN(arn)
	if !ok {
		return nil // validation says what is wrong with it
	}
	return s.ask(ctx, call, action, name, nil)
}

// ask asks for one action on a queue, with the queue's own policy and tags.
func (s *Service) ask(ctx context.Context, call *wire.Call, action string, name Name, conditions map[string][]string) error {
	access := iam.Access{Action: "sqs:" + action, Resource: "*", Conditions: conditions}
	if name.Queue != "" {
		access.Resource, access.Owner = name.ARN(), name.Account
	}
	if q, err := s.find(name); err == nil {
		if set := q.settings.Load(); set.policy != "" && (name.Account == call.Account || !among(ownerOnly, action)) {
			access.ResourcePolicies = []string{set.policy}
		}
		if access.Conditions == nil {
			access.Conditions = map[string][]string{}
		}
		for key, v := range q.record.Load().Tags {
			access.Conditions["aws:ResourceTag/"+key] = []string{v}
		}
	}
	return s.authorize.AuthorizeAccess(ctx, call, access)
}

// authorizeMove asks for what a move does, too (API reference, StartMessageMoveTask).
func (s *Service) authorizeMove(ctx context.Context, call *wire.Call, in *api.StartMessageMoveTaskRequest) error {
	for _, action := range []string{"StartMessageMoveTask", "ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		if err := s.askARN(ctx, call, action, value(in.SourceArn)); err != nil {
			return err
		}
	}
	if in.DestinationArn != nil {
		return s.askARN(ctx, call, "SendMessage", *in.DestinationArn)
	}
	return nil
}

func ownName(call *wire.Call, in *api.GetQueueUrlRequest) Name {
	name := Name{Account: call.Account, Region: call.Region, Queue: value(in.QueueName)}
	if in.QueueOwnerAWSAccountId != nil {
		name.Account = aws.AccountID(*in.QueueOwnerAWSAccountId)
	}
	return name
}

// queueURL is the input's member QueueUrl.
func queueURL(in any) **string {
	switch in := in.(type) {
	case *api.AddPermissionRequest:
		return &in.QueueUrl
	case *api.ChangeMessageVisibilityRequest:
		return &in.QueueUrl
	case *api.ChangeMessageVisibilityBatchRequest:
		return &in.QueueUrl
	case *api.DeleteMessageRequest:
		return &in.QueueUrl
	case *api.DeleteMessageBatchRequest:
		return &in.QueueUrl
	case *api.DeleteQueueRequest:
		return &in.QueueUrl
	case *api.GetQueueAttributesRequest:
		return &in.QueueUrl
	case *api.ListDeadLetterSourceQueuesRequest:
		return &in.QueueUrl
	case *api.ListQueueTagsRequest:
		return &in.QueueUrl
	case *api.PurgeQueueRequest:
		return &in.QueueUrl
	case *api.ReceiveMessageRequest:
		return &in.QueueUrl
	case *api.RemovePermissionRequest:
		return &in.QueueUrl
	case *api.SendMessageRequest:
		return &in.QueueUrl
	case *api.SendMessageBatchRequest:
		return &in.QueueUrl
	case *api.SetQueueAttributesRequest:
		return &in.QueueUrl
	case *api.TagQueueRequest:
		return &in.QueueUrl
	case *api.UntagQueueRequest:
		return &in.QueueUrl
	}
	return new(*string)
}

// completeInput gives a request the queue that it was posted to, where it names none,
// and lists that a form cannot send empty.
func completeInput(call *wire.Call, in any) {
	if url := queueURL(in); *url == nil && isQueuePath(call.Path) {
		*url = &call.Path
	}
	switch in := in.(type) {
	case *api.SendMessageBatchRequest:
		in.Entries = notNil(in.Entries)
	case *api.DeleteMessageBatchRequest:
		in.Entries = notNil(in.Entries)
	case *api.ChangeMessageVisibilityBatchRequest:
		in.Entries = notNil(in.Entries)
	case *api.SetQueueAttributesRequest:
		if in.Attributes == nil {
			in.Attributes = map[string]string{}
		}
	}
}

func isQueuePath(path string) bool { return strings.Count(strings.Trim(path, "/"), "/") >= 1 }

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func tagConditions(tags map[string]string, keys []string) map[string][]string {
	out := map[string][]string{}
	if len(tags) > 0 {
		keys = sortedKeys(tags)
	}
	if len(keys) > 0 {
		out["aws:TagKeys"] = keys
	}
	for key, v := range tags {
		out["aws:RequestTag/"+key] = []string{v}
	}
	return out
}

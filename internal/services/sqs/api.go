package sqs

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

// API is the service for a wire.Server.
func (s *Service) API() *wire.Service {
	service := api.NewService(s.Handlers())
	service.ValidationFault = validationFault
	service.UnknownAction = invalidAction
	return service
}

// Handlers are the operations: all of the model.
func (s *Service) Handlers() api.Handlers {
	return api.Handlers{
		Authorize: s.authorizeCall,

		CreateQueue:                s.createQueue,
		DeleteQueue:                s.deleteQueue,
		GetQueueUrl:                s.getQueueURL,
		ListQueues:                 s.listQueues,
		ListDeadLetterSourceQueues: s.listDeadLetterSourceQueues,
		PurgeQueue:                 s.purgeQueue,
		GetQueueAttributes:         s.getQueueAttributes,
		SetQueueAttributes:         s.setQueueAttributes,

		SendMessage:                  s.sendMessage,
		SendMessageBatch:             s.sendMessageBatch,
		ReceiveMessage:               s.receiveMessage,
		DeleteMessage:                s.deleteMessage,
		DeleteMessageBatch:           s.deleteMessageBatch,
		ChangeMessageVisibility:      s.changeMessageVisibility,
		ChangeMessageVisibilityBatch: s.changeMessageVisibilityBatch,

		AddPermission:    s.addPermission,
		RemovePermission: s.removePermission,

		TagQueue:      s.tagQueue,
		UntagQueue:    s.untagQueue,
		ListQueueTags: s.listQueueTags,

		StartMessageMoveTask:  s.startMessageMoveTask,
		CancelMessageMoveTask: s.cancelMessageMoveTask,
		ListMessageMoveTasks:  s.listMessageMoveTasks,
	}
}

// queueOf finds the queue that a URL names.
func (s *Service) queueOf(call *wire.Call, url *string) (*queue, error) {
	name, ok := parseURL(value(url), call)
	if !ok {
		return nil, api.NewInvalidAddress("The address " + value(url) + " is not valid for this endpoint.")
	}
	q, err := s.find(name)
	if err != nil {
		return nil, noQueue(call)
	}
	return q, nil
}

func (s *Service) createQueue(ctx context.Context, call *wire.Call, in *api.CreateQueueRequest) (*api.CreateQueueResult, error) {
	name := Name{Account: call.Account, Region: call.Region, Queue: value(in.QueueName)}
	if !validName(name.Queue) {
		return nil, invalidValue("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if fifo, given := in.Attributes["FifoQueue"]; name.FIFO() && (!given || fifo != "true") {
		// Without the attribute it would be a standard queue, whose name has no dot.
		return nil, invalidValue("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	} else if given && fifo == "true" && !name.FIFO() {
		return nil, invalidValue("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	}
	if err := checkTags(in.Tags, nil); err != nil {
		return nil, err
	}
	q, err := s.create(ctx, name, in.Attributes, in.Tags)
	if err != nil {
		return nil, fault(err)
	}
	return &api.CreateQueueResult{QueueUrl: wire.Ptr(q.name.url(call.Endpoint))}, nil
}

func (s *Service) deleteQueue(ctx context.Context, call *wire.Call, in *api.DeleteQueueRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	return fault(s.destroy(ctx, q))
}

func (s *Service) getQueueURL(_ context.Context, call *wire.Call, in *api.GetQueueUrlRequest) (*api.GetQueueUrlResult, error) {
	q, err := s.find(ownName(call, in))
	if err != nil {
		return nil, noQueue(call)
	}
	return &api.GetQueueUrlResult{QueueUrl: wire.Ptr(q.name.url(call.Endpoint))}, nil
}

func (s *Service) purgeQueue(ctx context.Context, call *wire.Call, in *api.PurgeQueueRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	return fault(s.purge(ctx, q))
}

func (s *Service) getQueueAttributes(ctx context.Context, call *wire.Call, in *api.GetQueueAttributesRequest) (*api.GetQueueAttributesResult, error) {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	all, err := s.attributes(ctx, q, in.AttributeNames)
	if err != nil {
		return nil, fault(err)
	}
	return &api.GetQueueAttributesResult{Attributes: all}, nil
}

func (s *Service) setQueueAttributes(ctx context.Context, call *wire.Call, in *api.SetQueueAttributesRequest) error {
	q, err := s.queueOf(call, in.QueueUrl)
	if err != nil {
		return err
	}
	return fault(s.setAttributes(ctx, q, in.Attributes))
}

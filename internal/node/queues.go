package node

import (
	"context"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/services/sqs"
)

// assembleQueues opens the embedded SQS.
func (n *node) assembleQueues(ctx context.Context) (err error) {
	options := sqs.Options{Records: n.storage.store, Region: aws.Region(n.config.Region), Log: n.log}
	if n.config.Auth != AuthNone {
		options.Authorizer = n.authority
	}
	n.queues, err = sqs.Open(ctx, options)
	return err
}

// closeQueues ends what the embedded SQS does in the background.
func (n *node) closeQueues() error {
	if n.queues == nil {
		return nil
	}
	return n.queues.Close()
}

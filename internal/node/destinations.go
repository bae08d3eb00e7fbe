package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/async"
	"github.com/lambdad/lambdad/internal/record"
)

// destinations is the door of pollers, and of the control plane, to where records of invokes go.
type destinations struct{ n *node }

// errDestination is told to users.
var errDestination = errors.New("the destination cannot be reached")

// Check implements the control plane's door.
func (d destinations) Check(ctx context.Context, scope record.Scope, roleARN, destination string) error {
	arn, err := aws.ParseARN(destination)
	if err != nil {
		return fmt.Errorf("The destination ARN %s is invalid.", destination)
	}
	if arn.Service == "sqs" {
		return d.checkQueue(ctx, scope, roleARN, destination)
	}
	if arn.Service != "lambda" {
		return fmt.Errorf("The destination ARN %s is invalid. lambdad has no service %s to send to.", destination, arn.Service)
	}
	name, err := record.ParseName(destination, scope)
	if err != nil {
		return fmt.Errorf("The destination ARN %s is invalid.", destination)
	}
	if _, ok := d.n.functions.Function(name.ID, record.Latest); !ok {
		return fmt.Errorf("The destination ARN %s is invalid.", destination)
	}
	return nil
}

// Send implements async.Sender.
func (d destinations) Send(ctx context.Context, m *async.Delivery) error {
	arn, err := aws.ParseARN(m.Destination)
	if err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	if arn.Service == "sqs" {
		return d.sendToQueue(ctx, m)
	}
	if arn.Service != "lambda" {
		return fmt.Errorf("%w: no service %s", errDestination, arn.Service)
	}
	name, err := record.ParseName(m.Destination, record.Scope{Account: m.From.Account, Region: m.From.Region})
	if err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	return d.n.frontend.Send(ctx, &frontend.Event{Name: name, RequestID: aws.NewRequestID(), Payload: m.Body, TraceID: m.TraceID, Received: time.Now()})
}

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/poller/async"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/services/sqs"
	"github.com/lambdad/lambdad/internal/wire"
)

// checkQueue tells whether a function's role may send to a queue. The texts are AWS's, as its
// users quote them.
func (d destinations) checkQueue(ctx context.Context, scope record.Scope, roleARN, destination string) error {
	name, ok := sqs.ParseARN(destination)
	if !ok || name.FIFO() { // Source: Lambda developer guide, "Adding a destination": standard queues
		return fmt.Errorf("The destination ARN %s is invalid.", destination)
	}
	err := d.n.queues.MaySend(ctx, d.n.callAs(scope, "sqs", roleARN, "lambdad"), destination)
	switch {
	case errors.Is(err, sqs.ErrNoQueue):
		return fmt.Errorf("The destination ARN %s is invalid.", destination)
	case err != nil:
		return fmt.Errorf("The function's execution role does not have permissions to call SendMessage on %s", destination)
	}
	return nil
}

// sendToQueue sends an invocation record, or a dead letter, with the rights of the function's role.
func (d destinations) sendToQueue(ctx context.Context, m *async.Delivery) error {
	call := d.n.callAs(record.Scope{Account: m.From.Account, Region: m.From.Region}, "sqs", m.Role, m.From.Name)
	if err := d.n.queues.MaySend(ctx, call, m.Destination); err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	out := sqs.Outgoing{Body: string(m.Body), Trace: m.TraceID, Sender: call.Principal.UserID}
	for _, a := range letterAttributes(m) {
		if out.Attributes == nil {
			out.Attributes = map[string]sqs.Attribute{}
		}
		out.Attributes[a.Name] = sqs.Attribute{Type: a.Type, Text: a.Value}
	}
	if _, err := d.n.queues.Send(ctx, m.Destination, out); err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	return nil
}

// callAs is a call of a service as a function makes it with its role.
func (n *node) callAs(scope record.Scope, service, roleARN, session string) *wire.Call {
	call := &wire.Call{
		RequestID: aws.NewRequestID(), Service: service, Account: scope.Account, Region: scope.Region, Received: time.Now(), SecureTransport: true,
		Principal: aws.Principal{Type: aws.PrincipalAssumedRole, Account: scope.Account, ARN: roleARN, UserID: string(scope.Account)},
	}
	role, ok := n.authority.RoleTrust(roleARN)
	if !ok {
		return call
	}
	call.Principal.ARN = "arn:aws:sts::" + string(role.Account) + ":assumed-role/" + role.Name + "/" + session
	call.Principal.UserID = role.ID + ":" + session
	return call
}

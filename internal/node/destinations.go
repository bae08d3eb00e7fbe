package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/poller/async"
	"github.com/lambdad/lambdad/internal/poller/destination"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// outwardTTL is how long the credentials live that a record is sent outside with.
const outwardTTL = 15 * time.Minute

// destinations is the door of pollers, and of the control plane, to where records of invokes go.
type destinations struct{ n *node }

// errDestination is told to users.
var errDestination = errors.New("the destination cannot be reached")

// destinationActions are what a function's role must be allowed, by the destination's service.
// Source: Lambda developer guide, "Retaining records of asynchronous invocations", permissions.
var destinationActions = map[string]struct{ action, told, suffix string }{
	"lambda": {"lambda:InvokeFunction", "InvokeFunction", ""},
	"sns":    {"sns:Publish", "Publish", ""},
	"events": {"events:PutEvents", "PutEvents", ""},
	"s3":     {"s3:PutObject", "PutObject", "/aws/lambda/async/"},
}

// Check implements the control plane's door.
func (d destinations) Check(ctx context.Context, scope record.Scope, roleARN, target string) error {
	arn, err := aws.ParseARN(target)
	if err != nil {
		return fmt.Errorf("The destination ARN %s is invalid.", target)
	}
	switch arn.Service {
	case "sqs":
		return d.checkQueue(ctx, scope, roleARN, target)
	case "lambda":
		name, err := record.ParseName(target, scope)
		if err != nil {
			return fmt.Errorf("The destination ARN %s is invalid.", target)
		}
		if _, ok := d.n.functions.Function(name.ID, record.Latest); !ok {
			return fmt.Errorf("The destination ARN %s is invalid.", target)
		}
	default:
		if d.endpoints()[arn.Service] == nil {
			return fmt.Errorf("The destination ARN %s is invalid. lambdad knows no endpoint of the service %s: its operator names one with --endpoint.", target, arn.Service)
		}
	}
	if err := d.may(ctx, scope, roleARN, "lambdad", arn, ""); err != nil {
		return fmt.Errorf("The function's execution role does not have permissions to call %s on %s", destinationActions[arn.Service].told, target)
	}
	return nil
}

// may returns the refusal if a role may not send to a destination, in a bucket as the object if one is named.
func (d destinations) may(ctx context.Context, scope record.Scope, roleARN, session string, arn aws.ARN, object string) error {
	asks, ok := destinationActions[arn.Service]
	if !ok {
		return fmt.Errorf("%w: no service %s", errDestination, arn.Service)
	}
	access := iam.Access{Action: asks.action, Resource: arn.String() + asks.suffix, Owner: arn.Account}
	if arn.Service == "s3" && object != "" {
		access.Resource = arn.String() + "/" + object
	}
	if arn.Service == "lambda" {
		name, err := record.ParseName(access.Resource, scope)
		if err != nil {
			return err
		}
		if p, ok := d.n.policies.Get(name.PolicyKey()); ok {
			access.ResourcePolicies = []string{p.Document}
		}
	}
	return d.n.authority.AuthorizeAccess(ctx, d.n.callAs(scope, arn.Service, roleARN, session), access)
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
	scope := record.Scope{Account: m.From.Account, Region: m.From.Region}
	if err := d.may(ctx, scope, m.Role, m.From.Name, arn, m.ObjectKey); err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	if arn.Service != "lambda" {
		return d.sendOutside(ctx, m)
	}
	name, err := record.ParseName(m.Destination, scope)
	if err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	return d.n.frontend.Send(ctx, &frontend.Event{Name: name, RequestID: aws.NewRequestID(), Payload: m.Body, TraceID: m.TraceID, Received: time.Now()})
}

// endpoints are those of services outside; Config.Check has refused what cannot be read.
func (d destinations) endpoints() destination.Endpoints {
	e, _ := destination.ParseEndpoints(d.n.config.Endpoint)
	return e
}

// outwardKeys are the operator's keys in the environment, none where there are not both parts.
func outwardKeys() sigv4.Credentials {
	keys := sigv4.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if keys.AccessKeyID == "" || keys.SecretAccessKey == "" {
		return sigv4.Credentials{}
	}
	return keys
}

// sendOutside sends to another endpoint than this node: with the operator's keys where
// the environment has some, because only those are known outside; else with the function's own.
func (d destinations) sendOutside(ctx context.Context, m *async.Delivery) error {
	sign := outwardKeys()
	if sign.AccessKeyID == "" {
		issued, err := d.n.authority.IssueForFunction(ctx, m.Role, m.From.ARN(), outwardTTL)
		if err != nil {
			return fmt.Errorf("%w: %w", errDestination, err)
		}
		sign = sigv4.Credentials{AccessKeyID: issued.AccessKeyID, SecretAccessKey: issued.SecretAccessKey, SessionToken: issued.SessionToken}
	}
	message := &destination.Message{
		Destination: m.Destination, Region: string(m.From.Region), Function: m.From.Name, FunctionARN: m.FunctionARN, TraceID: m.TraceID,
		Success: m.Success, Body: m.Body, ObjectKey: m.ObjectKey, Attributes: letterAttributes(m), Time: time.Now(),
	}
	if err := d.endpoints().Send(ctx, message, sign); err != nil {
		return fmt.Errorf("%w: %w", errDestination, err)
	}
	return nil
}

// letterAttributes are what a dead letter tells beside the event. Source: Lambda developer
// guide, "Adding a dead-letter queue", message attributes.
func letterAttributes(m *async.Delivery) []destination.Attribute {
	if m.DeadLetter == nil {
		return nil
	}
	told := []destination.Attribute{
		{Name: "RequestID", Type: "String", Value: string(m.RequestID)},
		{Name: "ErrorCode", Type: "Number", Value: strconv.Itoa(m.DeadLetter.ErrorCode)},
	}
	if m.DeadLetter.ErrorMessage == "" { // there are no empty attributes
		return told
	}
	return append(told, destination.Attribute{Name: "ErrorMessage", Type: "String", Value: m.DeadLetter.ErrorMessage})
}

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	controllogs "github.com/lambdad/lambdad/internal/control/logs"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// logSubscribers is the door of subscription filters to functions.
type logSubscribers struct{ n *node }

// errNotExecutable is AWS's text for a function that is not there or not permitted.
var errNotExecutable = errors.New("Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.")

// Check implements the control plane's door.
func (l logSubscribers) Check(ctx context.Context, s logs.Scope, group, function string) error {
	_, err := l.resolve(ctx, s, group, function)
	return err
}

// resolve returns the name of a function that may be invoked for a group.
func (l logSubscribers) resolve(ctx context.Context, s logs.Scope, group, function string) (record.Name, error) {
	name, err := record.ParseName(function, record.Scope(s))
	if err != nil && !errors.Is(err, record.ErrOtherAccount) {
		return name, errNotExecutable
	}
	fn, ok := l.n.functions.Function(name.ID, record.Latest)
	if !ok {
		return name, errNotExecutable
	}
	if !l.permitted(ctx, s, group, name) {
		return name, errNotExecutable
	}
	if fn.ID.Account == s.Account && fn.Logging.Group == group && !l.n.frontend.MayLoop(fn.ID) {
		return name, fmt.Errorf("The function %s writes to the log group %s itself, and would run for each of its own lines. "+
			"Give it another log group, or allow it to loop with PutFunctionRecursionConfig.", fn.ID.Name, group)
	}
	return name, nil
}

// permitted asks the function's resource policy. Source: User Guide, "Log group-level subscription filters": the principal is
// logs.amazonaws.com, or that of the region, and the source the group.
func (l logSubscribers) permitted(ctx context.Context, s logs.Scope, group string, name record.Name) bool {
	policy, ok := l.n.policies.Get(name.PolicyKey())
	if l.n.config.Auth != AuthNone && !ok {
		return false
	}
	source := aws.ARN{Partition: s.Region.Partition(), Service: "logs", Region: s.Region, Account: s.Account, Resource: "log-group:" + group + ":*"}
	access := iam.Access{
		Action: "lambda:InvokeFunction", Resource: name.ARN(), Owner: name.ID.Account,
		Conditions: map[string][]string{"aws:SourceArn": {source.String()}, "aws:SourceAccount": {string(s.Account)}},
	}
	if ok {
		access.ResourcePolicies = []string{policy.Document}
	}
	for _, service := range []string{"logs.amazonaws.com", "logs." + string(s.Region) + ".amazonaws.com"} {
		call := &wire.Call{
			RequestID: aws.NewRequestID(), Service: "lambda", Account: name.ID.Account, Region: s.Region, Received: time.Now(), SecureTransport: true,
			Principal: aws.Principal{Type: aws.PrincipalService, ARN: service},
		}
		if l.n.authority.AuthorizeAccess(ctx, call, access) == nil {
			return true
		}
	}
	return false
}

// deliver invokes the function asynchronously with what a filter lets through. What the function or its policy
// refuses for good is dropped.
func (l logSubscribers) deliver(ctx context.Context, d *logs.Delivery) error {
	name, err := l.resolve(ctx, d.Scope, d.Subscription.Group, d.Subscription.Destination)
	if err != nil {
		return fmt.Errorf("%w: %w", logs.ErrUndeliverable, err)
	}
	payload, err := controllogs.Payload(d)
	if err != nil {
		return fmt.Errorf("%w: %w", logs.ErrUndeliverable, err)
	}
	err = l.n.frontend.Send(ctx, &frontend.Event{Name: name, RequestID: aws.NewRequestID(), Payload: payload, Received: time.Now()})
	var fault wire.Fault
	if errors.As(err, &fault) && fault.FaultStatus() < 500 {
		return fmt.Errorf("%w: %w", logs.ErrUndeliverable, err)
	}
	return err
}

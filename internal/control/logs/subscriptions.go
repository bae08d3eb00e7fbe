package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs/pattern"
	"github.com/lambdad/lambdad/internal/wire"
)

// Subscribers are the functions that subscription filters send to.
type Subscribers interface {
	// Check refuses a function that is not there, that does not let CloudWatch Logs invoke it from the group, or that writes
	// to the group itself.
	Check(ctx context.Context, s logs.Scope, group, function string) error
}

func (c *control) putSubscriptionFilter(ctx context.Context, call *wire.Call, in *api.PutSubscriptionFilterRequest) error {
	if _, err := pattern.Compile(value(in.FilterPattern)); err != nil {
		return invalid(err.Error())
	}
	switch {
	case value(in.ApplyOnTransformedLogs):
		return invalid("Log transformers are not supported here, so that applyOnTransformedLogs cannot be true.")
	case in.FieldSelectionCriteria != nil || len(in.EmitSystemFields) > 0:
		return invalid("fieldSelectionCriteria and emitSystemFields are not supported here.")
	}
	arn, err := aws.ParseARN(value(in.DestinationArn))
	if err != nil {
		return invalid("Invalid destinationArn: " + value(in.DestinationArn))
	}
	if arn.Service != "lambda" {
		return invalid(fmt.Sprintf("destinationArn for vendor %s is not supported here; name a Lambda function.", arn.Service))
	}
	if in.RoleArn != nil {
		return invalid("destinationArn for vendor lambda cannot be used with roleArn")
	}
	s, group := scopeOf(call), value(in.LogGroupName)
	if _, err := c.logs.Group(ctx, s, group); err != nil {
		return fault(err)
	}
	if c.subscribers == nil {
		return invalid("Functions cannot be reached here.")
	}
	if err := c.subscribers.Check(ctx, s, group, *in.DestinationArn); err != nil {
		return invalid(err.Error())
	}
	sub := logs.Subscription{
		Name: value(in.FilterName), Group: group, Pattern: value(in.FilterPattern), Destination: *in.DestinationArn, Distribution: "ByLogStream",
	}
	if in.Distribution != nil {
		sub.Distribution = *in.Distribution
	}
	return fault(c.logs.PutSubscription(ctx, s, sub))
}

func (c *control) deleteSubscriptionFilter(ctx context.Context, call *wire.Call, in *api.DeleteSubscriptionFilterRequest) error {
	return fault(c.logs.DeleteSubscription(ctx, scopeOf(call), value(in.LogGroupName), value(in.FilterName)))
}

// describeSubscriptionFilters lists a group's few. The token is the last name that was shown.
func (c *control) describeSubscriptionFilters(ctx context.Context, call *wire.Call, in *api.DescribeSubscriptionFiltersRequest) (*api.DescribeSubscriptionFiltersResponse, error) {
	all, err := c.logs.Subscriptions(ctx, scopeOf(call), value(in.LogGroupName))
	if err != nil {
		return nil, fault(err)
	}
	most := describeDefault
	if in.Limit != nil {
		most = int(*in.Limit)
	}
	out := &api.DescribeSubscriptionFiltersResponse{SubscriptionFilters: []api.SubscriptionFilter{}}
	for _, sub := range all {
		if !strings.HasPrefix(sub.Name, value(in.FilterNamePrefix)) || in.NextToken != nil && sub.Name <= *in.NextToken {
			continue
		}
		if len(out.SubscriptionFilters) == most {
			out.NextToken = out.SubscriptionFilters[most-1].FilterName
			break
		}
		out.SubscriptionFilters = append(out.SubscriptionFilters, api.SubscriptionFilter{
			FilterName: &sub.Name, LogGroupName: &sub.Group, FilterPattern: &sub.Pattern, DestinationArn: &sub.Destination,
			Distribution: &sub.Distribution, CreationTime: &sub.Created, ApplyOnTransformedLogs: wire.Ptr(false),
		})
	}
	return out, nil
}

// delivered is what a function gets of a subscription filter. Source: User Guide, "Log group-level subscription filters",
// example 2, and Lambda developer guide, "Process Amazon CloudWatch logs with Lambda".
type delivered struct {
	MessageType         string           `json:"messageType"`
	Owner               string           `json:"owner"`
	LogGroup            string           `json:"logGroup"`
	LogStream           string           `json:"logStream"`
	SubscriptionFilters []string         `json:"subscriptionFilters"`
	LogEvents           []deliveredEvent `json:"logEvents"`
}

type deliveredEvent struct {
	ID        string            `json:"id"`
	Timestamp int64             `json:"timestamp"`
	Message   string            `json:"message"`
	Extracted map[string]string `json:"extractedFields,omitempty"`
}

// Payload is the event that a function is invoked with for a delivery: its gzipped JSON in base64.
func Payload(d *logs.Delivery) ([]byte, error) {
	out := delivered{
		MessageType: "DATA_MESSAGE", Owner: string(d.Scope.Account), LogGroup: d.Subscription.Group, LogStream: d.Stream,
		SubscriptionFilters: []string{d.Subscription.Name},
	}
	for _, e := range d.Events {
		out.LogEvents = append(out.LogEvents, deliveredEvent{ID: e.ID, Timestamp: e.Time, Message: e.Message, Extracted: e.Fields})
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(out); err != nil {
		return nil, fmt.Errorf("encode a delivery: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress a delivery: %w", err)
	}
	return fmt.Appendf(nil, `{"awslogs":{"data":"%s"}}`, base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

package lambda

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// EventSources is the control plane's door to what event source mappings read.
type EventSources interface {
	// CheckFilter returns nil for an event pattern.
	CheckFilter(pattern string) error
	// Reach returns nil if a function with this role can read the source. The text of its
	// error is told to the user.
	Reach(ctx context.Context, roleARN, sourceARN string) (EventSource, error)
}

// EventSource is what must be known of a source.
type EventSource struct {
	// VisibilityTimeout of a queue.
	VisibilityTimeout time.Duration
}

// sourceKind is a kind of event source.
type sourceKind struct {
	reason    string // StateTransitionReason of everything that users ask for
	batch     int32
	isStream  bool
	duplicate func(source, function, uuid string) string
}

var (
	queueKind = &sourceKind{reason: "USER_INITIATED", batch: 10, duplicate: func(source, function, uuid string) string {
		return fmt.Sprintf("An event source mapping with SQS arn (\" %s \") and function (\" %s \") already exists. Please update or delete the existing mapping with UUID %s", source, function, uuid)
	}}
	streamKind = &sourceKind{reason: "User action", batch: 100, isStream: true, duplicate: func(source, function, uuid string) string {
		// As its users quote it.
		return fmt.Sprintf("The event source arn (\" %s \") and function (\" %s \") provided mapping already exists. Please update or delete the existing mapping with UUID %s", source, function, uuid)
	}}
)

// source is an event source that a mapping names.
type source struct {
	arn  aws.ARN
	kind *sourceKind
}

func (s source) fifo() bool {
	return s.arn.Service == "sqs" && strings.HasSuffix(s.arn.Resource, ".fifo")
}

// sourceOf reads the source of a new mapping.
func (c *Control) sourceOf(in *api.CreateEventSourceMappingRequest) (source, error) {
	if in.SelfManagedEventSource != nil {
		if in.SourceAccessConfigurations == nil {
			return source{}, invalid("Required 'sourceAccessConfigurations' parameter is missing.")
		}
		return source{}, refused("SelfManagedEventSource")
	}
	s, err := knownSource(value(in.EventSourceArn))
	if err != nil {
		return s, err
	}
	for member, given := range map[string]bool{
		"Topics": in.Topics != nil, "Queues": in.Queues != nil, "SourceAccessConfigurations": in.SourceAccessConfigurations != nil,
		"AmazonManagedKafkaEventSourceConfig": in.AmazonManagedKafkaEventSourceConfig != nil,
		"SelfManagedKafkaEventSourceConfig":   in.SelfManagedKafkaEventSourceConfig != nil, "DocumentDBEventSourceConfig": in.DocumentDBEventSourceConfig != nil,
	} {
		if given {
			return s, unsupportedSetting(member)
		}
	}
	return s, nil
}

// knownSource reads the ARN of a queue or a stream; others that Lambda polls are refused.
func knownSource(s string) (source, error) {
	arn, err := aws.ParseARN(s)
	if err != nil || !arn.Account.Valid() {
		return source{}, invalid("Unrecognized event source.")
	}
	switch arn.Service {
	case "sqs":
		if !strings.ContainsAny(arn.Resource, ":/") {
			return source{arn, queueKind}, nil
		}
	case "kinesis":
		if strings.HasPrefix(arn.Resource, "stream/") {
			return source{arn, streamKind}, nil
		}
	case "dynamodb":
		if strings.HasPrefix(arn.Resource, "table/") && strings.Contains(arn.Resource, "/stream/") {
			return source{arn, streamKind}, nil
		}
	case "kafka", "mq", "rds":
		return source{}, refused("An event source of the service " + arn.Service)
	}
	return source{}, invalid("Unrecognized event source.")
}

// defaults are those of the source's kind (recorded: test_duplicate_event_source_mappings,
// test_create_event_filter_criteria_validation).
func (s source) defaults(m *record.Mapping) {
	m.BatchSize = s.kind.batch
	if s.kind.isStream {
		m.Stream = &record.StreamMapping{Parallelization: 1, MaxAgeS: -1, MaxRetries: -1}
	}
}

// start takes where a new mapping begins to read.
func (s source) start(m *record.Mapping, position *string, at *time.Time, now time.Time) error {
	if !s.kind.isStream {
		if position != nil || at != nil {
			return invalid("StartingPosition is not valid for SQS event sources.")
		}
		return nil
	}
	switch {
	case position == nil:
		return invalid("1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.")
	case *position == api.EventSourcePositionAtTimestamp && s.arn.Service == "dynamodb":
		return invalid("Unsupported starting position for arn type: %s", s.arn)
	case *position == api.EventSourcePositionAtTimestamp && at == nil:
		return invalid("1 validation error detected: Value null at 'startingPositionTimestamp' failed to satisfy constraint: Member must not be null.")
	case *position != api.EventSourcePositionAtTimestamp && at != nil:
		return invalid("StartingPositionTimestamp is valid with the StartingPosition AT_TIMESTAMP only.")
	}
	if at != nil && at.After(now) { // Source: Lambda API, StartingPositionTimestamp
		return invalid("StartingPositionTimestamp cannot be in the future.")
	}
	m.Stream.StartingPosition, m.Stream.StartingTime = *position, value(at)
	return nil
}

// aimMapping points a mapping to the function that a request names, and checks that the
// function can read the source. The write it returns fails where the function is removed meanwhile.
func (c *Control) aimMapping(ctx context.Context, call *wire.Call, m *record.Mapping, source source, name *string) (store.Write, error) {
	n, err := c.named(call, name, nil)
	if err != nil {
		return store.Write{}, err
	}
	f, err := c.read(ctx, n)
	var missing *api.ResourceNotFoundException
	if errors.As(err, &missing) {
		return store.Write{}, invalid("Function does not exist")
	}
	if err != nil {
		return store.Write{}, err
	}
	if f.Tenancy != "" {
		return store.Write{}, notForTenants("Event source mappings are")
	}
	if source.arn.Region != n.ID.Region {
		return store.Write{}, invalid("The event source %s is not in the Region %s of the function.", source.arn, n.ID.Region)
	}
	if c.sources == nil {
		return store.Write{}, invalid("Unrecognized event source.")
	}
	seen, err := c.sources.Reach(ctx, f.Role, m.Source)
	if err != nil {
		return store.Write{}, invalid("%s", err)
	}
	if timeout := time.Duration(f.TimeoutS) * time.Second; !source.kind.isStream && seen.VisibilityTimeout < timeout {
		// As its users quote it.
		return store.Write{}, invalid("Queue visibility timeout: %d seconds is less than Function timeout: %d seconds", int(seen.VisibilityTimeout.Seconds()), int(timeout.Seconds()))
	}
	if err := c.checkStreamDestination(ctx, call, m, f.Function); err != nil {
		return store.Write{}, err
	}
	m.Function = n
	return store.Write{Kind: store.WriteCheck, Key: record.FunctionKey(f.ID, f.Version), If: store.IfExists()}, nil
}

// checkStreamDestination refuses a destination of failures that a function cannot send to. Without a function it is the
// mapping's own, which may be gone.
func (c *Control) checkStreamDestination(ctx context.Context, call *wire.Call, m *record.Mapping, f *record.Function) error {
	if m.Stream == nil || m.Stream.OnFailure == "" || c.destinations == nil {
		return nil
	}
	if f == nil {
		stored, err := c.read(ctx, m.Function)
		var missing *api.ResourceNotFoundException
		if errors.As(err, &missing) {
			return nil
		}
		if err != nil {
			return err
		}
		f = stored.Function
	}
	if err := c.destinations.Check(ctx, scopeOf(call), f.Role, m.Stream.OnFailure); err != nil {
		return invalid("%s", err)
	}
	return nil
}

func unsupportedSetting(member string) error {
	return invalid("Unsupported %s parameter for given event source mapping type.", member)
}

package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/control/lambda"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/poller/async"
	"github.com/lambdad/lambdad/internal/poller/destination"
	"github.com/lambdad/lambdad/internal/poller/streampoller"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// streams is the door of pollers, and of the control plane, to Kinesis data streams and DynamoDB
// Streams. There are none in this node: they are where the operator says.
type streams struct {
	sources  eventSources
	kinesis  *streampoller.Kinesis  // nil: nowhere
	dynamodb *streampoller.DynamoDB // nil: nowhere

	mu   sync.Mutex
	keys map[string]heldKeys // of roles
}

type heldKeys struct {
	sign  sigv4.Credentials
	until time.Time
}

// rolesMax bounds the keys that are held.
const rolesMax = 1000

func newStreams(sources eventSources, endpoints destination.Endpoints) *streams {
	s := &streams{sources: sources, keys: map[string]heldKeys{}}
	if at := endpoints["kinesis"]; at != nil {
		s.kinesis = streampoller.NewKinesis(at)
	}
	if at := endpoints["dynamodbstreams"]; at != nil {
		s.dynamodb = streampoller.NewDynamoDB(at)
	}
	return s
}

// streamPoller makes what reads streams.
func (n *node) newStreamPoller() (*streampoller.Poller, error) {
	n.streams = newStreams(eventSources{n}, destinations{n}.endpoints())
	return streampoller.New(streampoller.Options{
		Records: n.storage.store, Mappings: n.mappings, Functions: n.functions, Streams: n.streams, Invoke: n.frontend.Run, Send: destinations{n}.sendDiscard, Log: n.log,
	})
}

// streamActions are what a role needs, by the service in the stream's ARN. Source: Lambda developer guide, "Using Lambda
// to process records from Amazon Kinesis Data Streams", permissions, and the same of DynamoDB.
var streamActions = map[string][]string{
	"kinesis":  {"GetRecords", "GetShardIterator", "DescribeStream", "ListShards"},
	"dynamodb": {"GetRecords", "GetShardIterator", "DescribeStream"},
}

// noAccess is AWS's text, as its users quote it.
func noAccess(arn aws.ARN) error {
	shards := ""
	if arn.Service == "kinesis" {
		shards = "ListShards, "
	}
	return fmt.Errorf("Cannot access stream %s. Please ensure the role can perform the GetRecords, GetShardIterator, DescribeStream, %sand ListStreams Actions on your stream in IAM.", arn, shards)
}

// reach tells the control plane whether a role can read a stream.
func (s *streams) reach(ctx context.Context, role string, arn aws.ARN) (lambda.EventSource, error) {
	endpoint := "kinesis"
	if arn.Service == "dynamodb" {
		endpoint = "dynamodbstreams"
	}
	if !s.has(arn) {
		return lambda.EventSource{}, fmt.Errorf("lambdad cannot read the event source %s: it has no such streams of its own, and knows no endpoint of them: its operator names one with --endpoint %s=URL.", arn, endpoint)
	}
	if strings.Contains(arn.Resource, "/consumer/") {
		return lambda.EventSource{}, fmt.Errorf("lambdad cannot read the event source %s: it reads streams, not their consumers. Name the stream.", arn)
	}
	if s.may(ctx, role, arn, streamActions[arn.Service]...) != nil {
		return lambda.EventSource{}, noAccess(arn)
	}
	_, err := s.Shards(ctx, role, arn.String())
	switch {
	case errors.Is(err, streampoller.ErrDenied):
		return lambda.EventSource{}, noAccess(arn)
	case errors.Is(err, streampoller.ErrGone): // as its users quote it
		return lambda.EventSource{}, fmt.Errorf("Stream not found: %s", arn)
	}
	return lambda.EventSource{}, err
}

func (s *streams) has(arn aws.ARN) bool {
	return arn.Service == "kinesis" && s.kinesis != nil || arn.Service == "dynamodb" && s.dynamodb != nil
}

// may asks whether a role may read a stream where its own keys sign; the operator's are checked by whoever answers. The
// role's policies are asked; what the stream's own policy says of other accounts is known where the stream is.
func (s *streams) may(ctx context.Context, role string, arn aws.ARN, actions ...string) error {
	if outwardKeys().AccessKeyID != "" {
		return nil
	}
	own, err := aws.ParseARN(role)
	if err != nil {
		return errors.Join(streampoller.ErrDenied, err)
	}
	for _, action := range actions {
		access := iam.Access{Action: arn.Service + ":" + action, Resource: arn.String(), Owner: own.Account}
		if err := s.sources.n.authority.RoleMay(ctx, role, access); err != nil {
			return errors.Join(streampoller.ErrDenied, err)
		}
	}
	return nil
}

// open is what every call begins with.
func (s *streams) open(ctx context.Context, role, stream, action string) (aws.ARN, sigv4.Credentials, error) {
	arn, err := aws.ParseARN(stream)
	if err != nil {
		return arn, sigv4.Credentials{}, err
	}
	if !s.has(arn) {
		return arn, sigv4.Credentials{}, fmt.Errorf("no endpoint of %s is configured", arn.Service)
	}
	if err := s.may(ctx, role, arn, action); err != nil {
		return arn, sigv4.Credentials{}, err
	}
	sign, err := s.sign(ctx, role, stream)
	return arn, sign, err
}

// sign is what a role signs with: the same keys for half of their life.
func (s *streams) sign(ctx context.Context, role, stream string) (sigv4.Credentials, error) {
	now := time.Now()
	s.mu.Lock()
	held, ok := s.keys[role]
	s.mu.Unlock()
	if ok && now.Before(held.until) {
		return held.sign, nil
	}
	sign, err := s.sources.keys(ctx, role, stream)
	if err != nil {
		return sign, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= rolesMax {
		clear(s.keys)
	}
	s.keys[role] = heldKeys{sign, now.Add(outwardTTL / 2)}
	return sign, nil
}

// Shards implements streampoller.Streams, as Read does.
func (s *streams) Shards(ctx context.Context, role, stream string) (streampoller.Listing, error) {
	arn, sign, err := s.open(ctx, role, stream, "DescribeStream")
	if err != nil {
		return streampoller.Listing{}, err
	}
	if arn.Service == "dynamodb" {
		return s.dynamodb.Shards(ctx, sign, arn)
	}
	return s.kinesis.Shards(ctx, sign, arn)
}

func (s *streams) Read(ctx context.Context, role, stream, shard string, from streampoller.From, limit int) (streampoller.Page, error) {
	arn, sign, err := s.open(ctx, role, stream, "GetRecords")
	if err != nil {
		return streampoller.Page{}, err
	}
	if arn.Service == "dynamodb" {
		return s.dynamodb.Read(ctx, sign, arn, shard, from, limit)
	}
	return s.kinesis.Read(ctx, sign, arn, shard, from, limit)
}

// sendDiscard takes the record of what a stream's mapping gave up to its destination.
func (d destinations) sendDiscard(ctx context.Context, m *streampoller.Discard) error {
	return d.Send(ctx, &async.Delivery{
		From: m.Function.ID, FunctionARN: m.Function.ARN(), Role: m.Role, Destination: m.Destination, RequestID: aws.NewRequestID(), Body: m.Body, ObjectKey: m.ObjectKey,
	})
}

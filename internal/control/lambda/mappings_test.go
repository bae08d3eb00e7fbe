package lambda

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// sourcesFake has all queues and streams but those that are named "gone", which a role named
// "stranger" may not read. Patterns are objects.
type sourcesFake struct{}

func (sourcesFake) CheckFilter(pattern string) error {
	if !strings.HasPrefix(pattern, `{"`) || strings.Contains(pattern, `"aws:sqs"}`) || strings.Contains(pattern, `[]`) {
		return errors.New("no pattern")
	}
	return nil
}

func (sourcesFake) Reach(_ context.Context, role, source string) (EventSource, error) {
	switch {
	case strings.HasSuffix(role, "stranger"):
		return EventSource{}, errors.New("The provided execution role does not have permissions to call ReceiveMessage on SQS")
	case strings.HasSuffix(source, "gone"):
		return EventSource{}, errors.New("Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.")
	}
	return EventSource{VisibilityTimeout: 30 * time.Second}, nil
}

func withSources(o *Options) { o.Sources = sourcesFake{} }

const (
	testQueue = "arn:aws:sqs:us-east-1:111111111111:q"
	testFIFO  = "arn:aws:sqs:us-east-1:111111111111:q.fifo"
	testTable = "arn:aws:dynamodb:us-east-1:111111111111:table/t/stream/2026-01-01T00:00:00.000"
	testData  = "arn:aws:kinesis:us-east-1:111111111111:stream/s"
)

// settleMappings ends what is in motion, as the settler would.
func (h *house) settleAllMappings() {
	h.t.Helper()
	var keys []record.Scoped
	if err := record.Mappings.Each(h.t.Context(), h.store, "", func(m heldMapping) { keys = append(keys, m.Key) }); err != nil {
		h.t.Fatal(err)
	}
	for _, key := range keys {
		if err := h.settleMapping(h.t.Context(), key); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) mapping(change func(*api.CreateEventSourceMappingRequest)) (*api.EventSourceMappingConfiguration, error) {
	in := &api.CreateEventSourceMappingRequest{FunctionName: wire.Ptr("f"), EventSourceArn: wire.Ptr(testQueue)}
	if change != nil {
		change(in)
	}
	return h.h.CreateEventSourceMapping(h.t.Context(), call(), in)
}

func TestMappingStates(t *testing.T) {
	h := newHouse(t, withSources)
	h.create("f")
	made, err := h.mapping(nil)
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		t.Helper()
		got, err := h.h.GetEventSourceMapping(t.Context(), call(), &api.GetEventSourceMappingRequest{UUID: made.UUID})
		if err != nil {
			return err.Error()
		}
		return *got.State
	}
	update := func(on bool) error {
		_, err := h.h.UpdateEventSourceMapping(t.Context(), call(), &api.UpdateEventSourceMappingRequest{UUID: made.UUID, Enabled: &on})
		return err
	}
	remove := func() error {
		_, err := h.h.DeleteEventSourceMapping(t.Context(), call(), &api.DeleteEventSourceMappingRequest{UUID: made.UUID})
		return err
	}
	step := func(want string) {
		t.Helper()
		if got := state(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	step("Creating")
	wantFault(t, update(false), "ResourceInUseException", "Cannot update the event source mapping because it is in use.")
	wantFault(t, remove(), "ResourceInUseException", "Cannot delete the event source mapping because it is in use.")
	for _, s := range []struct {
		do           func() error
		first, after string
	}{
		{func() error { return nil }, "Creating", "Enabled"},
		{func() error { return update(false) }, "Disabling", "Disabled"},
		{func() error { return update(false) }, "Updating", "Disabled"},
		{func() error { return update(true) }, "Enabling", "Enabled"},
		{func() error { return update(true) }, "Updating", "Enabled"},
	} {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		step(s.first)
		h.settleAllMappings()
		step(s.after)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	step("Deleting")
	if _, err := h.mapping(nil); err == nil {
		t.Error("the claim of a mapping that is being deleted is free")
	}
	h.settleAllMappings()
	if got := state(); !strings.Contains(got, "ResourceNotFoundException") {
		t.Error(got)
	}
	if _, err := h.mapping(nil); err != nil {
		t.Errorf("after the removal: %v", err)
	}
}

// TestMappingsSettle: what a process that ended left in motion is settled by the next one.
func TestMappingsSettle(t *testing.T) {
	h := newHouse(t, withSources)
	h.create("f")
	made, err := h.mapping(nil)
	if err != nil {
		t.Fatal(err)
	}
	next := openHouse(t, h.store, h.artifacts, withSources)
	next.run()
	waitFor(t, func() bool {
		got, err := next.h.GetEventSourceMapping(t.Context(), call(), &api.GetEventSourceMappingRequest{UUID: made.UUID})
		return err == nil && *got.State == "Enabled"
	})
}

func TestMappingIsRefused(t *testing.T) {
	h := newHouse(t, withSources)
	h.create("f")
	const invalidValue = "InvalidParameterValueException"
	n := func(i int32) *int32 { return &i }
	type in = *api.CreateEventSourceMappingRequest
	on := func(source string, change func(in)) func(in) {
		return func(i in) {
			i.EventSourceArn = &source
			if source == testTable || source == testData {
				i.StartingPosition = wire.Ptr("LATEST")
			}
			change(i)
		}
	}
	for _, tc := range []struct {
		code, text string
		change     func(in)
	}{
		{invalidValue, "Unrecognized event source.", on("arn:aws:s3:::b", func(in) {})},
		{invalidValue, "Unrecognized event source.", on("arn:aws:sqs:us-east-1:111111111111:q:x", func(in) {})},
		{invalidValue, "service kafka is not supported here", on("arn:aws:kafka:us-east-1:111111111111:cluster/c/1", func(in) {})},
		{invalidValue, "service mq is not supported here", on("arn:aws:mq:us-east-1:111111111111:broker:b:1", func(in) {})},
		{invalidValue, "service rds is not supported here", on("arn:aws:rds:us-east-1:111111111111:cluster:c", func(in) {})},
		{invalidValue, "is not in the Region", on("arn:aws:sqs:eu-west-1:111111111111:q", func(in) {})},
		{invalidValue, "Function does not exist", func(i in) { i.FunctionName = wire.Ptr("g") }},
		{invalidValue, "Function does not exist", func(i in) { i.FunctionName = wire.Ptr("f:live") }},
		{invalidValue, "Function does not exist", func(i in) { i.FunctionName = wire.Ptr("f:$LATEST.PUBLISHED") }},
		{invalidValue, "NonExistentQueue", on("arn:aws:sqs:us-east-1:111111111111:gone", func(in) {})},
		{invalidValue, "must be greater than 0 if maximum batch size is greater than 10", func(i in) { i.BatchSize = n(11) }},
		{invalidValue, "must be greater than 0 if maximum batch size is greater than 10", on(testFIFO, func(i in) { i.BatchSize = n(11) })},
		{invalidValue, "Batching window is not supported for FIFO queues", on(testFIFO, func(i in) { i.MaximumBatchingWindowInSeconds = n(1) })},
		{invalidValue, "StartingPosition is not valid for SQS", func(i in) { i.StartingPosition = wire.Ptr("LATEST") }},
		{invalidValue, "Unsupported ParallelizationFactor", func(i in) { i.ParallelizationFactor = n(1) }},
		{invalidValue, "Unsupported TumblingWindowInSeconds", func(i in) { i.TumblingWindowInSeconds = n(1) }},
		{invalidValue, "Unsupported MaximumRecordAgeInSeconds", func(i in) { i.MaximumRecordAgeInSeconds = n(60) }},
		{invalidValue, "Unsupported MaximumRetryAttempts", func(i in) { i.MaximumRetryAttempts = n(1) }},
		{invalidValue, "Unsupported BisectBatchOnFunctionError", func(i in) { i.BisectBatchOnFunctionError = wire.Ptr(false) }},
		{invalidValue, "Unsupported DestinationConfig", func(i in) {
			i.DestinationConfig = &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: wire.Ptr(testQueue)}}
		}},
		{invalidValue, "Unsupported Topics", func(i in) { i.Topics = []string{"t"} }},
		{invalidValue, "Unsupported ScalingConfig", on(testData, func(i in) { i.ScalingConfig = &api.ScalingConfig{MaximumConcurrency: n(2)} })},
		{invalidValue, "Unsupported starting position for arn type: " + testTable, on(testTable, func(i in) { i.StartingPosition = wire.Ptr("AT_TIMESTAMP") })},
		{invalidValue, "Value null at 'startingPosition'", on(testData, func(i in) { i.StartingPosition = nil })},
		{invalidValue, "Value null at 'startingPositionTimestamp'", on(testData, func(i in) { i.StartingPosition = wire.Ptr("AT_TIMESTAMP") })},
		{invalidValue, "with the StartingPosition AT_TIMESTAMP only", on(testData, func(i in) { i.StartingPositionTimestamp = wire.Ptr(time.Now()) })},
		{invalidValue, "cannot be in the future", on(testData, func(i in) {
			i.StartingPosition, i.StartingPositionTimestamp = wire.Ptr("AT_TIMESTAMP"), wire.Ptr(time.Now().Add(time.Hour))
		})},
		{"ValidationException", "greater than or equal to 60", on(testData, func(i in) { i.MaximumRecordAgeInSeconds = n(30) })},
		{invalidValue, "ParallelizationFactor greater than 1", on(testData, func(i in) { i.TumblingWindowInSeconds, i.ParallelizationFactor = n(5), n(2) })},
		{invalidValue, "The destination ARN x is invalid.", on(testData, func(i in) {
			i.DestinationConfig = &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: wire.Ptr("x")}}
		})},
		{invalidValue, "Unsupported DestinationConfig", on(testData, func(i in) {
			i.DestinationConfig = &api.DestinationConfig{OnSuccess: &api.OnSuccess{Destination: wire.Ptr(testQueue)}}
		})},
		{invalidValue, "KMSKeyArn is not supported", func(i in) { i.KMSKeyArn = wire.Ptr("k") }},
		{invalidValue, "MetricsConfig is not supported", func(i in) {
			i.MetricsConfig = &api.EventSourceMappingMetricsConfig{Metrics: []string{"EventCount"}}
		}},
		{invalidValue, "ProvisionedPollerConfig is not supported", func(i in) { i.ProvisionedPollerConfig = &api.ProvisionedPollerConfig{MinimumPollers: n(2)} }},
		{invalidValue, "Invalid filter pattern definition.", func(i in) { i.FilterCriteria = &api.FilterCriteria{Filters: []api.Filter{{}}} }},
		{invalidValue, "at most 5", func(i in) { i.FilterCriteria = &api.FilterCriteria{Filters: make([]api.Filter, 6)} }},
	} {
		_, err := h.mapping(tc.change)
		wantFault(t, err, tc.code, tc.text)
	}
	slow := createRequest(t, "slow")
	slow.Timeout = n(31)
	if _, err := h.h.CreateFunction(t.Context(), call(), slow); err != nil {
		t.Fatal(err)
	}
	_, err := h.mapping(func(i in) { i.FunctionName = wire.Ptr("slow") })
	wantFault(t, err, invalidValue, "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds")
	stranger := createRequest(t, "stranger")
	stranger.Role = wire.Ptr(testRole + "stranger")
	if _, err := h.h.CreateFunction(t.Context(), call(), stranger); err != nil {
		t.Fatal(err)
	}
	_, err = h.mapping(func(i in) { i.FunctionName = wire.Ptr("stranger") })
	wantFault(t, err, invalidValue, "does not have permissions to call ReceiveMessage on SQS")
	if got, err := h.h.ListEventSourceMappings(t.Context(), call(), &api.ListEventSourceMappingsRequest{}); err != nil || len(got.EventSourceMappings) != 0 {
		t.Errorf("what was refused is there: %+v, %v", got, err)
	}
}

func TestMappingsAreListedAndMoved(t *testing.T) {
	h := newHouse(t, withSources)
	h.create("f")
	h.create("g")
	var uuids []string
	for _, source := range []string{testQueue, testFIFO, testTable, testData} {
		made, err := h.mapping(func(i *api.CreateEventSourceMappingRequest) {
			i.EventSourceArn = &source
			if strings.Contains(source, "stream") {
				i.StartingPosition = wire.Ptr("TRIM_HORIZON")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		uuids = append(uuids, *made.UUID)
	}
	if _, err := h.mapping(func(i *api.CreateEventSourceMappingRequest) { i.FunctionName = wire.Ptr("g") }); err != nil {
		t.Fatal(err)
	}
	h.settleAllMappings()
	list := func(in *api.ListEventSourceMappingsRequest) (out []string) {
		t.Helper()
		for {
			page, err := h.h.ListEventSourceMappings(t.Context(), call(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page.EventSourceMappings {
				out = append(out, *m.UUID)
			}
			if in.Marker = page.NextMarker; in.Marker == nil {
				return out
			}
		}
	}
	one := int32(1)
	if got := list(&api.ListEventSourceMappingsRequest{FunctionName: wire.Ptr("f"), MaxItems: &one}); len(got) != 4 {
		t.Errorf("of f: %v", got)
	}
	if got := list(&api.ListEventSourceMappingsRequest{EventSourceArn: wire.Ptr(testQueue)}); len(got) != 2 {
		t.Errorf("of the queue: %v", got)
	}
	if got := list(&api.ListEventSourceMappingsRequest{FunctionName: wire.Ptr("f:live")}); len(got) != 0 {
		t.Errorf("of an alias: %v", got)
	}
	// Moving the queue's mapping to g, which has one of this queue, conflicts; the other queue's does not.
	_, err := h.h.UpdateEventSourceMapping(t.Context(), call(), &api.UpdateEventSourceMappingRequest{UUID: &uuids[0], FunctionName: wire.Ptr("g")})
	wantFault(t, err, "ResourceConflictException", "already exists")
	moved, err := h.h.UpdateEventSourceMapping(t.Context(), call(), &api.UpdateEventSourceMappingRequest{UUID: &uuids[1], FunctionName: wire.Ptr("g")})
	if err != nil || *moved.FunctionArn != arnOf("g") {
		t.Fatalf("%+v, %v", moved, err)
	}
	if _, err := h.mapping(func(i *api.CreateEventSourceMappingRequest) { i.EventSourceArn = wire.Ptr(testFIFO) }); err != nil {
		t.Errorf("the claim of a mapping that moved away is still held: %v", err)
	}
	// Streams keep their settings through an update.
	update := &api.UpdateEventSourceMappingRequest{UUID: &uuids[3], MaximumRetryAttempts: &one}
	got, err := h.h.UpdateEventSourceMapping(t.Context(), call(), update)
	if err != nil || *got.MaximumRetryAttempts != 1 || *got.StartingPosition != "TRIM_HORIZON" || *got.BatchSize != 100 || *got.State != "Updating" {
		t.Errorf("%+v, %v", got, err)
	}
}

// destinationsFake has no destination named "gone".
type destinationsFake struct{}

func (destinationsFake) Check(_ context.Context, _ record.Scope, _, destination string) error {
	if strings.HasSuffix(destination, "gone") {
		return errors.New("The destination ARN " + destination + " is invalid.")
	}
	return nil
}

// TestStreamMappingIsChanged: a new destination of failures is checked without a new function, too, and what the
// poller remembers of a mapping is shown.
func TestStreamMappingIsChanged(t *testing.T) {
	h := newHouse(t, withSources, func(o *Options) { o.Destinations = destinationsFake{} })
	h.create("f")
	made, err := h.mapping(func(i *api.CreateEventSourceMappingRequest) {
		i.EventSourceArn, i.StartingPosition = wire.Ptr(testData), wire.Ptr("LATEST")
	})
	if err != nil || *made.LastProcessingResult != "No records processed" {
		t.Fatalf("%+v, %v", made, err)
	}
	h.settleAllMappings()
	key := record.Scoped{Scope: record.Scope{Account: testAccount, Region: testRegion}, Name: *made.UUID}
	put, err := record.StreamProgresses.Put(key, &record.StreamProgress{Result: "PROBLEM: Function call failed"}, store.Unconditional())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Commit(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	failingTo := func(destination string) (*api.EventSourceMappingConfiguration, error) {
		return h.h.UpdateEventSourceMapping(t.Context(), call(), &api.UpdateEventSourceMappingRequest{
			UUID: made.UUID, DestinationConfig: &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: &destination}},
		})
	}
	_, err = failingTo(testQueue + "gone")
	wantFault(t, err, "InvalidParameterValueException", "The destination ARN "+testQueue+"gone is invalid.")
	got, err := failingTo(testQueue)
	if err != nil || *got.DestinationConfig.OnFailure.Destination != testQueue || *got.LastProcessingResult != "PROBLEM: Function call failed" {
		t.Errorf("%+v, %v", got, err)
	}
	listed, err := h.h.ListEventSourceMappings(t.Context(), call(), &api.ListEventSourceMappingsRequest{})
	if err != nil || *listed.EventSourceMappings[0].LastProcessingResult != "PROBLEM: Function call failed" {
		t.Errorf("%+v, %v", listed, err)
	}
}

// TestOneMappingOfMany: of many creates at once one wins.
func TestOneMappingOfMany(t *testing.T) {
	h := newHouse(t, withSources)
	h.create("f")
	var wins, losses []error
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := h.mapping(nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				wins = append(wins, err)
			} else {
				losses = append(losses, err)
			}
		})
	}
	all.Wait()
	if len(wins) != 1 {
		t.Errorf("%d mappings of one queue and function: %v", len(wins), losses)
	}
	for _, err := range losses {
		wantFault(t, err, "ResourceConflictException", "already exists. Please update or delete the existing mapping with UUID")
	}
}

func TestMappingDemands(t *testing.T) {
	a := &authorizerFake{}
	h := newHouse(t, withSources, func(o *Options) { o.Authorizer = a })
	h.create("f")
	made, err := h.mapping(func(i *api.CreateEventSourceMappingRequest) { i.Tags = map[string]string{"team": "blue"} })
	if err != nil {
		t.Fatal(err)
	}
	own := " " + *made.EventSourceMappingArn + " aws:ResourceTag/team=blue lambda:FunctionArn=" + arnOf("f")
	for _, tt := range []struct {
		operation string
		in        any
		want      []string
	}{
		{"CreateEventSourceMapping", &api.CreateEventSourceMappingRequest{FunctionName: wire.Ptr("f")}, []string{"lambda:CreateEventSourceMapping * lambda:FunctionArn=" + arnOf("f")}},
		{"CreateEventSourceMapping", &api.CreateEventSourceMappingRequest{FunctionName: wire.Ptr("f"), Tags: map[string]string{"a": "1"}}, []string{
			"lambda:CreateEventSourceMapping * aws:RequestTag/a=1 aws:TagKeys=a lambda:FunctionArn=" + arnOf("f"),
			"lambda:TagResource arn:aws:lambda:us-east-1:111111111111:event-source-mapping:* aws:RequestTag/a=1 aws:TagKeys=a lambda:FunctionArn=" + arnOf("f")}},
		{"UpdateEventSourceMapping", &api.UpdateEventSourceMappingRequest{UUID: made.UUID, FunctionName: wire.Ptr("g")}, []string{
			"lambda:UpdateEventSourceMapping" + own, "lambda:UpdateEventSourceMapping" + strings.Replace(own, arnOf("f"), arnOf("g"), 1)}},
		{"DeleteEventSourceMapping", &api.DeleteEventSourceMappingRequest{UUID: made.UUID}, []string{"lambda:DeleteEventSourceMapping" + own}},
		{"GetEventSourceMapping", &api.GetEventSourceMappingRequest{UUID: made.UUID}, []string{"lambda:GetEventSourceMapping" + own}},
		{"ListEventSourceMappings", &api.ListEventSourceMappingsRequest{}, []string{"lambda:ListEventSourceMappings *"}},
		{"ListTags", &api.ListTagsRequest{Resource: made.EventSourceMappingArn}, []string{"lambda:ListTags" + own}},
	} {
		a.asked = nil
		if err := h.h.Authorize(t.Context(), call(), tt.operation, tt.in); err != nil || !slices.Equal(a.asked, tt.want) {
			t.Errorf("%s asked\n%s\nwant\n%s (%v)", tt.operation, strings.Join(a.asked, "\n"), strings.Join(tt.want, "\n"), err)
		}
	}
}

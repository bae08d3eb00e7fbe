package lambda

import (
	"context"
	"errors"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	// smallBatch is the largest batch that needs no window. Source: Lambda developer guide,
	// "Using Lambda with Amazon SQS", batch size.
	smallBatch = 10
	// filtersMax is how many filters a mapping may have. Source: Lambda developer guide, "Control
	// which events Lambda sends to your function".
	filtersMax = 5
	// recordAgeMin is the least age in seconds, but for -1. Source: Lambda API, MaximumRecordAgeInSeconds.
	recordAgeMin = 60
)

// mappingSettings are what both a create and an update can tell of a mapping; nil is nothing.
type mappingSettings struct {
	batch, window, parallelization, tumbling, maxAge, maxRetries *int32

	bisect          *bool
	filters         *api.FilterCriteria
	responses       []string
	scaling         *api.ScalingConfig
	destination     *api.DestinationConfig
	kmsKey          *string
	metrics         *api.EventSourceMappingMetricsConfig
	logging         *api.EventSourceMappingLoggingConfig
	provisioned     *api.ProvisionedPollerConfig
	forOtherSources bool
}

func createdMappingSettings(in *api.CreateEventSourceMappingRequest) *mappingSettings {
	return &mappingSettings{
		batch: in.BatchSize, window: in.MaximumBatchingWindowInSeconds, parallelization: in.ParallelizationFactor, tumbling: in.TumblingWindowInSeconds,
		maxAge: in.MaximumRecordAgeInSeconds, maxRetries: in.MaximumRetryAttempts, bisect: in.BisectBatchOnFunctionError, filters: in.FilterCriteria,
		responses: in.FunctionResponseTypes, scaling: in.ScalingConfig, destination: in.DestinationConfig, kmsKey: in.KMSKeyArn,
		metrics: in.MetricsConfig, logging: in.LoggingConfig, provisioned: in.ProvisionedPollerConfig,
	}
}

func updatedMappingSettings(in *api.UpdateEventSourceMappingRequest) *mappingSettings {
	return &mappingSettings{
		batch: in.BatchSize, window: in.MaximumBatchingWindowInSeconds, parallelization: in.ParallelizationFactor, tumbling: in.TumblingWindowInSeconds,
		maxAge: in.MaximumRecordAgeInSeconds, maxRetries: in.MaximumRetryAttempts, bisect: in.BisectBatchOnFunctionError, filters: in.FilterCriteria,
		responses: in.FunctionResponseTypes, scaling: in.ScalingConfig, destination: in.DestinationConfig, kmsKey: in.KMSKeyArn,
		metrics: in.MetricsConfig, logging: in.LoggingConfig, provisioned: in.ProvisionedPollerConfig,
		forOtherSources: len(in.SourceAccessConfigurations) > 0 || in.AmazonManagedKafkaEventSourceConfig != nil ||
			in.SelfManagedKafkaEventSourceConfig != nil || in.DocumentDBEventSourceConfig != nil,
	}
}

// configureMapping takes settings into a mapping, checked.
func (c *Control) configureMapping(m *record.Mapping, source source, s *mappingSettings) error {
	if err := s.unenforced(); err != nil {
		return err
	}
	set(&m.BatchSize, s.batch)
	set(&m.WindowS, s.window)
	if s.responses != nil {
		m.ReportFailures = slices.Contains(s.responses, api.FunctionResponseTypeReportBatchItemFailures)
	}
	if s.filters != nil {
		if err := c.setFilters(m, s.filters); err != nil {
			return err
		}
	}
	if source.kind.isStream {
		return s.ofStream(m)
	}
	return s.ofQueue(m, source)
}

// unenforced refuses what nothing here would act on.
func (s *mappingSettings) unenforced() error {
	switch {
	case value(s.kmsKey) != "":
		return refused("KMSKeyArn")
	case s.metrics != nil && len(s.metrics.Metrics) > 0:
		return refused("MetricsConfig")
	case s.logging != nil && value(s.logging.SystemLogLevel) != "":
		return refused("LoggingConfig")
	case s.provisioned != nil && (s.provisioned.MinimumPollers != nil || s.provisioned.MaximumPollers != nil || s.provisioned.PollerGroupName != nil):
		return refused("ProvisionedPollerConfig")
	case s.forOtherSources:
		return unsupportedSetting("SourceAccessConfigurations")
	}
	return nil
}

func (c *Control) setFilters(m *record.Mapping, in *api.FilterCriteria) error {
	if len(in.Filters) > filtersMax {
		return invalid("The number of filters must be at most %d.", filtersMax)
	}
	m.Filters = nil
	for _, f := range in.Filters {
		if f.Pattern == nil || c.sources == nil || c.sources.CheckFilter(*f.Pattern) != nil {
			return invalid("Invalid filter pattern definition.")
		}
		m.Filters = append(m.Filters, *f.Pattern)
	}
	return nil
}

// ofQueue takes and checks what queues have.
func (s *mappingSettings) ofQueue(m *record.Mapping, source source) error {
	for _, other := range []struct {
		member string
		given  bool
	}{
		{"ParallelizationFactor", s.parallelization != nil}, {"TumblingWindowInSeconds", s.tumbling != nil},
		{"MaximumRecordAgeInSeconds", s.maxAge != nil}, {"MaximumRetryAttempts", s.maxRetries != nil},
		{"BisectBatchOnFunctionError", s.bisect != nil}, {"DestinationConfig", hasDestination(s.destination)},
	} {
		if other.given {
			return unsupportedSetting(other.member)
		}
	}
	if s.scaling != nil {
		m.Concurrency = value(s.scaling.MaximumConcurrency)
	}
	if source.fifo() && m.WindowS > 0 {
		return invalid("Batching window is not supported for FIFO queues") // as its users quote it
	}
	if m.BatchSize > smallBatch && m.WindowS == 0 {
		return invalid("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than %d", smallBatch)
	}
	return nil
}

// ofStream takes and checks what streams have.
func (s *mappingSettings) ofStream(m *record.Mapping) error {
	stream := m.Stream
	set(&stream.Parallelization, s.parallelization)
	set(&stream.TumblingS, s.tumbling)
	set(&stream.MaxAgeS, s.maxAge)
	set(&stream.MaxRetries, s.maxRetries)
	set(&stream.Bisect, s.bisect)
	if s.scaling != nil && s.scaling.MaximumConcurrency != nil {
		return unsupportedSetting("ScalingConfig")
	}
	if stream.MaxAgeS > -1 && stream.MaxAgeS < recordAgeMin {
		return constraint(stream.MaxAgeS, "maximumRecordAgeInSeconds", "Member must be -1 or have value greater than or equal to 60")
	}
	if stream.TumblingS > 0 && stream.Parallelization > 1 {
		return invalid("TumblingWindowInSeconds is not supported with a ParallelizationFactor greater than 1.")
	}
	if d := s.destination; d != nil {
		if d.OnSuccess != nil && value(d.OnSuccess.Destination) != "" {
			return unsupportedSetting("DestinationConfig")
		}
		stream.OnFailure = ""
		if d.OnFailure != nil {
			stream.OnFailure = value(d.OnFailure.Destination)
		}
		if arn, err := aws.ParseARN(stream.OnFailure); stream.OnFailure != "" && (err != nil || !slices.Contains(streamDestinations, arn.Service)) {
			return badDestination(stream.OnFailure)
		}
	}
	return nil
}

// streamDestinations are those that records of failed batches can go to. Source: Lambda API,
// OnFailure.
var streamDestinations = []string{"sqs", "sns", "s3"}

func hasDestination(d *api.DestinationConfig) bool {
	return d != nil && (d.OnFailure != nil && value(d.OnFailure.Destination) != "" || d.OnSuccess != nil && value(d.OnSuccess.Destination) != "")
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// noRecords is LastProcessingResult of a stream before its first batch.
const noRecords = "No records processed"

// shown is a mapping with what its poller remembers of it.
func (c *Control) shown(ctx context.Context, key record.Scoped, m *record.Mapping) (*api.EventSourceMappingConfiguration, error) {
	out := shownMapping(key, m)
	if m.Stream == nil {
		return out, nil
	}
	held, err := record.StreamProgresses.Get(ctx, c.records, key)
	if errors.Is(err, store.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, fault(err)
	}
	if held.Value.Result != "" {
		out.LastProcessingResult = wire.Ptr(held.Value.Result)
	}
	return out, nil
}

func shownMapping(key record.Scoped, m *record.Mapping) *api.EventSourceMappingConfiguration {
	out := &api.EventSourceMappingConfiguration{
		UUID: wire.Ptr(key.Name), EventSourceMappingArn: wire.Ptr(record.MappingARN(key)), EventSourceArn: wire.Ptr(m.Source),
		FunctionArn: wire.Ptr(m.Function.ARN()), BatchSize: wire.Ptr(m.BatchSize), MaximumBatchingWindowInSeconds: wire.Ptr(m.WindowS),
		State: wire.Ptr(string(m.State)), StateTransitionReason: wire.Ptr(m.Reason), LastModified: wire.Ptr(m.Modified),
		FunctionResponseTypes: []string{},
	}
	if m.ReportFailures {
		out.FunctionResponseTypes = []string{api.FunctionResponseTypeReportBatchItemFailures}
	}
	if len(m.Filters) > 0 {
		out.FilterCriteria = &api.FilterCriteria{}
		for _, pattern := range m.Filters {
			out.FilterCriteria.Filters = append(out.FilterCriteria.Filters, api.Filter{Pattern: wire.Ptr(pattern)})
		}
	}
	if m.Concurrency > 0 {
		out.ScalingConfig = &api.ScalingConfig{MaximumConcurrency: wire.Ptr(m.Concurrency)}
	}
	if s := m.Stream; s != nil {
		out.StartingPosition = wire.Ptr(s.StartingPosition)
		if !s.StartingTime.IsZero() {
			out.StartingPositionTimestamp = wire.Ptr(s.StartingTime)
		}
		out.ParallelizationFactor, out.TumblingWindowInSeconds = wire.Ptr(s.Parallelization), wire.Ptr(s.TumblingS)
		out.MaximumRecordAgeInSeconds, out.MaximumRetryAttempts = wire.Ptr(s.MaxAgeS), wire.Ptr(s.MaxRetries)
		out.BisectBatchOnFunctionError = wire.Ptr(s.Bisect)
		out.DestinationConfig = &api.DestinationConfig{OnFailure: &api.OnFailure{Destination: unlessEmpty(s.OnFailure)}}
		out.LastProcessingResult = wire.Ptr(noRecords)
	}
	return out
}

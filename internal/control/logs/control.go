// Package logs owns the API of Amazon CloudWatch Logs: what its operations
// accept, refuse and answer. The logs themselves are telemetry/logs. It must
// never import a room that runs anything, nor another control package: groups
// that functions write to are only records to it.
package logs

import (
	"errors"
	"time"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// Options of Handlers. Logs must be given.
type Options struct {
	Logs *logs.Logs
	// Authorizer is nil when nobody checks permissions (--auth=none).
	Authorizer Authorizer
	// Subscribers is nil where there are no functions.
	Subscribers Subscribers
	Now         func() time.Time // nil: time.Now
}

type control struct {
	logs      *logs.Logs
	authorize Authorizer
	now       func() time.Time
	queries   *queries

	subscribers Subscribers
}

// Handlers fills the slots of the operations that are built; the others answer
// that they are not.
func Handlers(o Options) api.Handlers { return newControl(o).handlers() }

func newControl(o Options) *control {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &control{logs: o.Logs, authorize: o.Authorizer, now: o.Now, queries: newQueries(o.Logs, o.Now), subscribers: o.Subscribers}
}

func (c *control) handlers() api.Handlers {
	return api.Handlers{
		Authorize: c.authorizeCall,

		CreateLogGroup:                c.createLogGroup,
		DeleteLogGroup:                c.deleteLogGroup,
		DescribeLogGroups:             c.describeLogGroups,
		PutLogGroupDeletionProtection: c.putLogGroupDeletionProtection,
		PutRetentionPolicy:            c.putRetentionPolicy,
		DeleteRetentionPolicy:         c.deleteRetentionPolicy,

		CreateLogStream:    c.createLogStream,
		DeleteLogStream:    c.deleteLogStream,
		DescribeLogStreams: c.describeLogStreams,

		PutLogEvents:    c.putLogEvents,
		GetLogEvents:    c.getLogEvents,
		FilterLogEvents: c.filterLogEvents,

		TagLogGroup:         c.tagLogGroup,
		UntagLogGroup:       c.untagLogGroup,
		ListTagsLogGroup:    c.listTagsLogGroup,
		TagResource:         c.tagResource,
		UntagResource:       c.untagResource,
		ListTagsForResource: c.listTagsForResource,

		PutMetricFilter:       c.putMetricFilter,
		DescribeMetricFilters: c.describeMetricFilters,
		DeleteMetricFilter:    c.deleteMetricFilter,
		TestMetricFilter:      c.testMetricFilter,

		PutSubscriptionFilter:       c.putSubscriptionFilter,
		DescribeSubscriptionFilters: c.describeSubscriptionFilters,
		DeleteSubscriptionFilter:    c.deleteSubscriptionFilter,

		PutResourcePolicy:        c.putResourcePolicy,
		DescribeResourcePolicies: c.describeResourcePolicies,
		DeleteResourcePolicy:     c.deleteResourcePolicy,

		CreateExportTask:     c.createExportTask,
		DescribeExportTasks:  describeExportTasks,
		CancelExportTask:     cancelExportTask,
		DescribeDestinations: describeDestinations,
		DeleteDestination:    deleteDestination,

		StartQuery:        c.startQuery,
		GetQueryResults:   c.getQueryResults,
		StopQuery:         c.stopQuery,
		DescribeQueries:   c.describeQueries,
		GetLogRecord:      c.getLogRecord,
		GetLogGroupFields: c.getLogGroupFields,

		PutQueryDefinition:       c.putQueryDefinition,
		DescribeQueryDefinitions: c.describeQueryDefinitions,
		DeleteQueryDefinition:    c.deleteQueryDefinition,

		PutDeliverySource:       putDeliverySource,
		GetDeliverySource:       getDeliverySource,
		DeleteDeliverySource:    deleteDeliverySource,
		DescribeDeliverySources: describeDeliverySources,

		GetDeliveryDestination:          getDeliveryDestination,
		DeleteDeliveryDestination:       deleteDeliveryDestination,
		DescribeDeliveryDestinations:    describeDeliveryDestinations,
		GetDeliveryDestinationPolicy:    getDeliveryDestinationPolicy,
		PutDeliveryDestinationPolicy:    putDeliveryDestinationPolicy,
		DeleteDeliveryDestinationPolicy: deleteDeliveryDestinationPolicy,

		CreateDelivery:              createDelivery,
		GetDelivery:                 getDelivery,
		UpdateDeliveryConfiguration: updateDeliveryConfiguration,
		DeleteDelivery:              deleteDelivery,
		DescribeDeliveries:          describeDeliveries,
	}
}

func scopeOf(call *wire.Call) logs.Scope {
	return logs.Scope{Account: call.Account, Region: call.Region}
}

// value is what an optional member holds, or its zero.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// The texts below are what AWS answered, recorded; recorded_test.go holds them.
const (
	noGroup  = "The specified log group does not exist."
	noStream = "The specified log stream does not exist."
	badToken = "The specified nextToken is invalid."
)

func invalid(message string) error { return api.NewInvalidParameterException(message) }

// fault turns the kinds of the rooms below into the service's errors; what it
// does not know becomes an internal failure at the edge.
func fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, logs.ErrGroupNotFound):
		return api.NewResourceNotFoundException(noGroup)
	case errors.Is(err, logs.ErrStreamNotFound):
		return api.NewResourceNotFoundException(noStream)
	case errors.Is(err, logs.ErrFilterNotFound):
		return api.NewResourceNotFoundException("The specified metric filter does not exist.")
	case errors.Is(err, logs.ErrSubscriptionNotFound):
		return api.NewResourceNotFoundException("The specified subscription filter does not exist.")
	case errors.Is(err, logs.ErrPolicyNotFound):
		return api.NewResourceNotFoundException("The specified resource policy does not exist.")
	case errors.Is(err, logs.ErrDefinitionNotFound):
		return api.NewResourceNotFoundException("The specified query definition does not exist.")
	case errors.Is(err, logs.ErrGroupExists):
		return api.NewResourceAlreadyExistsException("The specified log group already exists")
	case errors.Is(err, logs.ErrStreamExists):
		return api.NewResourceAlreadyExistsException("The specified log stream already exists")
	case errors.Is(err, logs.ErrTooManyFilters), errors.Is(err, logs.ErrTooManyDefinitions), errors.Is(err, logs.ErrTooManySubscriptions),
		errors.Is(err, logs.ErrTooManyPolicies):
		return api.NewLimitExceededException("Resource limit exceeded.")
	case errors.Is(err, logs.ErrBadToken):
		return invalid(badToken)
	case errors.Is(err, logs.ErrBusy):
		return api.NewOperationAbortedException("A conflicting operation is currently in progress against this resource. Please try again.")
	case errors.Is(err, store.ErrFull):
		return api.NewServiceUnavailableException("The host's disk is full; nothing was changed.")
	default:
		return err
	}
}

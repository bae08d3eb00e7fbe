package logs

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// Exports go to S3, and there are no buckets here: AWS's answers to accounts without any.

func (c *control) createExportTask(ctx context.Context, call *wire.Call, in *api.CreateExportTaskRequest) (*api.CreateExportTaskResponse, error) {
	if _, err := c.logs.Group(ctx, scopeOf(call), value(in.LogGroupName)); err != nil {
		return nil, fault(err)
	}
	return nil, invalid("The given bucket does not exist. Please make sure the bucket is valid.")
}

func describeExportTasks(_ context.Context, _ *wire.Call, in *api.DescribeExportTasksRequest) (*api.DescribeExportTasksResponse, error) {
	return &api.DescribeExportTasksResponse{ExportTasks: []api.ExportTask{}}, noToken(in.NextToken)
}

func cancelExportTask(context.Context, *wire.Call, *api.CancelExportTaskRequest) error {
	return api.NewResourceNotFoundException("The specified export task does not exist.")
}

// Destinations are streams of Kinesis for other accounts' subscription filters, which are not here either.

func describeDestinations(_ context.Context, _ *wire.Call, in *api.DescribeDestinationsRequest) (*api.DescribeDestinationsResponse, error) {
	return &api.DescribeDestinationsResponse{Destinations: []api.Destination{}}, noToken(in.NextToken)
}

func deleteDestination(context.Context, *wire.Call, *api.DeleteDestinationRequest) error {
	return api.NewResourceNotFoundException("The specified destination does not exist.")
}

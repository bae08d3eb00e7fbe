package logs

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *control) createLogStream(ctx context.Context, call *wire.Call, in *api.CreateLogStreamRequest) error {
	return fault(c.logs.CreateStream(ctx, scopeOf(call), value(in.LogGroupName), value(in.LogStreamName)))
}

func (c *control) deleteLogStream(ctx context.Context, call *wire.Call, in *api.DeleteLogStreamRequest) error {
	return fault(c.logs.DeleteStream(ctx, scopeOf(call), value(in.LogGroupName), value(in.LogStreamName)))
}

func (c *control) describeLogStreams(ctx context.Context, call *wire.Call, in *api.DescribeLogStreamsRequest) (*api.DescribeLogStreamsResponse, error) {
	group, err := groupOf(call, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	q := logs.StreamQuery{
		Prefix:     value(in.LogStreamNamePrefix),
		ByTime:     value(in.OrderBy) == api.OrderByLastEventTime,
		Descending: value(in.Descending),
		Token:      value(in.NextToken),
		Limit:      describeDefault,
	}
	if in.Limit != nil {
		q.Limit = int(*in.Limit)
	}
	if q.ByTime && in.LogStreamNamePrefix != nil {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	page, next, err := c.logs.Streams(ctx, scopeOf(call), group, q)
	if err != nil {
		return nil, fault(err)
	}
	out := &api.DescribeLogStreamsResponse{LogStreams: []api.LogStream{}}
	for _, st := range page {
		out.LogStreams = append(out.LogStreams, shownStream(scopeOf(call), group, st))
	}
	if next != "" {
		out.NextToken = &next
	}
	return out, nil
}

func shownStream(s logs.Scope, group string, st logs.Stream) api.LogStream {
	out := api.LogStream{
		LogStreamName: &st.Name,
		CreationTime:  &st.Created,
		Arn:           wire.Ptr(streamARN(s, group, st.Name)),
		// Always 0 since 2019. Source: API reference, LogStream.
		StoredBytes: wire.Ptr(int64(0)),
	}
	if st.Events {
		out.FirstEventTimestamp = &st.First
		out.LastEventTimestamp = &st.Last
		out.LastIngestionTime = &st.Ingested
		out.UploadSequenceToken = sequenceToken(st.Ingested)
	}
	return out
}

package logs

import (
	"context"
	"fmt"
	"math"
	"time"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs/pattern"
	"github.com/lambdad/lambdad/internal/wire"
)

// The rules of a batch. Source: API reference, PutLogEvents. One event may fill it: its own bound of 256 KB became
// 1 MB in April 2025.
const (
	batchBytesMax      = 1 << 20 // messages, and eventOverheadBytes for each
	eventOverheadBytes = 26
	batchSpanMax       = 24 * time.Hour
	tooOldAfter        = 14 * 24 * time.Hour
	tooNewAfter        = 2 * time.Hour
)

// eventsDefault is how many events a page has when the request does not say.
// Source: API reference, GetLogEvents and FilterLogEvents.
const eventsDefault = 10_000

func (c *control) putLogEvents(ctx context.Context, call *wire.Call, in *api.PutLogEventsRequest) (*api.PutLogEventsResponse, error) {
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	s, group := scopeOf(call), value(in.LogGroupName)
	g, err := c.logs.Group(ctx, s, group)
	if err != nil {
		return nil, fault(err)
	}
	now := c.now()
	first, end, rejected := accepted(in.LogEvents, now, g.RetentionDays)
	events := make([]logs.Event, 0, end-first)
	for _, e := range in.LogEvents[first:end] {
		events = append(events, logs.Event{Time: value(e.Timestamp), Message: value(e.Message)})
	}
	if err := c.logs.Put(ctx, s, group, value(in.LogStreamName), events); err != nil {
		return nil, fault(err)
	}
	out := &api.PutLogEventsResponse{
		NextSequenceToken:     sequenceToken(now.UnixMilli()),
		RejectedLogEventsInfo: rejected,
	}
	if in.Entity != nil {
		// Events are taken without their entity where it cannot be kept.
		out.RejectedEntityInfo = &api.RejectedEntityInfo{ErrorType: wire.Ptr(api.EntityRejectionErrorTypeUnsupportedLogGroupType)}
	}
	return out, nil
}

// sequenceToken numbers the batches of a stream by their time. It is ignored when it comes back, but clients of
// before 2023 send it on. Source: API reference, PutLogEvents.
func sequenceToken(ingested int64) *string { return wire.Ptr(fmt.Sprintf("%056d", ingested)) }

func checkBatch(events []api.InputLogEvent) error {
	bytes := 0
	for i := range events {
		bytes += len(value(events[i].Message)) + eventOverheadBytes
		if i > 0 && value(events[i].Timestamp) < value(events[i-1].Timestamp) {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if bytes > batchBytesMax {
		return invalid(fmt.Sprintf("Upload too large: %d bytes exceeds limit of %d", bytes, batchBytesMax))
	}
	if n := len(events); n > 0 && value(events[n-1].Timestamp)-value(events[0].Timestamp) > batchSpanMax.Milliseconds() {
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// accepted tells which stretch of a batch in chronological order is taken, and what
// the answer says of the rest.
func accepted(events []api.InputLogEvent, now time.Time, retentionDays int) (first, end int, rejected *api.RejectedLogEventsInfo) {
	before := func(t time.Time) (n int) {
		for n < len(events) && value(events[n].Timestamp) < t.UnixMilli() {
			n++
		}
		return n
	}
	var info api.RejectedLogEventsInfo
	tooOld := before(now.Add(-tooOldAfter))
	expired := 0
	if retentionDays > 0 {
		expired = before(now.Add(-time.Duration(retentionDays) * 24 * time.Hour))
	}
	end = before(now.Add(tooNewAfter + time.Millisecond))
	if tooOld > 0 {
		info.TooOldLogEventEndIndex = wire.Ptr(int32(tooOld))
	}
	if expired > 0 {
		info.ExpiredLogEventEndIndex = wire.Ptr(int32(expired))
	}
	if end < len(events) {
		info.TooNewLogEventStartIndex = wire.Ptr(int32(end))
	}
	if info != (api.RejectedLogEventsInfo{}) {
		rejected = &info
	}
	first = max(tooOld, expired)
	return first, max(first, end), rejected
}

func (c *control) getLogEvents(ctx context.Context, call *wire.Call, in *api.GetLogEventsRequest) (*api.GetLogEventsResponse, error) {
	group, err := groupOf(call, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	page, err := c.logs.Events(ctx, scopeOf(call), group, value(in.LogStreamName), logs.EventsQuery{
		Start:    value(in.StartTime),
		End:      value(in.EndTime),
		Token:    value(in.NextToken),
		FromHead: value(in.StartFromHead),
		Limit:    eventsLimit(in.Limit),
	})
	if err != nil {
		return nil, fault(err)
	}
	out := &api.GetLogEventsResponse{
		Events:            []api.OutputLogEvent{},
		NextForwardToken:  &page.Forward,
		NextBackwardToken: &page.Backward,
	}
	for _, e := range page.Events {
		out.Events = append(out.Events, api.OutputLogEvent{
			Timestamp: wire.Ptr(e.Time), Message: wire.Ptr(e.Message), IngestionTime: wire.Ptr(e.Ingested),
		})
	}
	return out, nil
}

func eventsLimit(limit *int32) int {
	if limit == nil {
		return eventsDefault
	}
	return int(*limit)
}

func (c *control) filterLogEvents(ctx context.Context, call *wire.Call, in *api.FilterLogEventsRequest) (*api.FilterLogEventsResponse, error) {
	group, err := groupOf(call, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if in.LogStreamNamePrefix != nil && len(in.LogStreamNames) > 0 {
		return nil, invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	p, err := pattern.Compile(value(in.FilterPattern))
	if err != nil {
		return nil, invalid(err.Error())
	}
	q := logs.Search{
		Streams: in.LogStreamNames,
		Prefix:  value(in.LogStreamNamePrefix),
		Start:   value(in.StartTime),
		Match:   p.Match,
		Token:   value(in.NextToken),
		Limit:   eventsLimit(in.Limit),
	}
	if in.EndTime != nil && *in.EndTime < math.MaxInt64 {
		q.End = *in.EndTime + 1 // here the end belongs to it, unlike with GetLogEvents
	}
	found, next, err := c.logs.Search(ctx, scopeOf(call), group, q)
	if err != nil {
		return nil, fault(err)
	}
	// searchedLogStreams has been empty since 2019. Source: API reference.
	out := &api.FilterLogEventsResponse{Events: []api.FilteredLogEvent{}, SearchedLogStreams: []api.SearchedLogStream{}}
	for _, f := range found {
		out.Events = append(out.Events, api.FilteredLogEvent{
			LogStreamName: wire.Ptr(f.Stream), EventId: wire.Ptr(f.ID()),
			Timestamp: wire.Ptr(f.Time), Message: wire.Ptr(f.Message), IngestionTime: wire.Ptr(f.Ingested),
		})
	}
	if next != "" {
		out.NextToken = &next
	}
	return out, nil
}

package logs

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs/insights"
	"github.com/lambdad/lambdad/internal/wire"
)

// queryLanguage is the only one of the three that is here.
const queryLanguage = "CWLI"

// queriedGroupsMax is how many groups a query may name. Source: API reference, StartQuery.
const queriedGroupsMax = 50

func (c *control) startQuery(ctx context.Context, call *wire.Call, in *api.StartQueryRequest) (*api.StartQueryResponse, error) {
	if l := value(in.QueryLanguage); l != "" && l != queryLanguage {
		return nil, invalid(fmt.Sprintf("The query language %s is not supported here; use %s.", l, queryLanguage))
	}
	groups, err := c.queriedGroups(ctx, call, in)
	if err != nil {
		return nil, err
	}
	// The times are seconds, and the last one belongs to the query as a whole (recorded: test_describe_queries).
	start, end := value(in.StartTime)*1000, value(in.EndTime)*1000+999
	if start > end {
		return nil, invalid("The end time is before the start time.")
	}
	parsed, err := insights.Parse(value(in.QueryString))
	var syntax *insights.SyntaxError
	if errors.As(err, &syntax) {
		malformed := api.NewMalformedQueryException(syntax.Text)
		malformed.QueryCompileError = &api.QueryCompileError{
			Message:  &syntax.Text,
			Location: &api.QueryCompileErrorLocation{StartCharOffset: wire.Ptr(int32(syntax.Start)), EndCharOffset: wire.Ptr(int32(syntax.End))},
		}
		return nil, malformed
	}
	if err != nil {
		return nil, err
	}
	q := &query{scope: scopeOf(call), groups: groups, text: value(in.QueryString), start: start, end: end, parsed: parsed, limit: insights.LimitDefault}
	if in.Limit != nil {
		q.limit = int(*in.Limit)
	}
	if err := c.queries.begin(q); err != nil {
		return nil, api.NewLimitExceededException(fmt.Sprintf("Account maximum query concurrency limit of [%d] reached.", queriesMax))
	}
	return &api.StartQueryResponse{QueryId: &q.id}, nil
}

// queriedGroups are the groups that a query names, which must be in one of three ways.
func (c *control) queriedGroups(ctx context.Context, call *wire.Call, in *api.StartQueryRequest) ([]string, error) {
	names, ways := in.LogGroupNames, 0
	if in.LogGroupName != nil {
		names, ways = []string{*in.LogGroupName}, ways+1
	}
	if in.LogGroupNames != nil {
		ways++
	}
	if in.LogGroupIdentifiers != nil {
		names, ways = in.LogGroupIdentifiers, ways+1
	}
	if ways != 1 || len(names) == 0 {
		return nil, invalid("Exactly one of logGroupName, logGroupNames, or logGroupIdentifiers must be specified.")
	}
	if len(names) > queriedGroupsMax {
		return nil, invalid(fmt.Sprintf("A query can have at most %d log groups.", queriedGroupsMax))
	}
	var groups []string
	for _, name := range names {
		group, err := groupOf(call, nil, &name)
		if err == nil {
			_, err = c.logs.Group(ctx, scopeOf(call), group)
		}
		if errors.Is(err, logs.ErrGroupNotFound) || err != nil && group == "" {
			return nil, api.NewResourceNotFoundException(fmt.Sprintf("Log group '%s' does not exist for account ID '%s'", name, call.Account))
		}
		if err != nil {
			return nil, fault(err)
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

func noQuery() error { return api.NewResourceNotFoundException("The specified query does not exist.") }

func (c *control) getQueryResults(_ context.Context, call *wire.Call, in *api.GetQueryResultsRequest) (*api.GetQueryResultsResponse, error) {
	q, ok := c.queries.find(scopeOf(call), value(in.QueryId))
	if !ok {
		return nil, noQuery()
	}
	from := 0
	if in.NextToken != nil {
		var err error
		if from, err = strconv.Atoi(*in.NextToken); err != nil || from < 0 || from > len(q.results) {
			return nil, invalid(badToken)
		}
	}
	most := insights.LimitDefault // and the model's maximum
	if n := int(value(in.MaxItems)); n > 0 {
		most = n
	}
	out := &api.GetQueryResultsResponse{
		QueryLanguage: wire.Ptr(queryLanguage),
		Status:        &q.status,
		Results:       [][]api.ResultField{},
		Statistics: &api.QueryStatistics{
			RecordsMatched: wire.Ptr(float64(q.scan.matched)), RecordsScanned: wire.Ptr(float64(q.scan.records)), BytesScanned: wire.Ptr(float64(q.scan.bytes)),
			EstimatedRecordsSkipped: wire.Ptr(0.0), EstimatedBytesSkipped: wire.Ptr(0.0), LogGroupsScanned: wire.Ptr(float64(len(q.groups))),
		},
	}
	for _, row := range q.results[from:min(from+most, len(q.results))] {
		fields := []api.ResultField{}
		for _, f := range row {
			fields = append(fields, api.ResultField{Field: wire.Ptr(f.Name), Value: wire.Ptr(f.Value)})
		}
		out.Results = append(out.Results, fields)
	}
	if from+most < len(q.results) {
		out.NextToken = wire.Ptr(strconv.Itoa(from + most))
	}
	return out, nil
}

func (c *control) stopQuery(_ context.Context, call *wire.Call, in *api.StopQueryRequest) (*api.StopQueryResponse, error) {
	stopped, found := c.queries.stop(scopeOf(call), value(in.QueryId))
	switch {
	case !found:
		return nil, noQuery()
	case !stopped: // Source: API reference, StopQuery: an ended query is an error
		return nil, invalid("The specified query is not running.")
	}
	return &api.StopQueryResponse{Success: wire.Ptr(true)}, nil
}

func (c *control) describeQueries(_ context.Context, call *wire.Call, in *api.DescribeQueriesRequest) (*api.DescribeQueriesResponse, error) {
	all := c.queries.list(scopeOf(call), func(q *query) bool {
		return (in.LogGroupName == nil || slices.Contains(q.groups, *in.LogGroupName)) &&
			(in.Status == nil || q.status == *in.Status) && (in.QueryLanguage == nil || *in.QueryLanguage == queryLanguage)
	})
	if in.NextToken != nil { // is the last one that was shown
		at := slices.IndexFunc(all, func(q query) bool { return q.id == *in.NextToken })
		if at < 0 {
			return nil, invalid(badToken)
		}
		all = all[at+1:]
	}
	most := describeDefault
	if in.MaxResults != nil {
		most = int(*in.MaxResults)
	}
	out := &api.DescribeQueriesResponse{Queries: []api.QueryInfo{}}
	for i, q := range all {
		if i == most {
			out.NextToken = wire.Ptr(all[i-1].id)
			break
		}
		out.Queries = append(out.Queries, shownQuery(q))
	}
	return out, nil
}

// shownQuery has the text with its groups and times before it, as AWS answers it (recorded: test_describe_queries).
func shownQuery(q query) api.QueryInfo {
	var source strings.Builder
	source.WriteString("SOURCE")
	for _, group := range q.groups {
		fmt.Fprintf(&source, " %q", group)
	}
	fmt.Fprintf(&source, " START=%d END=%d | %s", q.start, q.end, q.text)
	out := api.QueryInfo{
		QueryLanguage: wire.Ptr(queryLanguage), QueryId: &q.id, QueryString: wire.Ptr(source.String()),
		Status: &q.status, CreateTime: wire.Ptr(q.created.UnixMilli()),
	}
	if len(q.groups) == 1 {
		out.LogGroupName = &q.groups[0]
	}
	return out
}

// pointerTo is a text that finds an event again: its group, its stream and its id.
func pointerTo(group string, f logs.Found) string {
	return base64.StdEncoding.EncodeToString([]byte(group + "\x00" + f.Stream + "\x00" + f.ID()))
}

// getLogRecord answers with all fields of the event that a pointer in a query's results stands for.
func (c *control) getLogRecord(ctx context.Context, call *wire.Call, in *api.GetLogRecordRequest) (*api.GetLogRecordResponse, error) {
	text, err := base64.StdEncoding.DecodeString(value(in.LogRecordPointer))
	parts := strings.Split(string(text), "\x00")
	if err != nil || len(parts) != 3 {
		return nil, invalid("The specified log record pointer is invalid.")
	}
	group, stream, id := parts[0], parts[1], parts[2]
	at, ok := logs.TimeOfID(id)
	if !ok {
		return nil, invalid("The specified log record pointer is invalid.")
	}
	search := logs.Search{Streams: []string{stream}, Start: at, End: at + 1, Limit: queryPage}
	for {
		found, next, err := c.logs.Search(ctx, scopeOf(call), group, search)
		if err != nil {
			return nil, fault(err)
		}
		for _, f := range found {
			if f.ID() == id {
				return &api.GetLogRecordResponse{LogRecord: insights.Fields(eventOf(scopeOf(call), group, f))}, nil
			}
		}
		if search.Token = next; next == "" {
			return nil, api.NewResourceNotFoundException("The specified log record does not exist.")
		}
	}
}

// sampleSpan is how much of a group GetLogGroupFields looks at: up to the time asked for, or around it. Source: API reference.
const (
	sampleSpan = 15 * time.Minute
	sampleMax  = 1000
)

// getLogGroupFields tells which fields a group's events have, in how many percent of them.
func (c *control) getLogGroupFields(ctx context.Context, call *wire.Call, in *api.GetLogGroupFieldsRequest) (*api.GetLogGroupFieldsResponse, error) {
	group, err := groupOf(call, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	end := c.now()
	start := end.Add(-sampleSpan)
	if in.Time != nil { // seconds: eight minutes before and after
		at := time.Unix(*in.Time, 0)
		start, end = at.Add(-8*time.Minute), at.Add(8*time.Minute)
	}
	found, _, err := c.logs.Search(ctx, scopeOf(call), group, logs.Search{Start: start.UnixMilli(), End: end.UnixMilli() + 1, Limit: sampleMax})
	if err != nil {
		return nil, fault(err)
	}
	counts := map[string]int{}
	for _, f := range found {
		for name := range insights.Fields(eventOf(scopeOf(call), group, f)) {
			counts[name]++
		}
	}
	out := &api.GetLogGroupFieldsResponse{LogGroupFields: []api.LogGroupField{}}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out.LogGroupFields = append(out.LogGroupFields, api.LogGroupField{Name: &name, Percent: wire.Ptr(int32(counts[name] * 100 / len(found)))})
	}
	slices.SortStableFunc(out.LogGroupFields, func(a, b api.LogGroupField) int { return int(*b.Percent - *a.Percent) })
	return out, nil
}

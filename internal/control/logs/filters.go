package logs

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs/pattern"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *control) putMetricFilter(ctx context.Context, call *wire.Call, in *api.PutMetricFilterRequest) error {
	if _, err := pattern.Compile(value(in.FilterPattern)); err != nil {
		return invalid(err.Error())
	}
	t := in.MetricTransformations[0] // exactly one, as the model demands
	if t.DefaultValue != nil && len(t.Dimensions) > 0 {
		return invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	}
	if err := checkDimensions(t.Dimensions); err != nil {
		return err
	}
	if v := value(t.MetricValue); !strings.HasPrefix(v, "$") {
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return invalid("Invalid metric transformation: metricValue must be a valid number or a valid metric value reference.")
		}
	}
	return fault(c.logs.PutFilter(ctx, scopeOf(call), logs.MetricFilter{
		Name:      value(in.FilterName),
		Group:     value(in.LogGroupName),
		Pattern:   value(in.FilterPattern),
		Selection: value(in.FieldSelectionCriteria),
		Emit:      in.EmitSystemFieldDimensions,
		OnChanged: value(in.ApplyOnTransformedLogs),
		Metric: logs.Metric{
			Name:       value(t.MetricName),
			Namespace:  value(t.MetricNamespace),
			Value:      value(t.MetricValue),
			Default:    t.DefaultValue,
			Dimensions: t.Dimensions,
			Unit:       value(t.Unit),
		},
	}))
}

// dimensionsMax is how many dimensions a filter may give its metric. Source: API reference, MetricTransformation.
const dimensionsMax = 3

func checkDimensions(dimensions map[string]string) error {
	if len(dimensions) > dimensionsMax {
		return invalid(fmt.Sprintf("Invalid metric transformation: there can be at most %d dimensions.", dimensionsMax))
	}
	for _, field := range dimensions {
		if !strings.HasPrefix(field, "$") { // a field of the log event
			return invalid("Invalid metric transformation: the value of a dimension must be a valid metric value reference.")
		}
	}
	return nil
}

func (c *control) deleteMetricFilter(ctx context.Context, call *wire.Call, in *api.DeleteMetricFilterRequest) error {
	return fault(c.logs.DeleteFilter(ctx, scopeOf(call), value(in.LogGroupName), value(in.FilterName)))
}

func (c *control) describeMetricFilters(ctx context.Context, call *wire.Call, in *api.DescribeMetricFiltersRequest) (*api.DescribeMetricFiltersResponse, error) {
	if (in.MetricName == nil) != (in.MetricNamespace == nil) {
		return nil, invalid("If you include the metricName parameter in your request, you must also include the metricNamespace parameter.")
	}
	after, ok := decodeFilterToken(in.NextToken)
	if !ok {
		return nil, invalid(badToken)
	}
	filters, err := c.logs.Filters(ctx, scopeOf(call), value(in.LogGroupName), func(f logs.MetricFilter) bool {
		return strings.HasPrefix(f.Name, value(in.FilterNamePrefix)) &&
			(in.MetricName == nil || f.Metric.Name == *in.MetricName && f.Metric.Namespace == *in.MetricNamespace) &&
			(f.Name > after.Name || f.Name == after.Name && f.Group > after.Group)
	})
	if err != nil {
		return nil, fault(err)
	}
	limit := describeDefault
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &api.DescribeMetricFiltersResponse{MetricFilters: []api.MetricFilter{}}
	for i, f := range filters {
		if i == limit {
			out.NextToken = encodeFilterToken(filters[i-1])
			break
		}
		out.MetricFilters = append(out.MetricFilters, shownFilter(f))
	}
	return out, nil
}

// Names of filters and groups have no colon. Source: the model's patterns.
func encodeFilterToken(f logs.MetricFilter) *string {
	return wire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(f.Name + ":" + f.Group)))
}

func decodeFilterToken(token *string) (after logs.MetricFilter, ok bool) {
	if token == nil {
		return after, true
	}
	b, err := base64.RawURLEncoding.DecodeString(*token)
	if err != nil {
		return after, false
	}
	after.Name, after.Group, ok = strings.Cut(string(b), ":")
	return after, ok
}

func shownFilter(f logs.MetricFilter) api.MetricFilter {
	t := api.MetricTransformation{
		MetricName:      &f.Metric.Name,
		MetricNamespace: &f.Metric.Namespace,
		MetricValue:     &f.Metric.Value,
		DefaultValue:    f.Metric.Default,
		Dimensions:      f.Metric.Dimensions,
	}
	if f.Metric.Unit != "" {
		t.Unit = &f.Metric.Unit
	}
	out := api.MetricFilter{
		FilterName:                &f.Name,
		FilterPattern:             &f.Pattern,
		CreationTime:              &f.Created,
		LogGroupName:              &f.Group,
		MetricTransformations:     []api.MetricTransformation{t},
		ApplyOnTransformedLogs:    &f.OnChanged,
		EmitSystemFieldDimensions: f.Emit,
	}
	if f.Selection != "" {
		out.FieldSelectionCriteria = &f.Selection
	}
	return out
}

func (c *control) testMetricFilter(_ context.Context, _ *wire.Call, in *api.TestMetricFilterRequest) (*api.TestMetricFilterResponse, error) {
	p, err := pattern.Compile(value(in.FilterPattern))
	if err != nil {
		return nil, invalid(err.Error())
	}
	out := &api.TestMetricFilterResponse{Matches: []api.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if values, ok := p.Extract(message); ok {
			out.Matches = append(out.Matches, api.MetricFilterMatchRecord{
				EventNumber: wire.Ptr(int64(i + 1)), EventMessage: wire.Ptr(message), ExtractedValues: values,
			})
		}
	}
	return out, nil
}

package logs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// putQueryDefinition keeps a query's text; whether it is a query, StartQuery finds.
func (c *control) putQueryDefinition(ctx context.Context, call *wire.Call, in *api.PutQueryDefinitionRequest) (*api.PutQueryDefinitionResponse, error) {
	if l := value(in.QueryLanguage); l != "" && l != queryLanguage {
		return nil, invalid("The query language " + l + " is not supported here; use " + queryLanguage + ".")
	}
	if len(in.Parameters) > 0 {
		return nil, invalid("Parameters of query definitions are not supported here.")
	}
	d := logs.QueryDefinition{ID: value(in.QueryDefinitionId), Name: value(in.Name), Text: value(in.QueryString), Groups: in.LogGroupNames}
	replace := d.ID != ""
	if !replace {
		d.ID = string(aws.NewRequestID())
	}
	if strings.Contains(d.ID, "/") {
		return nil, fault(logs.ErrDefinitionNotFound)
	}
	if err := c.logs.PutDefinition(ctx, scopeOf(call), d, replace); err != nil {
		return nil, fault(err)
	}
	return &api.PutQueryDefinitionResponse{QueryDefinitionId: &d.ID}, nil
}

func (c *control) deleteQueryDefinition(ctx context.Context, call *wire.Call, in *api.DeleteQueryDefinitionRequest) (*api.DeleteQueryDefinitionResponse, error) {
	if err := c.logs.DeleteDefinition(ctx, scopeOf(call), value(in.QueryDefinitionId)); err != nil {
		return nil, fault(err)
	}
	return &api.DeleteQueryDefinitionResponse{Success: wire.Ptr(true)}, nil
}

// describeQueryDefinitions lists by name. The token is the last id that was shown.
func (c *control) describeQueryDefinitions(ctx context.Context, call *wire.Call, in *api.DescribeQueryDefinitionsRequest) (*api.DescribeQueryDefinitionsResponse, error) {
	all, err := c.logs.Definitions(ctx, scopeOf(call), func(d logs.QueryDefinition) bool {
		return strings.HasPrefix(d.Name, value(in.QueryDefinitionNamePrefix)) && (in.QueryLanguage == nil || *in.QueryLanguage == queryLanguage)
	})
	if err != nil {
		return nil, fault(err)
	}
	slices.SortFunc(all, func(a, b logs.QueryDefinition) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	if in.NextToken != nil {
		at := slices.IndexFunc(all, func(d logs.QueryDefinition) bool { return d.ID == *in.NextToken })
		if at < 0 {
			return nil, invalid(badToken)
		}
		all = all[at+1:]
	}
	most := len(all)
	if in.MaxResults != nil {
		most = int(*in.MaxResults)
	}
	out := &api.DescribeQueryDefinitionsResponse{QueryDefinitions: []api.QueryDefinition{}}
	for i, d := range all {
		if i == most {
			out.NextToken = &all[i-1].ID
			break
		}
		groups := d.Groups
		if groups == nil {
			groups = []string{}
		}
		out.QueryDefinitions = append(out.QueryDefinitions, api.QueryDefinition{
			QueryLanguage: wire.Ptr(queryLanguage), QueryDefinitionId: &d.ID, Name: &d.Name, QueryString: &d.Text, LastModified: &d.Modified, LogGroupNames: groups,
		})
	}
	return out, nil
}

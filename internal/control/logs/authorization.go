package logs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
)

// Authorizer decides whether the caller may do an action on a resource. It
// returns the fault to answer, nil to go on.
type Authorizer interface {
	AuthorizeAccess(ctx context.Context, call *wire.Call, access iam.Access) error
}

// anyResource is the resource of actions that have none.
const anyResource = "*"

// demand is what a caller must be allowed to do for a request.
type demand struct {
	resource   string
	group      string // whose tags are condition keys, "" for none
	conditions map[string][]string
}

// authorizeCall runs before the request is validated.
func (c *control) authorizeCall(ctx context.Context, call *wire.Call, operation string, in any) error {
	if c.authorize == nil {
		return c.beforeValidation(in)
	}
	policies, err := c.logs.Policies(ctx, scopeOf(call))
	if err != nil {
		return fault(err)
	}
	may := func(action string, d demand) error {
		access := iam.Access{Action: action, Resource: d.resource, Conditions: d.conditions}
		for _, p := range policies {
			access.ResourcePolicies = append(access.ResourcePolicies, p.Document)
		}
		return c.authorize.AuthorizeAccess(ctx, call, access)
	}
	for _, d := range c.demands(call, in) {
		if d.group != "" {
			if g, err := c.logs.Group(ctx, scopeOf(call), d.group); err == nil {
				for key, v := range g.Tags {
					d.conditions["aws:ResourceTag/"+key] = []string{v}
				}
			}
		}
		if err := may("logs:"+operation, d); err != nil {
			return err
		}
	}
	// Source: API reference, CreateLogGroup, tags: who creates a tagged group must be
	// allowed to tag it.
	if create, ok := in.(*api.CreateLogGroupRequest); ok && len(create.Tags) > 0 {
		if err := may("logs:TagResource", c.onTags(call, value(create.LogGroupName), create.Tags, nil)); err != nil {
			return err
		}
	}
	return c.beforeValidation(in)
}

// nameRunesMax is what the model allows for names of groups.
const nameRunesMax = 512

// beforeValidation answers what AWS answers in words of its own where the model
// too has a constraint (recorded: delete_metric_filter_invalid_log_group_name).
func (c *control) beforeValidation(in any) error {
	if in, ok := in.(*api.DeleteMetricFilterRequest); ok && utf8.RuneCountInString(value(in.LogGroupName)) > nameRunesMax {
		return invalid("Invalid LogGroup or LogStream, both must have length less than or equal to 512.")
	}
	return nil
}

// demands are what a request needs, mostly one.
func (c *control) demands(call *wire.Call, in any) (all []demand) {
	query, ok := in.(*api.StartQueryRequest)
	if !ok {
		return []demand{c.demanded(call, in)}
	}
	names := slices.Concat([]string{value(query.LogGroupName)}, query.LogGroupNames, query.LogGroupIdentifiers)
	for _, name := range names[:min(len(names), queriedGroupsMax+2)] { // more are refused
		if name != "" {
			all = append(all, c.onGroup(call, nil, &name))
		}
	}
	if len(all) == 0 {
		all = []demand{c.onGroup(call, nil, nil)}
	}
	return all
}

// demanded follows the Service Authorization Reference, "Actions, resources, and
// condition keys for Amazon CloudWatch Logs". For tags a group's ARN is without
// more; for all else something follows it, so that it is matched by the policies that
// end in ":*", as the User Guide tells to write them.
func (c *control) demanded(call *wire.Call, in any) demand {
	switch in := in.(type) {
	case *api.CreateLogGroupRequest:
		d := c.onGroup(call, in.LogGroupName, nil)
		maps.Copy(d.conditions, requestTags(in.Tags))
		return d
	case *api.DeleteLogGroupRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.PutLogGroupDeletionProtectionRequest:
		return c.onGroup(call, nil, in.LogGroupIdentifier)
	case *api.PutRetentionPolicyRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.DeleteRetentionPolicyRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.DescribeLogStreamsRequest:
		return c.onGroup(call, in.LogGroupName, in.LogGroupIdentifier)
	case *api.FilterLogEventsRequest:
		return c.onGroup(call, in.LogGroupName, in.LogGroupIdentifier)
	case *api.PutMetricFilterRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.DeleteMetricFilterRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.DescribeMetricFiltersRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.PutSubscriptionFilterRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.DeleteSubscriptionFilterRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.DescribeSubscriptionFiltersRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.CreateExportTaskRequest:
		return c.onGroup(call, in.LogGroupName, nil)
	case *api.GetLogGroupFieldsRequest:
		return c.onGroup(call, in.LogGroupName, in.LogGroupIdentifier)
	case *api.DescribeLogGroupsRequest:
		return c.onGroup(call, nil, nil)
	case *api.CreateLogStreamRequest:
		return c.onStream(call, in.LogGroupName, nil, in.LogStreamName)
	case *api.DeleteLogStreamRequest:
		return c.onStream(call, in.LogGroupName, nil, in.LogStreamName)
	case *api.PutLogEventsRequest:
		return c.onStream(call, in.LogGroupName, nil, in.LogStreamName)
	case *api.GetLogEventsRequest:
		return c.onStream(call, in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName)
	case *api.TagLogGroupRequest:
		return c.onTags(call, value(in.LogGroupName), in.Tags, nil)
	case *api.UntagLogGroupRequest:
		return c.onTags(call, value(in.LogGroupName), nil, in.Tags)
	case *api.ListTagsLogGroupRequest:
		return c.onTags(call, value(in.LogGroupName), nil, nil)
	case *api.TagResourceRequest:
		return c.onARN(call, in.ResourceArn, in.Tags, nil)
	case *api.UntagResourceRequest:
		return c.onARN(call, in.ResourceArn, nil, in.TagKeys)
	case *api.ListTagsForResourceRequest:
		return c.onARN(call, in.ResourceArn, nil, nil)
	default:
		// TestMetricFilter has no resource; one that is built later is not open by accident.
		return demand{resource: anyResource, conditions: map[string][]string{}}
	}
}

func (c *control) onGroup(call *wire.Call, name, identifier *string) demand {
	return c.onStream(call, name, identifier, nil)
}

func (c *control) onStream(call *wire.Call, name, identifier, stream *string) demand {
	group := value(name)
	if group == "" {
		group = value(identifier)
	}
	if strings.HasPrefix(group, "arn:") {
		var ok bool
		if group, ok = groupOfARN(scopeOf(call), group); !ok {
			// Another account's or none: the rights are asked on what was said.
			return demand{resource: value(identifier), conditions: map[string][]string{}}
		}
	}
	return demand{
		resource:   streamARN(scopeOf(call), group, value(stream)),
		group:      group,
		conditions: map[string][]string{},
	}
}

func (c *control) onTags(call *wire.Call, group string, tags map[string]string, keys []string) demand {
	d := demand{resource: groupARN(scopeOf(call), group), group: group, conditions: requestTags(tags)}
	if len(keys) > 0 {
		d.conditions["aws:TagKeys"] = keys
	}
	return d
}

func (c *control) onARN(call *wire.Call, arn *string, tags map[string]string, keys []string) demand {
	group, ok := groupOfARN(scopeOf(call), value(arn))
	d := c.onTags(call, group, tags, keys)
	if !ok {
		d.resource, d.group = value(arn), ""
		if d.resource == "" {
			d.resource = anyResource
		}
	}
	return d
}

func requestTags(tags map[string]string) map[string][]string {
	out := make(map[string][]string)
	if len(tags) == 0 {
		return out
	}
	out["aws:TagKeys"] = slices.Sorted(maps.Keys(tags))
	for key, v := range tags {
		out["aws:RequestTag/"+key] = []string{v}
	}
	return out
}

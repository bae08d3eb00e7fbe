package logs

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// describeDefault is how many groups, streams or filters a page has when the
// request does not say. Source: API reference, "Default: 50 items".
const describeDefault = 50

// reservedPrefix begins no user's group. Source: API reference, CreateLogGroup ("Log
// group names can't start with the string aws/").
const reservedPrefix = "aws/"

// retentionDays are the allowed ones. Source: API reference, PutRetentionPolicy.
var retentionDays = [...]int32{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731,
	1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

func (c *control) createLogGroup(ctx context.Context, call *wire.Call, in *api.CreateLogGroupRequest) error {
	if strings.HasPrefix(strings.ToLower(value(in.LogGroupName)), reservedPrefix) {
		return invalid("Log groups starting with AWS/ are reserved for AWS.")
	}
	if in.KmsKeyId != nil {
		return invalid("The specified KMS Key Id could not be found.") // there is no KMS here
	}
	class := value(in.LogGroupClass)
	if class == "" {
		class = api.LogGroupClassStandard
	}
	if class != api.LogGroupClassStandard {
		return invalid("Log group class " + class + " is not supported in this region.")
	}
	if err := checkTags(in.Tags); err != nil {
		return err
	}
	return fault(c.logs.CreateGroup(ctx, scopeOf(call), logs.Group{
		Name:      value(in.LogGroupName),
		Class:     class,
		Tags:      in.Tags,
		Protected: value(in.DeletionProtectionEnabled),
	}))
}

func (c *control) deleteLogGroup(ctx context.Context, call *wire.Call, in *api.DeleteLogGroupRequest) error {
	return fault(c.logs.DeleteGroup(ctx, scopeOf(call), value(in.LogGroupName), func(g logs.Group) error {
		if g.Protected {
			return api.NewValidationException("Deletion protection is enabled for this log group. Disable it before deleting the log group.")
		}
		return nil
	}))
}

func (c *control) putLogGroupDeletionProtection(ctx context.Context, call *wire.Call, in *api.PutLogGroupDeletionProtectionRequest) error {
	name, err := groupOf(call, nil, in.LogGroupIdentifier)
	if err != nil {
		return err
	}
	return c.update(ctx, call, name, func(g *logs.Group) error {
		g.Protected = value(in.DeletionProtectionEnabled)
		return nil
	})
}

func (c *control) putRetentionPolicy(ctx context.Context, call *wire.Call, in *api.PutRetentionPolicyRequest) error {
	days := value(in.RetentionInDays)
	if !slices.Contains(retentionDays[:], days) {
		allowed := make([]string, len(retentionDays))
		for i, d := range retentionDays {
			allowed[i] = strconv.Itoa(int(d))
		}
		return invalid(fmt.Sprintf("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
			days, strings.Join(allowed, ", ")))
	}
	return c.update(ctx, call, value(in.LogGroupName), func(g *logs.Group) error {
		g.RetentionDays = int(days)
		return nil
	})
}

func (c *control) deleteRetentionPolicy(ctx context.Context, call *wire.Call, in *api.DeleteRetentionPolicyRequest) error {
	return c.update(ctx, call, value(in.LogGroupName), func(g *logs.Group) error {
		g.RetentionDays = 0
		return nil
	})
}

func (c *control) update(ctx context.Context, call *wire.Call, name string, change func(*logs.Group) error) error {
	return fault(c.logs.UpdateGroup(ctx, scopeOf(call), name, change))
}

func (c *control) describeLogGroups(ctx context.Context, call *wire.Call, in *api.DescribeLogGroupsRequest) (*api.DescribeLogGroupsResponse, error) {
	if in.LogGroupNamePrefix != nil && in.LogGroupNamePattern != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	if len(in.LogGroupIdentifiers) > 0 && (in.LogGroupNamePrefix != nil || in.LogGroupNamePattern != nil) {
		return nil, invalid("LogGroup identifiers and LogGroup name prefix or pattern are mutually exclusive parameters.")
	}
	match, err := groupMatcher(call, in)
	if err != nil {
		return nil, err
	}
	after, ok := decodeName(in.NextToken)
	if !ok {
		return nil, invalid(badToken)
	}
	limit := describeDefault
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &api.DescribeLogGroupsResponse{LogGroups: []api.LogGroup{}}
	var page []logs.Group
	err = c.logs.Groups(ctx, scopeOf(call), value(in.LogGroupNamePrefix), after, func(g logs.Group) bool {
		if !match(g) {
			return true
		}
		if len(page) == limit {
			out.NextToken = encodeName(page[limit-1].Name)
			return false
		}
		page = append(page, g)
		return true
	})
	for i := range page {
		if err == nil {
			var shown api.LogGroup
			shown, err = c.shownGroup(ctx, scopeOf(call), page[i])
			out.LogGroups = append(out.LogGroups, shown)
		}
	}
	return out, fault(err)
}

func groupMatcher(call *wire.Call, in *api.DescribeLogGroupsRequest) (func(logs.Group) bool, error) {
	var named map[string]bool
	if len(in.LogGroupIdentifiers) > 0 {
		named = make(map[string]bool)
		for _, id := range in.LogGroupIdentifiers {
			name, err := groupOf(call, nil, &id)
			if err != nil {
				return nil, err
			}
			named[name] = true
		}
	}
	elsewhere := len(in.AccountIdentifiers) > 0 && !slices.Contains(in.AccountIdentifiers, string(call.Account))
	return func(g logs.Group) bool {
		return !elsewhere && (named == nil || named[g.Name]) &&
			strings.Contains(g.Name, value(in.LogGroupNamePattern)) &&
			(in.LogGroupClass == nil || *in.LogGroupClass == g.Class)
	}, nil
}

func (c *control) shownGroup(ctx context.Context, s logs.Scope, g logs.Group) (api.LogGroup, error) {
	out := api.LogGroup{
		LogGroupName:      &g.Name,
		CreationTime:      &g.Created,
		MetricFilterCount: wire.Ptr(int32(g.Filters)),
		Arn:               wire.Ptr(groupARN(s, g.Name) + ":*"),
		LogGroupArn:       wire.Ptr(groupARN(s, g.Name)),
		LogGroupClass:     &g.Class,
	}
	if g.RetentionDays > 0 {
		out.RetentionInDays = wire.Ptr(int32(g.RetentionDays))
	}
	if g.Protected {
		out.DeletionProtectionEnabled = &g.Protected
	}
	// A group that never had events was recorded without the member.
	stored, err := c.logs.StoredBytes(ctx, g)
	if stored > 0 {
		out.StoredBytes = &stored
	}
	return out, err
}

// encodeName makes a page's token of its last name.
func encodeName(name string) *string {
	return wire.Ptr(base64.RawURLEncoding.EncodeToString([]byte(name)))
}

func decodeName(token *string) (string, bool) {
	name, err := base64.RawURLEncoding.DecodeString(value(token))
	return string(name), err == nil
}

package logs

import (
	"context"
	"maps"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/logs"
	"github.com/lambdad/lambdad/internal/telemetry/logs"
	"github.com/lambdad/lambdad/internal/wire"
)

// tagsMax is the quota of tags on a group. Source: CloudWatch Logs User Guide,
// "Tag log groups".
const tagsMax = 50

// tagKeyReserved begins keys that only AWS sets.
const tagKeyReserved = "aws:"

func checkTags(tags map[string]string) error {
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), tagKeyReserved) {
			return invalid("User-defined tag keys can't start with aws:.")
		}
	}
	return nil
}

// tag adds tags to a group; full makes the error of one that would have too many.
func (c *control) tag(ctx context.Context, call *wire.Call, group string, tags map[string]string, full func() error) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return c.update(ctx, call, group, func(g *logs.Group) error {
		all := maps.Clone(g.Tags)
		if all == nil {
			all = make(map[string]string)
		}
		maps.Copy(all, tags)
		if len(all) > tagsMax {
			return full()
		}
		g.Tags = all
		return nil
	})
}

func (c *control) untag(ctx context.Context, call *wire.Call, group string, keys []string) error {
	return c.update(ctx, call, group, func(g *logs.Group) error {
		g.Tags = maps.Clone(g.Tags)
		for _, key := range keys {
			delete(g.Tags, key)
		}
		return nil
	})
}

func (c *control) tags(ctx context.Context, call *wire.Call, group string) (map[string]string, error) {
	g, err := c.logs.Group(ctx, scopeOf(call), group)
	if err != nil {
		return nil, fault(err)
	}
	if g.Tags == nil {
		return map[string]string{}, nil // shown even when there are none
	}
	return g.Tags, nil
}

func (c *control) tagLogGroup(ctx context.Context, call *wire.Call, in *api.TagLogGroupRequest) error {
	return c.tag(ctx, call, value(in.LogGroupName), in.Tags, func() error {
		return invalid("The maximum number of tags per resource has been reached.")
	})
}

func (c *control) untagLogGroup(ctx context.Context, call *wire.Call, in *api.UntagLogGroupRequest) error {
	return c.untag(ctx, call, value(in.LogGroupName), in.Tags)
}

func (c *control) listTagsLogGroup(ctx context.Context, call *wire.Call, in *api.ListTagsLogGroupRequest) (*api.ListTagsLogGroupResponse, error) {
	tags, err := c.tags(ctx, call, value(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	return &api.ListTagsLogGroupResponse{Tags: tags}, nil
}

func (c *control) tagResource(ctx context.Context, call *wire.Call, in *api.TagResourceRequest) error {
	group, err := tagged(call, in.ResourceArn)
	if err != nil {
		return err
	}
	return c.tag(ctx, call, group, in.Tags, func() error {
		return api.NewTooManyTagsException("The maximum number of tags per resource has been reached.")
	})
}

func (c *control) untagResource(ctx context.Context, call *wire.Call, in *api.UntagResourceRequest) error {
	group, err := tagged(call, in.ResourceArn)
	if err != nil {
		return err
	}
	return c.untag(ctx, call, group, in.TagKeys)
}

func (c *control) listTagsForResource(ctx context.Context, call *wire.Call, in *api.ListTagsForResourceRequest) (*api.ListTagsForResourceResponse, error) {
	group, err := tagged(call, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := c.tags(ctx, call, group)
	if err != nil {
		return nil, err
	}
	return &api.ListTagsForResourceResponse{Tags: tags}, nil
}

// tagged returns the group of an ARN; groups are the only resources here that
// have tags.
func tagged(call *wire.Call, arn *string) (string, error) {
	group, ok := groupOfARN(scopeOf(call), value(arn))
	if !ok {
		return "", api.NewResourceNotFoundException("The specified resource does not exist.")
	}
	return group, nil
}

package iam

import (
	"context"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// tagsMax is AWS's quota of tags on one resource.
const tagsMax = 50

func (c *Control) tags(h *api.Handlers) {
	h.TagUser = func(ctx context.Context, call *wire.Call, in *api.TagUserRequest) error {
		return c.tagHolder(ctx, holderName{iam.KindUser, call.Account, in.UserName}, in.Tags, nil)
	}
	h.UntagUser = func(ctx context.Context, call *wire.Call, in *api.UntagUserRequest) error {
		return c.tagHolder(ctx, holderName{iam.KindUser, call.Account, in.UserName}, nil, in.TagKeys)
	}
	h.TagRole = func(ctx context.Context, call *wire.Call, in *api.TagRoleRequest) error {
		return c.tagHolder(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, in.Tags, nil)
	}
	h.UntagRole = func(ctx context.Context, call *wire.Call, in *api.UntagRoleRequest) error {
		return c.tagHolder(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, nil, in.TagKeys)
	}
	h.TagPolicy = func(ctx context.Context, call *wire.Call, in *api.TagPolicyRequest) error {
		return c.changePolicy(ctx, call, text(in.PolicyArn), func(p *iam.Policy) error { return retag(&p.Entity, in.Tags, nil) })
	}
	h.UntagPolicy = func(ctx context.Context, call *wire.Call, in *api.UntagPolicyRequest) error {
		return c.changePolicy(ctx, call, text(in.PolicyArn), func(p *iam.Policy) error { return retag(&p.Entity, nil, in.TagKeys) })
	}
	h.TagInstanceProfile = func(ctx context.Context, call *wire.Call, in *api.TagInstanceProfileRequest) error {
		return c.tagProfile(ctx, call, in.InstanceProfileName, in.Tags, nil)
	}
	h.UntagInstanceProfile = func(ctx context.Context, call *wire.Call, in *api.UntagInstanceProfileRequest) error {
		return c.tagProfile(ctx, call, in.InstanceProfileName, nil, in.TagKeys)
	}
	h.ListUserTags = func(ctx context.Context, call *wire.Call, in *api.ListUserTagsRequest) (*api.ListUserTagsResponse, error) {
		u, _, err := c.findUser(ctx, call.Account, text(in.UserName))
		if err != nil {
			return nil, err
		}
		p, err := pageTags(u.Value.Tags, in.Marker, in.MaxItems)
		return &api.ListUserTagsResponse{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
	}
	h.ListRoleTags = func(ctx context.Context, call *wire.Call, in *api.ListRoleTagsRequest) (*api.ListRoleTagsResponse, error) {
		r, _, err := c.findRole(ctx, call.Account, text(in.RoleName))
		if err != nil {
			return nil, err
		}
		p, err := pageTags(r.Value.Tags, in.Marker, in.MaxItems)
		return &api.ListRoleTagsResponse{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
	}
	h.ListPolicyTags = func(ctx context.Context, call *wire.Call, in *api.ListPolicyTagsRequest) (*api.ListPolicyTagsResponse, error) {
		found, _, err := c.findPolicy(ctx, call.Account, text(in.PolicyArn), notFound(text(in.PolicyArn)))
		if err != nil {
			return nil, err
		}
		p, err := pageTags(found.Value.Tags, in.Marker, in.MaxItems)
		return &api.ListPolicyTagsResponse{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
	}
	h.ListInstanceProfileTags = func(ctx context.Context, call *wire.Call, in *api.ListInstanceProfileTagsRequest) (*api.ListInstanceProfileTagsResponse, error) {
		found, _, err := c.findProfile(ctx, call.Account, text(in.InstanceProfileName))
		if err != nil {
			return nil, err
		}
		p, err := pageTags(found.Value.Tags, in.Marker, in.MaxItems)
		return &api.ListInstanceProfileTagsResponse{Tags: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
	}
}

func (c *Control) tagHolder(ctx context.Context, who holderName, put []api.Tag, remove []string) error {
	return c.changeAnyHolder(ctx, who, func(_ context.Context, h *holder) ([]store.Write, error) { return nil, retag(h.entity, put, remove) })
}

func (c *Control) tagProfile(ctx context.Context, call *wire.Call, name *string, put []api.Tag, remove []string) error {
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.Profile], string, error) {
		return c.findProfile(ctx, call.Account, text(name))
	}, func(p *iam.Profile) ([]store.Write, error) { return nil, retag(&p.Entity, put, remove) })
}

func retag(e *iam.Entity, put []api.Tag, remove []string) error {
	tags, err := mergeTags(e.Tags, put)
	if err != nil {
		return err
	}
	e.Tags = slices.DeleteFunc(tags, func(t iam.Tag) bool {
		return slices.ContainsFunc(remove, func(key string) bool { return strings.EqualFold(key, t.Key) })
	})
	return nil
}

// mergeTags puts tags on top of others. Keys know no case.
func mergeTags(have []iam.Tag, put []api.Tag) ([]iam.Tag, error) {
	out := slices.Clone(have)
	seen := map[string]bool{}
	for _, t := range put {
		key := text(t.Key)
		if seen[strings.ToLower(key)] {
			return nil, api.NewInvalidInputException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[strings.ToLower(key)] = true
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, api.NewInvalidInputException("Invalid tag key: " + key + ". Tag keys must not begin with aws:.")
		}
		tag := iam.Tag{Key: key, Value: text(t.Value)}
		if i := slices.IndexFunc(out, func(o iam.Tag) bool { return strings.EqualFold(o.Key, key) }); i >= 0 {
			out[i] = tag
		} else {
			out = append(out, tag)
		}
	}
	if len(out) > tagsMax {
		return nil, exceeded("The number of tags has reached the maximum limit.")
	}
	return out, nil
}

// tagShapes is nil without tags: AWS leaves the list out.
func tagShapes(tags []iam.Tag) []api.Tag {
	var out []api.Tag
	for _, t := range tags {
		out = append(out, api.Tag{Key: &t.Key, Value: &t.Value})
	}
	return out
}

func pageTags(tags []iam.Tag, marker *string, maxItems *int32) (page[api.Tag], error) {
	shapes := append([]api.Tag{}, tagShapes(tags)...)
	slices.SortFunc(shapes, func(a, b api.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return pageSorted(shapes, marker, maxItems, func(t api.Tag) string { return *t.Key })
}

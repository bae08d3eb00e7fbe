package iam

import (
	"context"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) profiles(h *api.Handlers) {
	h.CreateInstanceProfile, h.GetInstanceProfile, h.DeleteInstanceProfile = c.createProfile, c.getProfile, c.deleteProfile
	h.ListInstanceProfiles, h.ListInstanceProfilesForRole = c.listProfiles, c.listProfilesForRole
	h.AddRoleToInstanceProfile, h.RemoveRoleFromInstanceProfile = c.addRoleToProfile, c.removeRoleFromProfile
}

func (c *Control) profileShape(ctx context.Context, p *iam.Profile, whole bool) (*api.InstanceProfile, error) {
	out := &api.InstanceProfile{
		Path: &p.Path, InstanceProfileName: &p.Name, InstanceProfileId: &p.ID, Arn: wire.Ptr(p.ARN()), CreateDate: &p.Created, Roles: []api.Role{},
	}
	if whole {
		out.Tags = tagShapes(p.Tags)
	}
	for _, name := range p.Roles {
		r, _, err := c.findRole(ctx, p.Account, name)
		if err != nil {
			return nil, err
		}
		shape := c.roleShape(r.Value)
		shape.MaxSessionDuration = nil // not told inside a profile
		out.Roles = append(out.Roles, *shape)
	}
	return out, nil
}

func (c *Control) createProfile(ctx context.Context, call *wire.Call, in *api.CreateInstanceProfileRequest) (*api.CreateInstanceProfileResponse, error) {
	e, err := entity(c, call, in.InstanceProfileName, in.Path, iam.PrefixProfile, in.Tags)
	if err != nil {
		return nil, err
	}
	p := &iam.Profile{Entity: e}
	if err := c.create(ctx, iam.Key(iam.KindProfile, call.Account, p.Name), p, taken("Instance Profile %s already exists.", p.Name), nil); err != nil {
		return nil, err
	}
	out, err := c.profileShape(ctx, p, true)
	return &api.CreateInstanceProfileResponse{InstanceProfile: out}, err
}

func (c *Control) getProfile(ctx context.Context, call *wire.Call, in *api.GetInstanceProfileRequest) (*api.GetInstanceProfileResponse, error) {
	p, _, err := c.findProfile(ctx, call.Account, text(in.InstanceProfileName))
	if err != nil {
		return nil, err
	}
	out, err := c.profileShape(ctx, p.Value, true)
	return &api.GetInstanceProfileResponse{InstanceProfile: out}, err
}

func (c *Control) deleteProfile(ctx context.Context, call *wire.Call, in *api.DeleteInstanceProfileRequest) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		p, key, err := c.findProfile(ctx, call.Account, text(in.InstanceProfileName))
		if err != nil {
			return nil, err
		}
		if len(p.Value.Roles) > 0 {
			return nil, conflict("Cannot delete entity, must remove roles from instance profile first.")
		}
		return []store.Write{iam.Drop(key, store.IfRevision(p.Revision))}, nil
	})
}

func (c *Control) listProfiles(ctx context.Context, call *wire.Call, in *api.ListInstanceProfilesRequest) (*api.ListInstanceProfilesResponse, error) {
	p, err := pageRecords(ctx, c, iam.KindProfile, call.Account, in.Marker, in.MaxItems,
		func(p *iam.Profile) *iam.Entity { return &p.Entity }, func(p *iam.Profile) bool { return under(p.Path, in.PathPrefix) })
	if err != nil {
		return nil, err
	}
	out := &api.ListInstanceProfilesResponse{InstanceProfiles: []api.InstanceProfile{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, item := range p.items {
		shape, err := c.profileShape(ctx, item, false)
		if err != nil {
			return nil, err
		}
		out.InstanceProfiles = append(out.InstanceProfiles, *shape)
	}
	return out, nil
}

func (c *Control) listProfilesForRole(ctx context.Context, call *wire.Call, in *api.ListInstanceProfilesForRoleRequest) (*api.ListInstanceProfilesForRoleResponse, error) {
	r, _, err := c.findRole(ctx, call.Account, text(in.RoleName))
	if err != nil {
		return nil, err
	}
	p, err := pageSorted(slices.Sorted(slices.Values(r.Value.Profiles)), in.Marker, in.MaxItems, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	out := &api.ListInstanceProfilesForRoleResponse{InstanceProfiles: []api.InstanceProfile{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, name := range p.items {
		item, _, err := c.findProfile(ctx, call.Account, name)
		if err != nil {
			return nil, err
		}
		shape, err := c.profileShape(ctx, item.Value, false)
		if err != nil {
			return nil, err
		}
		out.InstanceProfiles = append(out.InstanceProfiles, *shape)
	}
	return out, nil
}

func (c *Control) addRoleToProfile(ctx context.Context, call *wire.Call, in *api.AddRoleToInstanceProfileRequest) error {
	return c.profileRole(ctx, call, in.InstanceProfileName, in.RoleName, func(p *iam.Profile, r *iam.Role) error {
		if len(p.Roles) > 0 {
			return exceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
		}
		p.Roles, r.Profiles = append(p.Roles, r.Name), append(r.Profiles, p.Name)
		return nil
	})
}

func (c *Control) removeRoleFromProfile(ctx context.Context, call *wire.Call, in *api.RemoveRoleFromInstanceProfileRequest) error {
	return c.profileRole(ctx, call, in.InstanceProfileName, in.RoleName, func(p *iam.Profile, r *iam.Role) error {
		if !slices.Contains(p.Roles, r.Name) {
			return noSuch("The role with name %s cannot be found.", r.Name)
		}
		p.Roles, r.Profiles = without(p.Roles, r.Name), without(r.Profiles, p.Name)
		return nil
	})
}

// profileRole changes a profile and a role in one step.
func (c *Control) profileRole(ctx context.Context, call *wire.Call, profile, role *string, f func(*iam.Profile, *iam.Role) error) error {
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.Profile], string, error) {
		return c.findProfile(ctx, call.Account, text(profile))
	}, func(p *iam.Profile) ([]store.Write, error) {
		r, key, err := c.findRole(ctx, call.Account, text(role))
		if err != nil {
			return nil, err
		}
		if err := modifiable(r.Value); err != nil {
			return nil, err
		}
		if err := f(p, r.Value); err != nil {
			return nil, err
		}
		w, err := iam.Put(key, r.Value, store.IfRevision(r.Revision))
		return []store.Write{w}, err
	})
}

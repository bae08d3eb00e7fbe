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

// groupsMax is AWS's quota of groups of one user.
const groupsMax = 10

func (c *Control) groups(h *api.Handlers) {
	h.CreateGroup, h.GetGroup, h.UpdateGroup, h.DeleteGroup, h.ListGroups = c.createGroup, c.getGroup, c.updateGroup, c.deleteGroup, c.listGroups
	h.AddUserToGroup, h.RemoveUserFromGroup, h.ListGroupsForUser = c.addUserToGroup, c.removeUserFromGroup, c.listGroupsForUser
}

func groupShape(g *iam.Group) *api.Group {
	return &api.Group{Path: &g.Path, GroupName: &g.Name, GroupId: &g.ID, Arn: wire.Ptr(g.ARN()), CreateDate: &g.Created}
}

func (c *Control) createGroup(ctx context.Context, call *wire.Call, in *api.CreateGroupRequest) (*api.CreateGroupResponse, error) {
	e, err := entity(c, call, in.GroupName, in.Path, iam.PrefixGroup, nil)
	if err != nil {
		return nil, err
	}
	g := &iam.Group{Entity: e}
	if err := c.create(ctx, iam.Key(iam.KindGroup, call.Account, g.Name), g, taken("Group with name %s already exists.", g.Name), nil); err != nil {
		return nil, err
	}
	return &api.CreateGroupResponse{Group: groupShape(g)}, nil
}

func (c *Control) getGroup(ctx context.Context, call *wire.Call, in *api.GetGroupRequest) (*api.GetGroupResponse, error) {
	g, _, err := c.findGroup(ctx, call.Account, text(in.GroupName))
	if err != nil {
		return nil, err
	}
	members := slices.SortedFunc(slices.Values(g.Value.Members), func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	p, err := pageSorted(members, in.Marker, in.MaxItems, strings.ToLower)
	if err != nil {
		return nil, err
	}
	out := &api.GetGroupResponse{Group: groupShape(g.Value), Users: []api.User{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, name := range p.items {
		u, _, err := c.findUser(ctx, call.Account, name)
		if err != nil {
			return nil, err
		}
		out.Users = append(out.Users, *userShape(u.Value, false))
	}
	return out, nil
}

// updateGroup renames: the record moves, and its members' lists with it.
func (c *Control) updateGroup(ctx context.Context, call *wire.Call, in *api.UpdateGroupRequest) error {
	old := text(in.GroupName)
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := c.findGroup(ctx, call.Account, old)
		if err != nil {
			return nil, err
		}
		g := s.Value
		g.Path, g.Name = textOr(in.NewPath, g.Path), textOr(in.NewGroupName, g.Name)
		to := iam.Key(iam.KindGroup, call.Account, g.Name)
		if to == key {
			w, err := iam.Put(key, g, store.IfRevision(s.Revision))
			return []store.Write{w}, err
		}
		if _, _, err := c.findGroup(ctx, call.Account, g.Name); err == nil {
			return nil, taken("Group with name %s already exists.", g.Name)
		}
		w, err := iam.Put(to, g, store.IfAbsent())
		if err != nil {
			return nil, err
		}
		writes := []store.Write{w, iam.Drop(key, store.IfRevision(s.Revision))}
		for _, name := range g.Members {
			u, key, err := c.findUser(ctx, call.Account, name)
			if err != nil {
				return nil, err
			}
			u.Value.Groups = append(without(u.Value.Groups, old), g.Name)
			if w, err = iam.Put(key, u.Value, store.IfRevision(u.Revision)); err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
		return writes, nil
	})
}

func (c *Control) deleteGroup(ctx context.Context, call *wire.Call, in *api.DeleteGroupRequest) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := c.findGroup(ctx, call.Account, text(in.GroupName))
		if err != nil {
			return nil, err
		}
		switch g := s.Value; {
		case len(g.Members) > 0:
			return nil, conflict("Cannot delete entity, must remove users from group first.")
		case len(g.Attached) > 0:
			return nil, conflict("Cannot delete entity, must detach all policies first.")
		case len(g.Inline) > 0:
			return nil, conflict("Cannot delete entity, must delete policies first.")
		}
		return []store.Write{iam.Drop(key, store.IfRevision(s.Revision))}, nil
	})
}

func (c *Control) listGroups(ctx context.Context, call *wire.Call, in *api.ListGroupsRequest) (*api.ListGroupsResponse, error) {
	p, err := pageRecords(ctx, c, iam.KindGroup, call.Account, in.Marker, in.MaxItems,
		func(g *iam.Group) *iam.Entity { return &g.Entity }, func(g *iam.Group) bool { return under(g.Path, in.PathPrefix) })
	if err != nil {
		return nil, err
	}
	out := &api.ListGroupsResponse{Groups: []api.Group{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, g := range p.items {
		out.Groups = append(out.Groups, *groupShape(g))
	}
	return out, nil
}

func (c *Control) addUserToGroup(ctx context.Context, call *wire.Call, in *api.AddUserToGroupRequest) error {
	return c.membership(ctx, call, in.GroupName, in.UserName, func(g *iam.Group, u *iam.User) error {
		if slices.Contains(g.Members, u.Name) {
			return nil
		}
		if len(u.Groups) >= groupsMax {
			return exceeded("Cannot exceed quota for GroupsPerUser: %d", groupsMax)
		}
		g.Members, u.Groups = append(g.Members, u.Name), append(u.Groups, g.Name)
		return nil
	})
}

func (c *Control) removeUserFromGroup(ctx context.Context, call *wire.Call, in *api.RemoveUserFromGroupRequest) error {
	return c.membership(ctx, call, in.GroupName, in.UserName, func(g *iam.Group, u *iam.User) error {
		g.Members, u.Groups = without(g.Members, u.Name), without(u.Groups, g.Name)
		return nil
	})
}

// membership changes a group and a user in one step.
func (c *Control) membership(ctx context.Context, call *wire.Call, group, user *string, f func(*iam.Group, *iam.User) error) error {
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.Group], string, error) {
		return c.findGroup(ctx, call.Account, text(group))
	}, func(g *iam.Group) ([]store.Write, error) {
		u, key, err := c.findUser(ctx, call.Account, text(user))
		if err != nil {
			return nil, err
		}
		if err := f(g, u.Value); err != nil {
			return nil, err
		}
		w, err := iam.Put(key, u.Value, store.IfRevision(u.Revision))
		return []store.Write{w}, err
	})
}

func (c *Control) listGroupsForUser(ctx context.Context, call *wire.Call, in *api.ListGroupsForUserRequest) (*api.ListGroupsForUserResponse, error) {
	u, _, err := c.findUser(ctx, call.Account, text(in.UserName))
	if err != nil {
		return nil, err
	}
	p, err := pageSorted(slices.Sorted(slices.Values(u.Value.Groups)), in.Marker, in.MaxItems, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	out := &api.ListGroupsForUserResponse{Groups: []api.Group{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, name := range p.items {
		g, _, err := c.findGroup(ctx, call.Account, name)
		if err != nil {
			return nil, err
		}
		out.Groups = append(out.Groups, *groupShape(g.Value))
	}
	return out, nil
}

package iam

import (
	"context"
	"errors"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// accessKeysMax is AWS's quota AccessKeysPerUser.
const accessKeysMax = 2

// Status of access keys and credentials.
const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

func (c *Control) users(h *api.Handlers) {
	h.CreateUser, h.GetUser, h.UpdateUser, h.DeleteUser, h.ListUsers = c.createUser, c.getUser, c.updateUser, c.deleteUser, c.listUsers
	h.PutUserPermissionsBoundary, h.DeleteUserPermissionsBoundary = c.putUserBoundary, c.deleteUserBoundary
	h.CreateAccessKey, h.UpdateAccessKey, h.DeleteAccessKey = c.createAccessKey, c.updateAccessKey, c.deleteAccessKey
	h.ListAccessKeys, h.GetAccessKeyLastUsed = c.listAccessKeys, c.getAccessKeyLastUsed
}

func (c *Control) createUser(ctx context.Context, call *wire.Call, in *api.CreateUserRequest) (*api.CreateUserResponse, error) {
	e, err := entity(c, call, in.UserName, in.Path, iam.PrefixUser, in.Tags)
	if err != nil {
		return nil, err
	}
	u := &iam.User{Entity: e, Boundary: text(in.PermissionsBoundary)}
	err = c.create(ctx, iam.Key(iam.KindUser, call.Account, u.Name), u, taken("User with name %s already exists.", u.Name),
		func(ctx context.Context) ([]store.Write, error) { return c.swapBoundary(ctx, "", u.Boundary) })
	if err != nil {
		return nil, err
	}
	return &api.CreateUserResponse{User: userShape(u, true)}, nil
}

// userShape is a user as answers show it; lists leave tags and boundary out.
func userShape(u *iam.User, whole bool) *api.User {
	out := &api.User{Path: &u.Path, UserName: &u.Name, UserId: &u.ID, Arn: wire.Ptr(u.ARN()), CreateDate: &u.Created}
	if whole {
		out.Tags, out.PermissionsBoundary = tagShapes(u.Tags), boundaryShape(u.Boundary)
	}
	return out
}

func boundaryShape(arn string) *api.AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &api.AttachedPermissionsBoundary{PermissionsBoundaryType: wire.Ptr("Policy"), PermissionsBoundaryArn: &arn}
}

// userNameOf is the name given, or the calling user's own.
func userNameOf(call *wire.Call, given *string) (string, error) {
	if text(given) != "" {
		return *given, nil
	}
	if call.Principal.Type != aws.PrincipalUser {
		return "", invalid("Must specify userName when calling with non-User credentials")
	}
	return call.Principal.ARN[strings.LastIndexByte(call.Principal.ARN, '/')+1:], nil
}

func (c *Control) getUser(ctx context.Context, call *wire.Call, in *api.GetUserRequest) (*api.GetUserResponse, error) {
	if text(in.UserName) == "" && call.Principal.Type == aws.PrincipalRoot {
		// The root is no user, but clients ask for it to learn the account.
		return &api.GetUserResponse{User: &api.User{
			UserId: wire.Ptr(string(call.Account)), Arn: wire.Ptr(iam.RootARN(call.Account)), CreateDate: wire.Ptr(c.now()),
		}}, nil
	}
	name, err := userNameOf(call, in.UserName)
	if err != nil {
		return nil, err
	}
	u, _, err := c.findUser(ctx, call.Account, name)
	if err != nil {
		return nil, err
	}
	return &api.GetUserResponse{User: userShape(u.Value, true)}, nil
}

func (c *Control) listUsers(ctx context.Context, call *wire.Call, in *api.ListUsersRequest) (*api.ListUsersResponse, error) {
	p, err := pageRecords(ctx, c, iam.KindUser, call.Account, in.Marker, in.MaxItems,
		func(u *iam.User) *iam.Entity { return &u.Entity }, func(u *iam.User) bool { return under(u.Path, in.PathPrefix) })
	if err != nil {
		return nil, err
	}
	out := &api.ListUsersResponse{Users: []api.User{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, u := range p.items {
		out.Users = append(out.Users, *userShape(u, false))
	}
	return out, nil
}

// updateUser renames: the record moves, and what names the user with it.
func (c *Control) updateUser(ctx context.Context, call *wire.Call, in *api.UpdateUserRequest) error {
	old := text(in.UserName)
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := c.findUser(ctx, call.Account, old)
		if err != nil {
			return nil, err
		}
		u := s.Value
		u.Path = textOr(in.NewPath, u.Path)
		u.Name = textOr(in.NewUserName, u.Name)
		to := iam.Key(iam.KindUser, call.Account, u.Name)
		if to == key {
			w, err := iam.Put(key, u, store.IfRevision(s.Revision))
			return []store.Write{w}, err
		}
		if _, _, err := c.findUser(ctx, call.Account, u.Name); err == nil {
			return nil, taken("User with name %s already exists.", u.Name)
		}
		w, err := iam.Put(to, u, store.IfAbsent())
		if err != nil {
			return nil, err
		}
		writes := []store.Write{w, iam.Drop(key, store.IfRevision(s.Revision))}
		for _, id := range u.AccessKeys {
			k, err := iam.Get[iam.AccessKey](ctx, c.table, iam.AccessKeyKey(id))
			if err != nil {
				return nil, err
			}
			k.Value.User = u.Name
			if w, err = iam.Put(iam.AccessKeyKey(id), k.Value, store.IfRevision(k.Revision)); err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
		for _, name := range u.Groups {
			g, key, err := c.findGroup(ctx, call.Account, name)
			if err != nil {
				return nil, err
			}
			g.Value.Members = append(without(g.Value.Members, old), u.Name)
			if w, err = iam.Put(key, g.Value, store.IfRevision(g.Revision)); err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
		return writes, nil
	})
}

func (c *Control) deleteUser(ctx context.Context, call *wire.Call, in *api.DeleteUserRequest) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := c.findUser(ctx, call.Account, text(in.UserName))
		if err != nil {
			return nil, err
		}
		u := s.Value
		switch {
		case len(u.Attached) > 0:
			return nil, conflict("Cannot delete entity, must detach all policies first.")
		case len(u.Inline) > 0:
			return nil, conflict("Cannot delete entity, must delete policies first.")
		case len(u.Groups) > 0:
			return nil, conflict("Cannot delete entity, must remove users from group first.")
		case len(u.AccessKeys) > 0:
			return nil, conflict("Cannot delete entity, must delete access keys first.")
		case u.Login != nil:
			return nil, conflict("Cannot delete entity, must delete login profile first.")
		case len(u.Credentials) > 0:
			return nil, conflict("Cannot delete entity, must remove referenced objects first.")
		}
		writes, err := c.swapBoundary(ctx, u.Boundary, "")
		return append(writes, iam.Drop(key, store.IfRevision(s.Revision))), err
	})
}

func (c *Control) putUserBoundary(ctx context.Context, call *wire.Call, in *api.PutUserPermissionsBoundaryRequest) error {
	return c.setUserBoundary(ctx, call, text(in.UserName), text(in.PermissionsBoundary))
}

func (c *Control) deleteUserBoundary(ctx context.Context, call *wire.Call, in *api.DeleteUserPermissionsBoundaryRequest) error {
	return c.setUserBoundary(ctx, call, text(in.UserName), "")
}

func (c *Control) setUserBoundary(ctx context.Context, call *wire.Call, name, arn string) error {
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.User], string, error) {
		return c.findUser(ctx, call.Account, name)
	}, func(u *iam.User) ([]store.Write, error) {
		writes, err := c.swapBoundary(ctx, u.Boundary, arn)
		u.Boundary = arn
		return writes, err
	})
}

func (c *Control) createAccessKey(ctx context.Context, call *wire.Call, in *api.CreateAccessKeyRequest) (*api.CreateAccessKeyResponse, error) {
	name, err := userNameOf(call, in.UserName)
	if err != nil {
		return nil, err
	}
	var key iam.AccessKey
	var secret string
	err = change(ctx, c, func(ctx context.Context) (iam.Stored[iam.User], string, error) {
		return c.findUser(ctx, call.Account, name)
	}, func(u *iam.User) ([]store.Write, error) {
		if len(u.AccessKeys) >= accessKeysMax {
			return nil, exceeded("Cannot exceed quota for AccessKeysPerUser: %d", accessKeysMax)
		}
		key, secret = c.auth.NewAccessKey(u)
		u.AccessKeys = append(u.AccessKeys, key.ID)
		w, err := iam.Put(iam.AccessKeyKey(key.ID), &key, store.IfAbsent())
		return []store.Write{w}, err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateAccessKeyResponse{AccessKey: &api.AccessKey{
		UserName: &key.User, AccessKeyId: &key.ID, Status: wire.Ptr(statusActive), SecretAccessKey: &secret, CreateDate: &key.Created,
	}}, nil
}

// ownKey reads a key that belongs to the user.
func (c *Control) ownKey(ctx context.Context, u *iam.User, id string) (iam.Stored[iam.AccessKey], error) {
	if !slices.Contains(u.AccessKeys, id) {
		return iam.Stored[iam.AccessKey]{}, noSuch("The Access Key with id %s cannot be found.", id)
	}
	return iam.Get[iam.AccessKey](ctx, c.table, iam.AccessKeyKey(id))
}

func (c *Control) updateAccessKey(ctx context.Context, call *wire.Call, in *api.UpdateAccessKeyRequest) error {
	name, err := userNameOf(call, in.UserName)
	if err != nil {
		return err
	}
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		u, _, err := c.findUser(ctx, call.Account, name)
		if err != nil {
			return nil, err
		}
		k, err := c.ownKey(ctx, u.Value, text(in.AccessKeyId))
		if err != nil {
			return nil, err
		}
		switch text(in.Status) {
		case statusActive, statusInactive:
			k.Value.Active = *in.Status == statusActive
		default:
			return nil, invalid("Invalid status for UpdateAccessKey: %s", text(in.Status))
		}
		w, err := iam.Put(iam.AccessKeyKey(k.Value.ID), k.Value, store.IfRevision(k.Revision))
		return []store.Write{w}, err
	})
}

func (c *Control) deleteAccessKey(ctx context.Context, call *wire.Call, in *api.DeleteAccessKeyRequest) error {
	name, err := userNameOf(call, in.UserName)
	if err != nil {
		return err
	}
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.User], string, error) {
		return c.findUser(ctx, call.Account, name)
	}, func(u *iam.User) ([]store.Write, error) {
		k, err := c.ownKey(ctx, u, text(in.AccessKeyId))
		if err != nil {
			return nil, err
		}
		u.AccessKeys = without(u.AccessKeys, k.Value.ID)
		return iam.DropAccessKey(ctx, c.table, k)
	})
}

func (c *Control) listAccessKeys(ctx context.Context, call *wire.Call, in *api.ListAccessKeysRequest) (*api.ListAccessKeysResponse, error) {
	name, err := userNameOf(call, in.UserName)
	if err != nil {
		return nil, err
	}
	u, _, err := c.findUser(ctx, call.Account, name)
	if err != nil {
		return nil, err
	}
	p, err := pageSorted(slices.Sorted(slices.Values(u.Value.AccessKeys)), in.Marker, in.MaxItems, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	out := &api.ListAccessKeysResponse{AccessKeyMetadata: []api.AccessKeyMetadata{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, id := range p.items {
		k, err := iam.Get[iam.AccessKey](ctx, c.table, iam.AccessKeyKey(id))
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted since the user was read
		}
		if err != nil {
			return nil, err
		}
		status := statusInactive
		if k.Value.Active {
			status = statusActive
		}
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, api.AccessKeyMetadata{
			UserName: &u.Value.Name, AccessKeyId: &k.Value.ID, Status: &status, CreateDate: &k.Value.Created,
		})
	}
	return out, nil
}

func (c *Control) getAccessKeyLastUsed(ctx context.Context, call *wire.Call, in *api.GetAccessKeyLastUsedRequest) (*api.GetAccessKeyLastUsedResponse, error) {
	k, err := iam.Get[iam.AccessKey](ctx, c.table, iam.AccessKeyKey(text(in.AccessKeyId)))
	if errors.Is(err, store.ErrNotFound) || err == nil && k.Value.Account != call.Account {
		return nil, noSuch("The Access Key with id %s cannot be found.", text(in.AccessKeyId))
	}
	if err != nil {
		return nil, err
	}
	// AWS says N/A for a key that was never used.
	used := &api.AccessKeyLastUsed{ServiceName: wire.Ptr("N/A"), Region: wire.Ptr("N/A")}
	if at, service, region, ok := c.auth.LastUse(k.Value.ID); ok {
		used = &api.AccessKeyLastUsed{LastUsedDate: &at, ServiceName: &service, Region: &region}
	}
	return &api.GetAccessKeyLastUsedResponse{UserName: present(k.Value.User), AccessKeyLastUsed: used}, nil
}

// without is list minus one name.
func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.EqualFold(s, name) })
}

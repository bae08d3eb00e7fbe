package iam

import (
	"context"
	"slices"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/managed"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// attachedMax is AWS's default quota of managed policies of one identity.
const attachedMax = 10

func (c *Control) attachments(h *api.Handlers) {
	h.AttachUserPolicy = func(ctx context.Context, call *wire.Call, in *api.AttachUserPolicyRequest) error {
		return c.attach(ctx, holderName{iam.KindUser, call.Account, in.UserName}, text(in.PolicyArn))
	}
	h.AttachRolePolicy = func(ctx context.Context, call *wire.Call, in *api.AttachRolePolicyRequest) error {
		return c.attach(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, text(in.PolicyArn))
	}
	h.AttachGroupPolicy = func(ctx context.Context, call *wire.Call, in *api.AttachGroupPolicyRequest) error {
		return c.attach(ctx, holderName{iam.KindGroup, call.Account, in.GroupName}, text(in.PolicyArn))
	}
	h.DetachUserPolicy = func(ctx context.Context, call *wire.Call, in *api.DetachUserPolicyRequest) error {
		return c.detach(ctx, holderName{iam.KindUser, call.Account, in.UserName}, text(in.PolicyArn))
	}
	h.DetachRolePolicy = func(ctx context.Context, call *wire.Call, in *api.DetachRolePolicyRequest) error {
		return c.detach(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, text(in.PolicyArn))
	}
	h.DetachGroupPolicy = func(ctx context.Context, call *wire.Call, in *api.DetachGroupPolicyRequest) error {
		return c.detach(ctx, holderName{iam.KindGroup, call.Account, in.GroupName}, text(in.PolicyArn))
	}
	h.ListAttachedUserPolicies = func(ctx context.Context, call *wire.Call, in *api.ListAttachedUserPoliciesRequest) (*api.ListAttachedUserPoliciesResponse, error) {
		p, err := c.listAttached(ctx, holderName{iam.KindUser, call.Account, in.UserName}, in.PathPrefix, in.Marker, in.MaxItems)
		if err != nil {
			return nil, err
		}
		return &api.ListAttachedUserPoliciesResponse{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
	}
	h.ListAttachedRolePolicies = func(ctx context.Context, call *wire.Call, in *api.ListAttachedRolePoliciesRequest) (*api.ListAttachedRolePoliciesResponse, error) {
		p, err := c.listAttached(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, in.PathPrefix, in.Marker, in.MaxItems)
		if err != nil {
			return nil, err
		}
		return &api.ListAttachedRolePoliciesResponse{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
	}
	h.ListAttachedGroupPolicies = func(ctx context.Context, call *wire.Call, in *api.ListAttachedGroupPoliciesRequest) (*api.ListAttachedGroupPoliciesResponse, error) {
		p, err := c.listAttached(ctx, holderName{iam.KindGroup, call.Account, in.GroupName}, in.PathPrefix, in.Marker, in.MaxItems)
		if err != nil {
			return nil, err
		}
		return &api.ListAttachedGroupPoliciesResponse{AttachedPolicies: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
	}
	h.ListEntitiesForPolicy = c.listEntitiesForPolicy
}

func (c *Control) attach(ctx context.Context, who holderName, arn string) error {
	if _, err := policyARN(arn); err != nil {
		return err
	}
	return c.changeHolder(ctx, who, func(ctx context.Context, h *holder) ([]store.Write, error) {
		if m, ok := managed.Find(arn); !ok {
			if _, _, err := c.findPolicy(ctx, who.account, arn, notAttachable(arn)); err != nil {
				return nil, err
			}
		} else if m.Path == serviceRolePath {
			return nil, api.NewPolicyNotAttachableException("Cannot attach a Service Role Policy to a Customer Role.")
		}
		if slices.Contains(h.grants.Attached, arn) {
			return nil, nil // attaching twice is no error
		}
		if len(h.grants.Attached) >= attachedMax {
			return nil, exceeded("Cannot exceed quota for %s: %d", h.quota, attachedMax)
		}
		h.grants.Attached = append(h.grants.Attached, arn)
		return c.countUse(ctx, arn, func(p *iam.Policy) { p.Attachments++ }, notAttachable(arn))
	})
}

func (c *Control) detach(ctx context.Context, who holderName, arn string) error {
	if _, err := policyARN(arn); err != nil {
		return err
	}
	return c.changeHolder(ctx, who, func(ctx context.Context, h *holder) ([]store.Write, error) {
		if !slices.Contains(h.grants.Attached, arn) {
			return nil, notFound(arn)()
		}
		h.grants.Attached = without(h.grants.Attached, arn)
		return c.countUse(ctx, arn, func(p *iam.Policy) { p.Attachments-- }, notFound(arn))
	})
}

func (c *Control) listAttached(ctx context.Context, who holderName, prefix, marker *string, maxItems *int32) (page[api.AttachedPolicy], error) {
	h, err := c.holder(ctx, who.kind, who.account, text(who.name))
	if err != nil {
		return page[api.AttachedPolicy]{}, err
	}
	items := slices.DeleteFunc(attachedShapes(h.grants), func(p api.AttachedPolicy) bool {
		path := (*p.PolicyArn)[strings.IndexByte(*p.PolicyArn, '/'):]
		return !under(strings.TrimSuffix(path, *p.PolicyName), prefix)
	})
	return pageSorted(items, marker, maxItems, func(p api.AttachedPolicy) string { return *p.PolicyArn })
}

// attachedShapes are the policies attached to an identity, in the order of their ARNs.
func attachedShapes(g *iam.Grants) []api.AttachedPolicy {
	out := []api.AttachedPolicy{}
	for _, arn := range slices.Sorted(slices.Values(g.Attached)) {
		name := arn[strings.LastIndexByte(arn, '/')+1:]
		out = append(out, api.AttachedPolicy{PolicyName: &name, PolicyArn: &arn})
	}
	return out
}

// use is an identity that a policy is attached to or bounds.
type use struct {
	kind               iam.Kind
	name, id, path     string
	attached, boundary bool
}

// usesOf finds everything in an account that uses a policy, in a fixed order.
func (c *Control) usesOf(ctx context.Context, account aws.AccountID, arn string) ([]use, error) {
	var out []use
	err := c.eachHolder(ctx, account, func(kind iam.Kind, e *iam.Entity, g *iam.Grants, boundary string) {
		u := use{kind: kind, name: e.Name, id: e.ID, path: e.Path, attached: slices.Contains(g.Attached, arn), boundary: boundary == arn}
		if u.attached || u.boundary {
			out = append(out, u)
		}
	})
	return out, err
}

// eachHolder calls f for all groups, roles and users of an account, in this order.
func (c *Control) eachHolder(ctx context.Context, account aws.AccountID, f func(kind iam.Kind, e *iam.Entity, g *iam.Grants, boundary string)) error {
	groups, err := all(ctx, c, iam.KindGroup, account, func(g *iam.Group) string { return g.Name })
	if err != nil {
		return err
	}
	for _, g := range groups {
		f(iam.KindGroup, &g.Entity, &g.Grants, "")
	}
	roles, err := all(ctx, c, iam.KindRole, account, func(r *iam.Role) string { return r.Name })
	if err != nil {
		return err
	}
	for _, r := range roles {
		f(iam.KindRole, &r.Entity, &r.Grants, r.Boundary)
	}
	users, err := all(ctx, c, iam.KindUser, account, func(u *iam.User) string { return u.Name })
	if err != nil {
		return err
	}
	for _, u := range users {
		f(iam.KindUser, &u.Entity, &u.Grants, u.Boundary)
	}
	return nil
}

func (c *Control) listEntitiesForPolicy(ctx context.Context, call *wire.Call, in *api.ListEntitiesForPolicyRequest) (*api.ListEntitiesForPolicyResponse, error) {
	arn := text(in.PolicyArn)
	if _, ok := managed.Find(arn); !ok {
		if _, _, err := c.findPolicy(ctx, call.Account, arn, notFound(arn)); err != nil {
			return nil, err
		}
	}
	found, err := c.usesOf(ctx, call.Account, arn)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(u use) bool {
		switch text(in.EntityFilter) {
		case "User":
			if u.kind != iam.KindUser {
				return true
			}
		case "Role":
			if u.kind != iam.KindRole {
				return true
			}
		case "Group":
			if u.kind != iam.KindGroup {
				return true
			}
		case "LocalManagedPolicy", "AWSManagedPolicy":
			return true // a policy uses no policy
		}
		switch text(in.PolicyUsageFilter) {
		case usageBoundary:
			return !u.boundary || !under(u.path, in.PathPrefix)
		case usagePolicy:
			return !u.attached || !under(u.path, in.PathPrefix)
		}
		return !under(u.path, in.PathPrefix)
	})
	p, err := pageSorted(found, in.Marker, in.MaxItems, func(u use) string { return string(u.kind) + "/" + strings.ToLower(u.name) })
	if err != nil {
		return nil, err
	}
	out := &api.ListEntitiesForPolicyResponse{
		PolicyGroups: []api.PolicyGroup{}, PolicyRoles: []api.PolicyRole{}, PolicyUsers: []api.PolicyUser{}, IsTruncated: p.truncated, Marker: p.marker,
	}
	for _, u := range p.items {
		switch u.kind {
		case iam.KindUser:
			out.PolicyUsers = append(out.PolicyUsers, api.PolicyUser{UserName: &u.name, UserId: &u.id})
		case iam.KindRole:
			out.PolicyRoles = append(out.PolicyRoles, api.PolicyRole{RoleName: &u.name, RoleId: &u.id})
		default:
			out.PolicyGroups = append(out.PolicyGroups, api.PolicyGroup{GroupName: &u.name, GroupId: &u.id})
		}
	}
	return out, nil
}

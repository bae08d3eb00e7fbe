package iam

import (
	"context"
	"maps"
	"slices"
	"strconv"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/managed"
	"github.com/lambdad/lambdad/internal/wire"
)

// detail is one of the things that GetAccountAuthorizationDetails tells, which all share its pages.
type detail struct {
	user   *iam.User
	group  *iam.Group
	role   *iam.Role
	policy *iam.Policy
	aws    *managed.Policy
	place  string
}

func (c *Control) accountAuthorizationDetails(ctx context.Context, call *wire.Call, in *api.GetAccountAuthorizationDetailsRequest) (*api.GetAccountAuthorizationDetailsResponse, error) {
	found, err := c.details(ctx, call.Account, in.Filter)
	if err != nil {
		return nil, err
	}
	p, err := pageSorted(found, in.Marker, in.MaxItems, func(d detail) string { return d.place })
	if err != nil {
		return nil, err
	}
	used, err := c.managedUses(ctx, call.Account)
	if err != nil {
		return nil, err
	}
	out := &api.GetAccountAuthorizationDetailsResponse{
		UserDetailList: []api.UserDetail{}, GroupDetailList: []api.GroupDetail{}, RoleDetailList: []api.RoleDetail{},
		Policies: []api.ManagedPolicyDetail{}, IsTruncated: p.truncated, Marker: p.marker,
	}
	for _, d := range p.items {
		switch {
		case d.user != nil:
			out.UserDetailList = append(out.UserDetailList, userDetail(d.user))
		case d.group != nil:
			out.GroupDetailList = append(out.GroupDetailList, groupDetail(d.group))
		case d.role != nil:
			r, err := c.roleDetail(ctx, d.role)
			if err != nil {
				return nil, err
			}
			out.RoleDetailList = append(out.RoleDetailList, r)
		case d.policy != nil:
			out.Policies = append(out.Policies, policyDetail(d.policy))
		default:
			out.Policies = append(out.Policies, managedDetail(*d.aws, used[d.aws.ARN]))
		}
	}
	return out, nil
}

// details are all that the filter lets through, in a fixed order. Of AWS's own policies they are
// those that the account uses.
func (c *Control) details(ctx context.Context, account aws.AccountID, filter []string) ([]detail, error) {
	wants := func(kind string) bool { return len(filter) == 0 || slices.Contains(filter, kind) }
	var out []detail
	add := func(d detail) {
		d.place = strconv.Itoa(1<<30 + len(out)) // a fixed width keeps the order of the list
		out = append(out, d)
	}
	users, err := all(ctx, c, iam.KindUser, account, func(u *iam.User) string { return u.Name })
	if err != nil {
		return nil, err
	}
	groups, err := all(ctx, c, iam.KindGroup, account, func(g *iam.Group) string { return g.Name })
	if err != nil {
		return nil, err
	}
	roles, err := all(ctx, c, iam.KindRole, account, func(r *iam.Role) string { return r.Name })
	if err != nil {
		return nil, err
	}
	policies, err := all(ctx, c, iam.KindPolicy, account, func(p *iam.Policy) string { return p.Name })
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		if wants(api.EntityTypeUser) {
			add(detail{user: u})
		}
	}
	for _, g := range groups {
		if wants(api.EntityTypeGroup) {
			add(detail{group: g})
		}
	}
	for _, r := range roles {
		if wants(api.EntityTypeRole) {
			add(detail{role: r})
		}
	}
	for _, p := range policies {
		if wants(api.EntityTypeLocalManagedPolicy) {
			add(detail{policy: p})
		}
	}
	if !wants(api.EntityTypeAWSManagedPolicy) {
		return out, nil
	}
	used, err := c.managedUses(ctx, account)
	if err != nil {
		return nil, err
	}
	for _, arn := range slices.Sorted(maps.Keys(used)) {
		if m, ok := managed.Find(arn); ok {
			add(detail{aws: &m})
		}
	}
	return out, nil
}

func userDetail(u *iam.User) api.UserDetail {
	return api.UserDetail{
		Path: &u.Path, UserName: &u.Name, UserId: &u.ID, Arn: wire.Ptr(u.ARN()), CreateDate: &u.Created,
		UserPolicyList: inlineDetails(&u.Grants), GroupList: append([]string{}, u.Groups...), AttachedManagedPolicies: attachedShapes(&u.Grants),
		PermissionsBoundary: boundaryShape(u.Boundary), Tags: tagShapes(u.Tags),
	}
}

func groupDetail(g *iam.Group) api.GroupDetail {
	return api.GroupDetail{
		Path: &g.Path, GroupName: &g.Name, GroupId: &g.ID, Arn: wire.Ptr(g.ARN()), CreateDate: &g.Created,
		GroupPolicyList: inlineDetails(&g.Grants), AttachedManagedPolicies: attachedShapes(&g.Grants),
	}
}

func (c *Control) roleDetail(ctx context.Context, r *iam.Role) (api.RoleDetail, error) {
	out := api.RoleDetail{
		Path: &r.Path, RoleName: &r.Name, RoleId: &r.ID, Arn: wire.Ptr(r.ARN()), CreateDate: &r.Created,
		AssumeRolePolicyDocument: c.trustShape(r), InstanceProfileList: []api.InstanceProfile{},
		RolePolicyList: inlineDetails(&r.Grants), AttachedManagedPolicies: attachedShapes(&r.Grants),
		PermissionsBoundary: boundaryShape(r.Boundary), Tags: append([]api.Tag{}, tagShapes(r.Tags)...), RoleLastUsed: &api.RoleLastUsed{},
	}
	for _, name := range r.Profiles {
		p, _, err := c.findProfile(ctx, r.Account, name)
		if err != nil {
			return out, err
		}
		shape, err := c.profileShape(ctx, p.Value, false)
		if err != nil {
			return out, err
		}
		out.InstanceProfileList = append(out.InstanceProfileList, *shape)
	}
	return out, nil
}

func inlineDetails(g *iam.Grants) []api.PolicyDetail {
	out := []api.PolicyDetail{}
	for _, name := range slices.Sorted(maps.Keys(g.Inline)) {
		out = append(out, api.PolicyDetail{PolicyName: &name, PolicyDocument: encodeDocument(g.Inline[name])})
	}
	return out
}

func policyDetail(p *iam.Policy) api.ManagedPolicyDetail {
	out := detailOf(policyShape(p))
	out.Description = present(p.Description)
	for _, v := range slices.Backward(p.Versions) { // newest first
		out.PolicyVersionList = append(out.PolicyVersionList, *versionShape(v.ID, v.ID == p.Default, v.Created, v.Document))
	}
	return out
}

// managedDetail is one of AWS's own policies, of which only the newest version is kept.
func managedDetail(m managed.Policy, n uses) api.ManagedPolicyDetail {
	out := detailOf(managedShape(m, n))
	out.PolicyVersionList = []api.PolicyVersion{*versionShape(m.Version, true, m.Updated, m.Document)}
	return out
}

func detailOf(p *api.Policy) api.ManagedPolicyDetail {
	return api.ManagedPolicyDetail{
		PolicyName: p.PolicyName, PolicyId: p.PolicyId, Arn: p.Arn, Path: p.Path, DefaultVersionId: p.DefaultVersionId, AttachmentCount: p.AttachmentCount,
		PermissionsBoundaryUsageCount: p.PermissionsBoundaryUsageCount, IsAttachable: p.IsAttachable, CreateDate: p.CreateDate, UpdateDate: p.UpdateDate,
	}
}

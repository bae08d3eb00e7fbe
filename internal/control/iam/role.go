package iam

import (
	"context"
	"net/url"
	"strings"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	sessionSecondsDefault = 3600
	// trustBytesMax is AWS's quota ACLSizePerRole; white space does not count.
	trustBytesMax = 2048
)

func (c *Control) roles(h *api.Handlers) {
	h.CreateRole, h.GetRole, h.DeleteRole, h.ListRoles = c.createRole, c.getRole, c.deleteRole, c.listRoles
	h.UpdateRole, h.UpdateRoleDescription, h.UpdateAssumeRolePolicy = c.updateRole, c.updateRoleDescription, c.updateTrust
	h.PutRolePermissionsBoundary, h.DeleteRolePermissionsBoundary = c.putRoleBoundary, c.deleteRoleBoundary
	h.CreateServiceLinkedRole, h.DeleteServiceLinkedRole = c.createServiceLinkedRole, c.deleteServiceLinkedRole
	h.GetServiceLinkedRoleDeletionStatus = c.getServiceLinkedRoleDeletionStatus
}

// encodeDocument is how IAM returns documents: RFC 3986, with %20 for a space.
func encodeDocument(s string) *string {
	e := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	return &e
}

// documentBytes is the size that quotas count.
func documentBytes(s string) int {
	n := 0
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', '\n', '\r':
		default:
			n++
		}
	}
	return n
}

// checkTrust validates a trust policy, and returns the unique ids of the principals that
// it names.
func (c *Control) checkTrust(ctx context.Context, text string) (map[string]string, error) {
	doc, err := policy.ParseFor(policy.KindTrust, text)
	if err != nil {
		return nil, api.NewMalformedPolicyDocumentException(err.Error())
	}
	if documentBytes(text) > trustBytesMax {
		return nil, exceeded("Cannot exceed quota for ACLSizePerRole: %d", trustBytesMax)
	}
	ids := map[string]string{}
	for i := range doc.Statements {
		for _, p := range doc.Statements[i].AWSPrincipals() {
			id, ok := c.principalID(ctx, p)
			if !ok {
				return nil, api.NewMalformedPolicyDocumentException("Invalid principal in policy: \"AWS\":\"" + p + "\"")
			}
			if id != "" {
				ids[p] = id
			}
		}
	}
	return ids, nil
}

func (c *Control) createRole(ctx context.Context, call *wire.Call, in *api.CreateRoleRequest) (*api.CreateRoleResponse, error) {
	ids, err := c.checkTrust(ctx, text(in.AssumeRolePolicyDocument))
	if err != nil {
		return nil, err
	}
	e, err := entity(c, call, in.RoleName, in.Path, iam.PrefixRole, in.Tags)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(e.Path, serviceRolePath) {
		return nil, invalid("The specified value for path is invalid. It must not begin with %s.", serviceRolePath)
	}
	r := &iam.Role{Entity: e, Boundary: text(in.PermissionsBoundary), Description: text(in.Description), MaxSessionSeconds: sessionSecondsDefault,
		Trust: text(in.AssumeRolePolicyDocument), TrustIDs: ids}
	if in.MaxSessionDuration != nil {
		r.MaxSessionSeconds = *in.MaxSessionDuration
	}
	err = c.create(ctx, iam.Key(iam.KindRole, call.Account, r.Name), r, taken("Role with name %s already exists.", r.Name),
		func(ctx context.Context) ([]store.Write, error) { return c.swapBoundary(ctx, "", r.Boundary) })
	if err != nil {
		return nil, err
	}
	out := c.roleShape(r)
	// CreateRole answers without the duration, as recorded, but with the tags.
	out.MaxSessionDuration, out.Tags, out.PermissionsBoundary = nil, tagShapes(r.Tags), boundaryShape(r.Boundary)
	out.AssumeRolePolicyDocument = encodeDocument(r.Trust) // as given, as recorded
	return &api.CreateRoleResponse{Role: out}, nil
}

// roleShape is a role as lists show it.
func (c *Control) roleShape(r *iam.Role) *api.Role {
	return &api.Role{
		Path: &r.Path, RoleName: &r.Name, RoleId: &r.ID, Arn: wire.Ptr(r.ARN()), CreateDate: &r.Created,
		AssumeRolePolicyDocument: c.trustShape(r), Description: present(r.Description), MaxSessionDuration: &r.MaxSessionSeconds,
	}
}

// trustShape is a role's trust policy as every operation but CreateRole answers it.
func (c *Control) trustShape(r *iam.Role) *string {
	return encodeDocument(policy.TrustAsRead(c.auth.Trust(r)))
}

func (c *Control) wholeRole(r *iam.Role) *api.Role {
	out := c.roleShape(r)
	out.Tags, out.PermissionsBoundary = tagShapes(r.Tags), boundaryShape(r.Boundary)
	out.RoleLastUsed = &api.RoleLastUsed{} // present and empty while AWS has not tracked any use
	return out
}

func (c *Control) getRole(ctx context.Context, call *wire.Call, in *api.GetRoleRequest) (*api.GetRoleResponse, error) {
	r, _, err := c.findRole(ctx, call.Account, text(in.RoleName))
	if err != nil {
		return nil, err
	}
	return &api.GetRoleResponse{Role: c.wholeRole(r.Value)}, nil
}

func (c *Control) listRoles(ctx context.Context, call *wire.Call, in *api.ListRolesRequest) (*api.ListRolesResponse, error) {
	p, err := pageRecords(ctx, c, iam.KindRole, call.Account, in.Marker, in.MaxItems,
		func(r *iam.Role) *iam.Entity { return &r.Entity }, func(r *iam.Role) bool { return under(r.Path, in.PathPrefix) })
	if err != nil {
		return nil, err
	}
	out := &api.ListRolesResponse{Roles: []api.Role{}, IsTruncated: p.truncated, Marker: p.marker}
	for _, r := range p.items {
		out.Roles = append(out.Roles, *c.roleShape(r))
	}
	return out, nil
}

// changeRole changes a role that is not a service's own.
func (c *Control) changeRole(ctx context.Context, call *wire.Call, name string, f func(*iam.Role) ([]store.Write, error)) error {
	return c.changeAnyRole(ctx, call, name, func(r *iam.Role) ([]store.Write, error) {
		if err := modifiable(r); err != nil {
			return nil, err
		}
		return f(r)
	})
}

// changeAnyRole changes a role, be it a service's own.
func (c *Control) changeAnyRole(ctx context.Context, call *wire.Call, name string, f func(*iam.Role) ([]store.Write, error)) error {
	return change(ctx, c, func(ctx context.Context) (iam.Stored[iam.Role], string, error) {
		return c.findRole(ctx, call.Account, name)
	}, f)
}

func modifiable(r *iam.Role) error {
	if r.LinkedService == "" {
		return nil
	}
	return api.NewUnmodifiableEntityException("Cannot perform the operation on the protected role '" + r.Name + "' - this role is only modifiable by AWS")
}

func (c *Control) updateRole(ctx context.Context, call *wire.Call, in *api.UpdateRoleRequest) (*api.UpdateRoleResponse, error) {
	err := c.changeAnyRole(ctx, call, text(in.RoleName), func(r *iam.Role) ([]store.Write, error) {
		if in.MaxSessionDuration != nil {
			if err := modifiable(r); err != nil { // but the description may change: User Guide, "Edit a service-linked role"
				return nil, err
			}
		}
		// AWS resets what a request leaves out: "If you do not specify a
		// value for this setting, the default maximum of one hour is applied."
		r.MaxSessionSeconds = sessionSecondsDefault
		if in.MaxSessionDuration != nil {
			r.MaxSessionSeconds = *in.MaxSessionDuration
		}
		if in.Description != nil {
			r.Description = *in.Description
		}
		return nil, nil
	})
	return &api.UpdateRoleResponse{}, err
}

func (c *Control) updateRoleDescription(ctx context.Context, call *wire.Call, in *api.UpdateRoleDescriptionRequest) (*api.UpdateRoleDescriptionResponse, error) {
	var out *api.Role
	err := c.changeAnyRole(ctx, call, text(in.RoleName), func(r *iam.Role) ([]store.Write, error) {
		r.Description = text(in.Description)
		out = c.roleShape(r)
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateRoleDescriptionResponse{Role: out}, nil
}

func (c *Control) updateTrust(ctx context.Context, call *wire.Call, in *api.UpdateAssumeRolePolicyRequest) error {
	ids, err := c.checkTrust(ctx, text(in.PolicyDocument))
	if err != nil {
		return err
	}
	return c.changeRole(ctx, call, text(in.RoleName), func(r *iam.Role) ([]store.Write, error) {
		r.Trust, r.TrustIDs = text(in.PolicyDocument), ids
		return nil, nil
	})
}

func (c *Control) putRoleBoundary(ctx context.Context, call *wire.Call, in *api.PutRolePermissionsBoundaryRequest) error {
	return c.setRoleBoundary(ctx, call, text(in.RoleName), text(in.PermissionsBoundary))
}

func (c *Control) deleteRoleBoundary(ctx context.Context, call *wire.Call, in *api.DeleteRolePermissionsBoundaryRequest) error {
	return c.setRoleBoundary(ctx, call, text(in.RoleName), "")
}

func (c *Control) setRoleBoundary(ctx context.Context, call *wire.Call, name, arn string) error {
	return c.changeRole(ctx, call, name, func(r *iam.Role) ([]store.Write, error) {
		writes, err := c.swapBoundary(ctx, r.Boundary, arn)
		r.Boundary = arn
		return writes, err
	})
}

func (c *Control) deleteRole(ctx context.Context, call *wire.Call, in *api.DeleteRoleRequest) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, key, err := c.findRole(ctx, call.Account, text(in.RoleName))
		if err != nil {
			return nil, err
		}
		r := s.Value
		if err := modifiable(r); err != nil {
			return nil, err
		}
		switch {
		case len(r.Profiles) > 0:
			return nil, conflict("Cannot delete entity, must remove roles from instance profile first.")
		case len(r.Attached) > 0:
			return nil, conflict("Cannot delete entity, must detach all policies first.")
		case len(r.Inline) > 0:
			return nil, conflict("Cannot delete entity, must delete policies first.")
		}
		writes, err := c.swapBoundary(ctx, r.Boundary, "")
		return append(writes, iam.Drop(key, store.IfRevision(s.Revision))), err
	})
}

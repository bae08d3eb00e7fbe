package iam

import (
	"context"
	"maps"
	"slices"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) inlinePolicies(h *api.Handlers) {
	h.PutUserPolicy = func(ctx context.Context, call *wire.Call, in *api.PutUserPolicyRequest) error {
		return c.putInline(ctx, holderName{iam.KindUser, call.Account, in.UserName}, text(in.PolicyName), text(in.PolicyDocument))
	}
	h.PutRolePolicy = func(ctx context.Context, call *wire.Call, in *api.PutRolePolicyRequest) error {
		return c.putInline(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, text(in.PolicyName), text(in.PolicyDocument))
	}
	h.PutGroupPolicy = func(ctx context.Context, call *wire.Call, in *api.PutGroupPolicyRequest) error {
		return c.putInline(ctx, holderName{iam.KindGroup, call.Account, in.GroupName}, text(in.PolicyName), text(in.PolicyDocument))
	}
	h.DeleteUserPolicy = func(ctx context.Context, call *wire.Call, in *api.DeleteUserPolicyRequest) error {
		return c.deleteInline(ctx, holderName{iam.KindUser, call.Account, in.UserName}, text(in.PolicyName))
	}
	h.DeleteRolePolicy = func(ctx context.Context, call *wire.Call, in *api.DeleteRolePolicyRequest) error {
		return c.deleteInline(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, text(in.PolicyName))
	}
	h.DeleteGroupPolicy = func(ctx context.Context, call *wire.Call, in *api.DeleteGroupPolicyRequest) error {
		return c.deleteInline(ctx, holderName{iam.KindGroup, call.Account, in.GroupName}, text(in.PolicyName))
	}
	h.GetUserPolicy = func(ctx context.Context, call *wire.Call, in *api.GetUserPolicyRequest) (*api.GetUserPolicyResponse, error) {
		name, doc, err := c.getInline(ctx, iam.KindUser, call.Account, text(in.UserName), text(in.PolicyName))
		if err != nil {
			return nil, err
		}
		return &api.GetUserPolicyResponse{UserName: &name, PolicyName: in.PolicyName, PolicyDocument: encodeDocument(doc)}, nil
	}
	h.GetRolePolicy = func(ctx context.Context, call *wire.Call, in *api.GetRolePolicyRequest) (*api.GetRolePolicyResponse, error) {
		name, doc, err := c.getInline(ctx, iam.KindRole, call.Account, text(in.RoleName), text(in.PolicyName))
		if err != nil {
			return nil, err
		}
		return &api.GetRolePolicyResponse{RoleName: &name, PolicyName: in.PolicyName, PolicyDocument: encodeDocument(doc)}, nil
	}
	h.GetGroupPolicy = func(ctx context.Context, call *wire.Call, in *api.GetGroupPolicyRequest) (*api.GetGroupPolicyResponse, error) {
		name, doc, err := c.getInline(ctx, iam.KindGroup, call.Account, text(in.GroupName), text(in.PolicyName))
		if err != nil {
			return nil, err
		}
		return &api.GetGroupPolicyResponse{GroupName: &name, PolicyName: in.PolicyName, PolicyDocument: encodeDocument(doc)}, nil
	}
	h.ListUserPolicies = func(ctx context.Context, call *wire.Call, in *api.ListUserPoliciesRequest) (*api.ListUserPoliciesResponse, error) {
		p, err := c.listInline(ctx, holderName{iam.KindUser, call.Account, in.UserName}, in.Marker, in.MaxItems)
		if err != nil {
			return nil, err
		}
		return &api.ListUserPoliciesResponse{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
	}
	h.ListRolePolicies = func(ctx context.Context, call *wire.Call, in *api.ListRolePoliciesRequest) (*api.ListRolePoliciesResponse, error) {
		p, err := c.listInline(ctx, holderName{iam.KindRole, call.Account, in.RoleName}, in.Marker, in.MaxItems)
		if err != nil {
			return nil, err
		}
		return &api.ListRolePoliciesResponse{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
	}
	h.ListGroupPolicies = func(ctx context.Context, call *wire.Call, in *api.ListGroupPoliciesRequest) (*api.ListGroupPoliciesResponse, error) {
		p, err := c.listInline(ctx, holderName{iam.KindGroup, call.Account, in.GroupName}, in.Marker, in.MaxItems)
		if err != nil {
			return nil, err
		}
		return &api.ListGroupPoliciesResponse{PolicyNames: p.items, IsTruncated: p.truncated, Marker: p.marker}, nil
	}
}

func (c *Control) putInline(ctx context.Context, who holderName, name, document string) error {
	if _, err := policy.ParseFor(policy.KindInline, document); err != nil {
		return api.NewMalformedPolicyDocumentException(err.Error())
	}
	return c.changeHolder(ctx, who, func(_ context.Context, h *holder) ([]store.Write, error) {
		if h.grants.Inline == nil {
			h.grants.Inline = map[string]string{}
		}
		h.grants.Inline[name] = document
		total := 0
		for _, d := range h.grants.Inline {
			total += documentBytes(d)
		}
		if total > h.inlineMax {
			return nil, exceeded("Maximum policy size of %d bytes exceeded for %s %s", h.inlineMax, h.word, h.entity.Name)
		}
		return nil, nil
	})
}

func (c *Control) deleteInline(ctx context.Context, who holderName, name string) error {
	return c.changeHolder(ctx, who, func(_ context.Context, h *holder) ([]store.Write, error) {
		if _, ok := h.grants.Inline[name]; !ok {
			return nil, noSuch("The %s policy with name %s cannot be found.", h.word, name)
		}
		delete(h.grants.Inline, name)
		return nil, nil
	})
}

// getInline returns the holder's name and the document.
func (c *Control) getInline(ctx context.Context, kind iam.Kind, account aws.AccountID, holderName, name string) (string, string, error) {
	h, err := c.holder(ctx, kind, account, holderName)
	if err != nil {
		return "", "", err
	}
	doc, ok := h.grants.Inline[name]
	if !ok {
		return "", "", noSuch("The %s policy with name %s cannot be found.", h.word, name)
	}
	return h.entity.Name, doc, nil
}

func (c *Control) listInline(ctx context.Context, who holderName, marker *string, maxItems *int32) (page[string], error) {
	h, err := c.holder(ctx, who.kind, who.account, text(who.name))
	if err != nil {
		return page[string]{}, err
	}
	p, err := pageSorted(slices.Sorted(maps.Keys(h.grants.Inline)), marker, maxItems, func(s string) string { return s })
	if p.items == nil {
		p.items = []string{}
	}
	return p, err
}

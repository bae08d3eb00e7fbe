package sts

import (
	"context"

	api "github.com/lambdad/lambdad/internal/api/sts"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/constraint"
)

// authorize: GetCallerIdentity and GetSessionToken need no permission, AssumeRole
// needs the role's trust, everything else its own action.
func (c *Control) authorize(ctx context.Context, call *wire.Call, operation string, in any) error {
	switch in := in.(type) {
	case *api.GetCallerIdentityRequest, *api.GetSessionTokenRequest:
		return nil
	case *api.AssumeRoleRequest:
		return c.authorizeAssume(ctx, call, in)
	case *api.GetFederationTokenRequest:
		return c.auth.Authorize(ctx, call, "sts:GetFederationToken",
			[]string{"arn:aws:sts::" + string(call.Account) + ":federated-user/" + text(in.Name)}, tagKeys(in.Tags))
	}
	return c.auth.Authorize(ctx, call, "sts:"+operation, nil, nil)
}

// authorizeAssume asks the role's trust policy and the caller's own, for the
// role and for the tags and source identity that the session is to carry.
func (c *Control) authorizeAssume(ctx context.Context, call *wire.Call, in *api.AssumeRoleRequest) error {
	arn := text(in.RoleArn)
	parsed, err := aws.ParseARN(arn)
	if err != nil || len(constraint.Check(in)) > 0 {
		return nil // validation says what is wrong: a trust policy is asked about whole requests
	}
	if call.Principal.Type == aws.PrincipalRoot && c.auth.Mode() != iam.ModeNone {
		return wire.NewFault(403, "AccessDenied", "Roles may not be assumed by root accounts.")
	}
	role, ok := c.auth.RoleTrust(arn)
	if !ok {
		return denied(call, "sts:AssumeRole", arn)
	}
	conditions := tagKeys(in.Tags)
	conditions["sts:RoleSessionName"] = []string{text(in.RoleSessionName)}
	if in.ExternalId != nil {
		conditions["sts:ExternalId"] = []string{*in.ExternalId}
	}
	if len(in.TransitiveTagKeys) > 0 {
		conditions["sts:TransitiveTagKeys"] = in.TransitiveTagKeys
	}
	if in.SourceIdentity != nil {
		conditions["sts:SourceIdentity"] = []string{*in.SourceIdentity}
	}
	for _, t := range role.Tags {
		conditions["aws:ResourceTag/"+t.Key], conditions["iam:ResourceTag/"+t.Key] = []string{t.Value}, []string{t.Value}
	}
	actions := []string{"sts:AssumeRole"}
	if len(in.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if in.SourceIdentity != nil {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		err := c.auth.AuthorizeAccess(ctx, call, iam.Access{
			Action: action, Resource: arn, Owner: parsed.Account, Conditions: conditions, ResourcePolicies: []string{role.Trust}, ResourceRequired: true,
		})
		if err != nil {
			// AWS does not say which side refused.
			return denied(call, action, arn)
		}
	}
	return nil
}

func tagKeys(tags []api.Tag) map[string][]string {
	m := map[string][]string{}
	for _, t := range tags {
		m["aws:TagKeys"] = append(m["aws:TagKeys"], text(t.Key))
		m["aws:RequestTag/"+text(t.Key)] = []string{text(t.Value)}
	}
	return m
}

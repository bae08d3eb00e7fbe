package iam

import (
	"context"
	"errors"

	api "github.com/lambdad/lambdad/internal/api/iam"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

func (c *Control) account(h *api.Handlers) {
	h.CreateAccountAlias, h.DeleteAccountAlias, h.ListAccountAliases = c.createAlias, c.deleteAlias, c.listAliases
	h.GetAccountSummary, h.GetAccountAuthorizationDetails = c.accountSummary, c.accountAuthorizationDetails
}

// settings reads an account's settings; an account that never set any has the zero ones.
func (c *Control) settings(ctx context.Context, account aws.AccountID) (*iam.Settings, store.Condition, error) {
	s, err := iam.Get[iam.Settings](ctx, c.table, iam.SettingsKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return &iam.Settings{}, store.IfAbsent(), nil
	}
	if err != nil {
		return nil, store.Condition{}, err
	}
	return s.Value, store.IfRevision(s.Revision), nil
}

// changeSettings runs a transaction on an account's settings. f may add further writes.
func (c *Control) changeSettings(ctx context.Context, account aws.AccountID, f func(context.Context, *iam.Settings) ([]store.Write, error)) error {
	return c.table.Retry(ctx, func(ctx context.Context) ([]store.Write, error) {
		s, unchanged, err := c.settings(ctx, account)
		if err != nil {
			return nil, err
		}
		more, err := f(ctx, s)
		if err != nil {
			return nil, err
		}
		w, err := iam.Put(iam.SettingsKey(account), s, unchanged)
		return append(more, w), err
	})
}

// createAlias gives the account its one alias, in place of the one that it has.
func (c *Control) createAlias(ctx context.Context, call *wire.Call, in *api.CreateAccountAliasRequest) error {
	alias := text(in.AccountAlias)
	return c.changeSettings(ctx, call.Account, func(ctx context.Context, s *iam.Settings) ([]store.Write, error) {
		if _, err := iam.Get[iam.AliasClaim](ctx, c.table, iam.AliasKey(alias)); err == nil {
			return nil, taken("The account alias %s already exists.", alias)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		w, err := iam.Put(iam.AliasKey(alias), &iam.AliasClaim{Account: call.Account}, store.IfAbsent())
		if err != nil {
			return nil, err
		}
		writes := []store.Write{w}
		if s.Alias != "" {
			writes = append(writes, iam.Drop(iam.AliasKey(s.Alias), store.Unconditional()))
		}
		s.Alias = alias
		return writes, nil
	})
}

func (c *Control) deleteAlias(ctx context.Context, call *wire.Call, in *api.DeleteAccountAliasRequest) error {
	alias := text(in.AccountAlias)
	return c.changeSettings(ctx, call.Account, func(_ context.Context, s *iam.Settings) ([]store.Write, error) {
		if s.Alias != alias {
			return nil, noSuch("The account alias with name %s cannot be found.", alias)
		}
		s.Alias = ""
		return []store.Write{iam.Drop(iam.AliasKey(alias), store.Unconditional())}, nil
	})
}

func (c *Control) listAliases(ctx context.Context, call *wire.Call, in *api.ListAccountAliasesRequest) (*api.ListAccountAliasesResponse, error) {
	s, _, err := c.settings(ctx, call.Account)
	if err != nil {
		return nil, err
	}
	aliases := []string{}
	if s.Alias != "" {
		aliases = append(aliases, s.Alias)
	}
	p, err := pageSorted(aliases, in.Marker, in.MaxItems, func(s string) string { return s })
	return &api.ListAccountAliasesResponse{AccountAliases: p.items, IsTruncated: p.truncated, Marker: p.marker}, err
}

// Quotas of an account as GetAccountSummary tells them ("IAM and AWS STS quotas"). How many users, groups,
// roles, policies and profiles there may be is told only: it protects AWS and nobody here.
const (
	usersQuota             = 5000
	groupsQuota            = 300
	rolesQuota             = 1000
	policiesQuota          = 1500
	policyVersionsQuota    = 10000
	profilesQuota          = 1000
	serverCertificateQuota = 20
	signingCertificates    = 2
	globalTokenVersion     = 1 // which tokens the global endpoint gives
)

func (c *Control) accountSummary(ctx context.Context, call *wire.Call, _ *api.GetAccountSummaryInput) (*api.GetAccountSummaryResponse, error) {
	m := map[string]int32{
		"UsersQuota": usersQuota, "GroupsQuota": groupsQuota, "RolesQuota": rolesQuota, "PoliciesQuota": policiesQuota,
		"InstanceProfilesQuota": profilesQuota, "PolicyVersionsInUseQuota": policyVersionsQuota,
		"ServerCertificatesQuota": serverCertificateQuota, "SigningCertificatesPerUserQuota": signingCertificates,
		"GlobalEndpointTokenVersion": globalTokenVersion,
		"UserPolicySizeQuota":        userInlineMax, "GroupPolicySizeQuota": groupInlineMax, "RolePolicySizeQuota": roleInlineMax,
		"AssumeRolePolicySizeQuota": trustBytesMax, "PolicySizeQuota": managedBytesMax, "VersionsPerPolicyQuota": policyVersionsMax,
		"GroupsPerUserQuota": groupsMax, "AccessKeysPerUserQuota": accessKeysMax,
		"AttachedPoliciesPerUserQuota": attachedMax, "AttachedPoliciesPerGroupQuota": attachedMax, "AttachedPoliciesPerRoleQuota": attachedMax,
		// What nobody here can have.
		"ServerCertificates": 0, "MFADevices": 0, "MFADevicesInUse": 0, "AccountMFAEnabled": 0, "AccountAccessKeysPresent": 0,
		"AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0, "Providers": 0,
	}
	for _, kind := range []struct {
		key  string
		kind iam.Kind
	}{
		{"Users", iam.KindUser}, {"Groups", iam.KindGroup}, {"Roles", iam.KindRole}, {"InstanceProfiles", iam.KindProfile},
	} {
		found, err := all(ctx, c, kind.kind, call.Account, func(e *iam.Entity) string { return e.Name })
		if err != nil {
			return nil, err
		}
		m[kind.key] = int32(len(found))
	}
	policies, err := all(ctx, c, iam.KindPolicy, call.Account, func(p *iam.Policy) string { return p.Name })
	if err != nil {
		return nil, err
	}
	m["Policies"] = int32(len(policies))
	for _, p := range policies {
		m["PolicyVersionsInUse"] += int32(len(p.Versions))
	}
	return &api.GetAccountSummaryResponse{SummaryMap: m}, nil
}

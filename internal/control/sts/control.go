// Package sts owns the control plane of STS: it hands out temporary credentials
// and tells callers who they are. It must never import a room that runs functions:
// the credentials of functions come from internal/iam, also while this is down.
package sts

import (
	"context"
	"errors"
	"strings"
	"time"

	api "github.com/lambdad/lambdad/internal/api/sts"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/iam/managed"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// Lifetimes (STS API reference).
const (
	roleLifeDefault       = time.Hour
	chainedLifeMax        = time.Hour // of a role assumed with a role
	sessionLifeDefault    = 12 * time.Hour
	federationLifeDefault = 12 * time.Hour
	rootLifeMax           = time.Hour // of sessions that the root asks for
)

const (
	sessionPolicyBytesMax = 2048 // all session policies together, as text
	sessionPolicyARNsMax  = 10
	sessionTagsMax        = 50
)

// Control implements the operations. Make it with Handlers.
type Control struct{ auth *iam.Authority }

// Handlers returns the operations of STS that are built, with their
// authorisation.
func Handlers(auth *iam.Authority) api.Handlers {
	c := &Control{auth: auth}
	return api.Handlers{
		Authorize: c.authorize, AssumeRole: c.assumeRole, GetCallerIdentity: c.getCallerIdentity, GetSessionToken: c.getSessionToken,
		GetFederationToken: c.getFederationToken, GetAccessKeyInfo: c.getAccessKeyInfo, DecodeAuthorizationMessage: c.decodeAuthorizationMessage,
	}
}

func (c *Control) getCallerIdentity(_ context.Context, call *wire.Call, _ *api.GetCallerIdentityRequest) (*api.GetCallerIdentityResponse, error) {
	return &api.GetCallerIdentityResponse{
		UserId: wire.Ptr(call.Principal.UserID), Account: wire.Ptr(string(call.Principal.Account)), Arn: wire.Ptr(call.Principal.ARN),
	}, nil
}

func (c *Control) getAccessKeyInfo(_ context.Context, _ *wire.Call, in *api.GetAccessKeyInfoRequest) (*api.GetAccessKeyInfoResponse, error) {
	account, ok := iam.AccountOfKey(text(in.AccessKeyId))
	if !ok {
		return nil, invalid("Invalid Access Key ID: %s", text(in.AccessKeyId))
	}
	return &api.GetAccessKeyInfoResponse{Account: wire.Ptr(string(account))}, nil
}

// decodeAuthorizationMessage knows no message: services that encode why they refuse (EC2) are not here.
func (c *Control) decodeAuthorizationMessage(context.Context, *wire.Call, *api.DecodeAuthorizationMessageRequest) (*api.DecodeAuthorizationMessageResponse, error) {
	return nil, api.NewInvalidAuthorizationMessageException("Message is not valid")
}

func (c *Control) assumeRole(ctx context.Context, call *wire.Call, in *api.AssumeRoleRequest) (*api.AssumeRoleResponse, error) {
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, wire.NewFault(403, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	if len(in.ProvidedContexts) > 0 {
		return nil, wire.NewFault(400, "InvalidParameterValue", "ProvidedContexts is not supported.")
	}
	arn := text(in.RoleArn)
	if _, err := aws.ParseARN(arn); err != nil {
		return nil, invalid("%s is invalid", arn)
	}
	bounds, err := c.sessionBounds(ctx, call, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	tags, err := sessionTags(in.Tags)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TransitiveTagKeys {
		if _, ok := lookupFold(tags, key); !ok {
			return nil, wire.NewFault(400, "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
		}
	}
	inherited := iam.TransitiveTags(call)
	transitive := append([]string{}, in.TransitiveTagKeys...)
	for key, value := range inherited {
		if _, ok := lookupFold(tags, key); ok {
			return nil, wire.NewFault(400, "InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		if tags == nil {
			tags = map[string]string{}
		}
		tags[key] = value
		transitive = append(transitive, key)
	}
	life := roleLifeDefault
	if in.DurationSeconds != nil {
		life = time.Duration(*in.DurationSeconds) * time.Second
	}
	if role, ok := c.auth.RoleTrust(arn); ok && life > time.Duration(role.MaxSessionSeconds)*time.Second && in.DurationSeconds != nil {
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if call.Principal.Type == aws.PrincipalAssumedRole && life > chainedLifeMax {
		return nil, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	source := text(in.SourceIdentity)
	if have := call.SessionContext["aws:SourceIdentity"]; len(have) == 1 {
		if source != "" && source != have[0] {
			return nil, denied(call, "sts:SetSourceIdentity", arn)
		}
		source = have[0]
	}
	issued, who, err := c.auth.IssueRole(iam.RoleSession{
		RoleARN: arn, Name: text(in.RoleSessionName), Life: life, Policies: bounds.documents, PolicyARNs: bounds.arns, Tags: tags,
		TransitiveTags: transitive, SourceIdentity: source,
	})
	if errors.Is(err, iam.ErrNoRole) {
		return nil, denied(call, "sts:AssumeRole", arn)
	}
	if err != nil {
		return nil, err
	}
	out := &api.AssumeRoleResponse{
		Credentials:     credentialsShape(issued),
		AssumedRoleUser: &api.AssumedRoleUser{AssumedRoleId: wire.Ptr(who.UserID), Arn: wire.Ptr(who.ARN)},
	}
	if source != "" {
		out.SourceIdentity = &source
	}
	if bounds.given || len(in.Tags) > 0 {
		out.PackedPolicySize = wire.Ptr(bounds.packed(tags))
	}
	return out, nil
}

func (c *Control) getSessionToken(_ context.Context, call *wire.Call, in *api.GetSessionTokenRequest) (*api.GetSessionTokenResponse, error) {
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, wire.NewFault(403, "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	issued, err := c.auth.IssueSessionToken(call, lifeOf(call, in.DurationSeconds, sessionLifeDefault))
	if errors.Is(err, iam.ErrNotIssuable) {
		return nil, wire.NewFault(403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	if err != nil {
		return nil, err
	}
	return &api.GetSessionTokenResponse{Credentials: credentialsShape(issued)}, nil
}

func (c *Control) getFederationToken(ctx context.Context, call *wire.Call, in *api.GetFederationTokenRequest) (*api.GetFederationTokenResponse, error) {
	bounds, err := c.sessionBounds(ctx, call, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	tags, err := sessionTags(in.Tags)
	if err != nil {
		return nil, err
	}
	issued, who, err := c.auth.IssueFederation(call, iam.Federation{
		Name: text(in.Name), Life: lifeOf(call, in.DurationSeconds, federationLifeDefault), Policies: bounds.documents, PolicyARNs: bounds.arns, Tags: tags,
	})
	if errors.Is(err, iam.ErrNotIssuable) {
		return nil, wire.NewFault(403, "AccessDenied", "Cannot call GetFederationToken with session credentials")
	}
	if err != nil {
		return nil, err
	}
	return &api.GetFederationTokenResponse{
		Credentials:      credentialsShape(issued),
		FederatedUser:    &api.FederatedUser{FederatedUserId: wire.Ptr(who.UserID), Arn: wire.Ptr(who.ARN)},
		PackedPolicySize: wire.Ptr(bounds.packed(tags)),
	}, nil
}

// lifeOf is the life asked for; the root gets an hour at most.
func lifeOf(call *wire.Call, seconds *int32, fallback time.Duration) time.Duration {
	life := fallback
	if seconds != nil {
		life = time.Duration(*seconds) * time.Second
	}
	if call.Principal.Type == aws.PrincipalRoot {
		life = min(life, rootLifeMax)
	}
	return life
}

func credentialsShape(c iam.IssuedCredentials) *api.Credentials {
	return &api.Credentials{AccessKeyId: &c.AccessKeyID, SecretAccessKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, Expiration: &c.Expiration}
}

// bounds are the session policies of a request.
type bounds struct {
	documents []string
	arns      []string
	given     bool
	size      int
}

// packed is the share of the space that session policies and tags take, in
// percent. AWS packs them in a form of its own; the plain size stands in for it.
func (b bounds) packed(tags map[string]string) int32 {
	n := b.size
	for k, v := range tags {
		n += len(k) + len(v)
	}
	return int32(n * 100 / (sessionPolicyBytesMax * 4))
}

func (c *Control) sessionBounds(ctx context.Context, call *wire.Call, document *string, arns []api.PolicyDescriptorType) (bounds, error) {
	var b bounds
	if len(arns) > sessionPolicyARNsMax {
		return b, invalid("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", sessionPolicyARNsMax)
	}
	if text(document) != "" {
		if _, err := policy.ParseFor(policy.KindSession, *document); err != nil {
			return b, api.NewMalformedPolicyDocumentException(err.Error())
		}
		b.documents, b.given = []string{*document}, true
		b.size += len(*document)
	}
	for _, d := range arns {
		arn := text(d.Arn)
		b.given = true
		b.size += len(arn)
		if _, ok := managed.Find(arn); !ok {
			a, err := aws.ParseARN(arn)
			if err != nil || a.Account != call.Account {
				return b, invalid("PolicyArns must be of the same account: %s", arn)
			}
			_, err = iam.Get[iam.Policy](ctx, c.auth.Table(), iam.Key(iam.KindPolicy, a.Account, arn[strings.LastIndexByte(arn, '/')+1:]))
			if errors.Is(err, store.ErrNotFound) {
				return b, invalid("Policy %s does not exist or is not attachable.", arn)
			}
			if err != nil {
				return b, err
			}
		}
		b.arns = append(b.arns, arn)
	}
	if b.size > sessionPolicyBytesMax {
		return b, api.NewPackedPolicyTooLargeException("Packed size of session policies exceeds the limit.")
	}
	return b, nil
}

// reservedTagPrefix begins keys that only AWS sets. Source: IAM user guide, "Rules for tagging in IAM and AWS STS".
const reservedTagPrefix = "aws:"

// sessionTags reads tags; keys know no case.
func sessionTags(in []api.Tag) (map[string]string, error) {
	if len(in) > sessionTagsMax {
		return nil, invalid("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", sessionTagsMax)
	}
	var out map[string]string
	for _, t := range in {
		if _, ok := lookupFold(out, text(t.Key)); ok {
			return nil, wire.NewFault(400, "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(strings.ToLower(text(t.Key)), reservedTagPrefix) {
			return nil, wire.NewFault(400, "InvalidParameterValue", "Invalid tag key: %s. Tag keys must not begin with aws:.", text(t.Key))
		}
		if out == nil {
			out = map[string]string{}
		}
		out[text(t.Key)] = text(t.Value)
	}
	return out, nil
}

func lookupFold(m map[string]string, key string) (string, bool) {
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return "", false
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func invalid(format string, args ...any) error {
	return wire.NewFault(400, "ValidationError", format, args...)
}

// denied is how STS answers for a role that is not there or does not trust the
// caller: it does not tell which.
func denied(call *wire.Call, action, arn string) error {
	return wire.NewFault(403, "AccessDenied", "User: %s is not authorized to perform: %s on resource: %s", call.Principal.ARN, action, arn)
}

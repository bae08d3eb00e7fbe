package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/wire"
)

// Error kinds of issuing; match with errors.Is.
var (
	// ErrNoRole: there is no such role.
	ErrNoRole = errors.New("iam: no such role")
	// ErrNotTrusted: the role's trust policy does not name the caller.
	ErrNotTrusted = errors.New("iam: role does not trust the caller")
	// ErrNotIssuable: this caller can get no such session.
	ErrNotIssuable = errors.New("iam: session cannot be issued to this caller")
)

// lambdaService is the principal that runs functions.
const lambdaService = "lambda.amazonaws.com"

// RoleSession says what a session of a role is to be like.
type RoleSession struct {
	RoleARN        string
	Name           string
	Life           time.Duration
	Policies       []string // documents
	PolicyARNs     []string
	Tags           map[string]string
	TransitiveTags []string
	SourceIdentity string
	// SourceFunction is the ARN of the function that the session is for, if it is one's.
	SourceFunction string
}

// IssueRole makes a session of a role. The caller has authorised it.
func (a *Authority) IssueRole(s RoleSession) (IssuedCredentials, aws.Principal, error) {
	r := a.dir.roleByARN(s.RoleARN)
	if r == nil {
		return IssuedCredentials{}, aws.Principal{}, fmt.Errorf("%s: %w", s.RoleARN, ErrNoRole)
	}
	session := Session{
		Type: aws.PrincipalAssumedRole, Account: r.Account, Name: r.Name, ID: r.ID, SessionName: s.Name, Policies: s.Policies,
		PolicyARNs: s.PolicyARNs, Tags: s.Tags, TransitiveTags: s.TransitiveTags, SourceIdentity: s.SourceIdentity,
		SourceFunction: s.SourceFunction,
	}
	c, err := a.master.issue(session, a.now(), s.Life)
	return c, session.makePrincipal(), err
}

// IssueForFunction makes the credentials of a function's environment. The role
// must trust the Lambda service. The session has the function's name.
func (a *Authority) IssueForFunction(_ context.Context, roleARN, functionARN string, ttl time.Duration) (IssuedCredentials, error) {
	sessionName := functionARN[strings.LastIndexByte(functionARN, ':')+1:]
	if a.mode == ModeNone {
		if r := a.dir.roleByARN(roleARN); r == nil {
			return a.issueUnknownRole(roleARN, sessionName, ttl)
		}
	} else if err := a.AssumableBy(roleARN, lambdaService); err != nil {
		return IssuedCredentials{}, err
	}
	c, _, err := a.IssueRole(RoleSession{RoleARN: roleARN, Name: sessionName, Life: ttl, SourceFunction: functionARN})
	return c, err
}

// issueUnknownRole serves --auth=none, where functions run with roles that
// nobody made; such a session is nobody's as soon as signatures count.
func (a *Authority) issueUnknownRole(roleARN, sessionName string, ttl time.Duration) (IssuedCredentials, error) {
	arn, err := aws.ParseARN(roleARN)
	if err != nil || !arn.Account.Valid() || !strings.HasPrefix(arn.Resource, "role/") {
		return IssuedCredentials{}, fmt.Errorf("%s: %w", roleARN, ErrNoRole)
	}
	return a.master.issue(Session{
		Type: aws.PrincipalAssumedRole, Account: arn.Account, Name: roleARN[strings.LastIndexByte(roleARN, '/')+1:],
		ID: PrefixRole + "UNKNOWNROLE", SessionName: sessionName,
	}, a.now(), ttl)
}

// AssumableBy reports whether a role exists and trusts a service: nil,
// ErrNoRole or ErrNotTrusted. Under --auth=none every role is assumable.
func (a *Authority) AssumableBy(roleARN, service string) error {
	r := a.dir.roleByARN(roleARN)
	if a.mode == ModeNone {
		return nil
	}
	if r == nil {
		return fmt.Errorf("%s: %w", roleARN, ErrNoRole)
	}
	d := policy.Evaluate(&policy.Request{
		Principal: policy.Principal{Type: aws.PrincipalService, ARN: service},
		Action:    "sts:AssumeRole", Resource: r.arn, ResourceAccount: r.Account,
		Context: policy.Values{"aws:sourceaccount": {string(r.Account)}, "aws:principalisawsservice": {"true"}},
	}, &policy.Policies{Resource: []policy.Source{{Name: r.Name, Document: r.trust}}, ResourceRequired: true})
	if d.Outcome != policy.Allowed {
		return fmt.Errorf("%s and %s: %w", roleARN, service, ErrNotTrusted)
	}
	return nil
}

// RoleTrust returns a role with its trust policy as the directory knows it.
func (a *Authority) RoleTrust(roleARN string) (Role, bool) {
	r := a.dir.roleByARN(roleARN)
	if r == nil {
		return Role{}, false
	}
	role := r.Role
	role.Trust = a.Trust(&role)
	return role, true
}

// IssueSessionToken makes a session with all rights of the calling user or root.
func (a *Authority) IssueSessionToken(call *wire.Call, life time.Duration) (IssuedCredentials, error) {
	s := Session{Type: call.Principal.Type, Account: call.Principal.Account}
	if err := a.behind(call, &s); err != nil {
		return IssuedCredentials{}, err
	}
	return a.master.issue(s, a.now(), life)
}

// Federation says what a federated user's session is to be like.
type Federation struct {
	Name       string
	Life       time.Duration
	Policies   []string
	PolicyARNs []string
	Tags       map[string]string
}

// IssueFederation makes a session for someone whom the caller vouches for.
func (a *Authority) IssueFederation(call *wire.Call, f Federation) (IssuedCredentials, aws.Principal, error) {
	s := Session{
		Type: aws.PrincipalFederatedUser, Account: call.Principal.Account, SessionName: f.Name,
		Policies: f.Policies, PolicyARNs: f.PolicyARNs, Tags: f.Tags,
	}
	if err := a.behind(call, &s); err != nil {
		return IssuedCredentials{}, aws.Principal{}, err
	}
	c, err := a.master.issue(s, a.now(), f.Life)
	return c, s.makePrincipal(), err
}

// behind puts the calling user into a session; the root has no name.
func (a *Authority) behind(call *wire.Call, s *Session) error {
	if _, inSession := call.SessionContext[contextTokenIssued]; inSession {
		return ErrNotIssuable
	}
	switch call.Principal.Type {
	case aws.PrincipalRoot:
		return nil
	case aws.PrincipalUser:
		s.Name, s.ID = call.Principal.ARN[strings.LastIndexByte(call.Principal.ARN, '/')+1:], call.Principal.UserID
		return nil
	}
	return ErrNotIssuable
}

// TransitiveTags returns the session tags that follow the caller into the
// next role.
func TransitiveTags(call *wire.Call) map[string]string {
	out := map[string]string{}
	for _, key := range call.SessionContext[contextTransitive] {
		if v := call.SessionContext[contextTagPrefix+key]; len(v) == 1 {
			out[key] = v[0]
		}
	}
	return out
}

// InSession reports whether temporary credentials made the call.
func InSession(call *wire.Call) bool {
	_, ok := call.SessionContext[contextTokenIssued]
	return ok
}

// Assumable is AssumableBy for the service that runs functions.
func (a *Authority) Assumable(_ context.Context, roleARN string) error {
	return a.AssumableBy(roleARN, lambdaService)
}

package iam

import (
	"strconv"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam/policy"
	"github.com/lambdad/lambdad/internal/wire"
)

// requestContext answers for the condition keys of one request. Nothing is
// computed before a policy asks for it.
type requestContext struct {
	call     *wire.Call
	subject  *subject
	resource aws.AccountID       // owner of the resource
	extra    map[string][]string // of the action
}

// Lookup implements policy.Context for the global condition keys (IAM user
// guide, "AWS global condition context keys"), the session's and the action's.
func (c *requestContext) Lookup(key string) ([]string, bool) {
	if v, ok := c.global(key); ok {
		return []string{v}, true
	}
	for k, v := range c.extra {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	if strings.HasPrefix(key, contextPrivate) {
		return nil, false
	}
	for k, v := range c.call.SessionContext {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		for _, t := range c.subject.tags {
			if strings.EqualFold(t.Key, tag) {
				return []string{t.Value}, true
			}
		}
	}
	return nil, false
}

func (c *requestContext) global(key string) (string, bool) {
	p := &c.call.Principal
	switch key {
	case "aws:sourceip":
		return c.call.SourceIP.String(), c.call.SourceIP.IsValid()
	case "aws:currenttime":
		return c.call.Received.UTC().Format("2006-01-02T15:04:05Z"), true
	case "aws:epochtime":
		return strconv.FormatInt(c.call.Received.Unix(), 10), true
	case "aws:securetransport":
		return strconv.FormatBool(c.call.SecureTransport), true
	case "aws:useragent":
		return c.call.UserAgent, c.call.UserAgent != ""
	case "aws:requestedregion":
		return string(c.call.Region), c.call.Region != ""
	case "aws:resourceaccount":
		return string(c.resource), c.resource != ""
	case "aws:principalisawsservice":
		return strconv.FormatBool(p.Type == aws.PrincipalService), true
	case "aws:viaawsservice":
		return "false", true
	case "aws:principalservicename":
		return p.ARN, p.Type == aws.PrincipalService
	}
	if p.Type == aws.PrincipalService {
		return "", false
	}
	switch key {
	case "aws:principaltype":
		return principalTypeName(p.Type), true
	case "aws:principalarn":
		if p.Type == aws.PrincipalAnonymous {
			return "", false
		}
		if c.subject.roleARN != "" {
			return c.subject.roleARN, true
		}
		return p.ARN, true
	case "aws:principalaccount":
		return string(p.Account), p.Type != aws.PrincipalAnonymous
	case "aws:userid":
		return p.UserID, p.UserID != ""
	case "aws:username":
		return c.subject.userName, c.subject.userName != ""
	}
	return "", false
}

func principalTypeName(t aws.PrincipalType) string {
	switch t {
	case aws.PrincipalRoot:
		return "Account"
	case aws.PrincipalUser:
		return "User"
	case aws.PrincipalAssumedRole:
		return "AssumedRole"
	case aws.PrincipalFederatedUser:
		return "FederatedUser"
	default:
		return "Anonymous"
	}
}

// subject is the identity behind a principal, with its policies.
type subject struct {
	grants   *grants
	root     bool // may do everything inside its session policies
	tags     []Tag
	userName string
	roleARN  string
	who      policy.Principal
}

// subjectOf finds the identity behind a principal. Unknown ones have no
// grants.
func (a *Authority) subjectOf(p *aws.Principal, session map[string][]string) subject {
	s := subject{grants: &noGrants, who: policy.Principal{Type: p.Type, Account: p.Account, ARN: p.ARN}}
	switch p.Type {
	case aws.PrincipalRoot:
		s.root = true
	case aws.PrincipalUser:
		s.userName = p.ARN[strings.LastIndexByte(p.ARN, '/')+1:]
		if u := a.dir.user(p.Account, s.userName); u != nil && u.ID == p.UserID {
			s.grants, s.tags = a.dir.userGrants(u), u.Tags
		}
	case aws.PrincipalAssumedRole:
		rest, ok := strings.CutPrefix(p.ARN, "arn:"+partition+":sts::"+string(p.Account)+":assumed-role/")
		name, _, _ := strings.Cut(rest, "/")
		if r := a.dir.role(p.Account, name); ok && r != nil && strings.HasPrefix(p.UserID, r.ID+":") {
			s.grants, s.tags, s.roleARN, s.who.RoleARN = a.dir.roleGrants(r), r.Tags, r.arn, r.arn
		}
	case aws.PrincipalFederatedUser:
		issuer := session[contextIssuer]
		if len(issuer) != 1 {
			break
		}
		if issuer[0] == "" {
			s.root = true
		} else if u := a.dir.user(p.Account, issuer[0]); u != nil {
			s.grants = a.dir.userGrants(u)
		}
	}
	return s
}

// noGrants is shared and never changed.
var noGrants grants

// sessionPolicies are the policies that bound the session of a call.
func (a *Authority) sessionPolicies(call *wire.Call) (docs []policy.Source, bounded bool) {
	texts, arns := call.SessionContext[contextPolicies], call.SessionContext[contextPolicyARNs]
	for _, text := range texts {
		docs = append(docs, a.dir.source("session", text))
	}
	for _, arn := range arns {
		docs = append(docs, a.dir.managedSource(arn))
	}
	// A federated user without a session policy may do nothing (sts API
	// reference, GetFederationToken).
	return docs, len(docs) > 0 || call.Principal.Type == aws.PrincipalFederatedUser
}

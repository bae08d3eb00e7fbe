package iam

import (
	"errors"
	"net/http"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// Kinds of refusal that only the directory can find.
var (
	errUnknownKey   = errors.New("iam: unknown access key")
	errBadToken     = errors.New("iam: invalid security token")
	errExpiredToken = errors.New("iam: expired security token")
)

// Authenticate implements wire.Authenticator in the authority's mode.
func (a *Authority) Authenticate(r *http.Request, payload []byte, service string, protocol wire.Protocol) (wire.Identity, error) {
	id, err := a.identify(r, payload, service)
	if err != nil {
		return wire.Identity{}, faultFor(err, service, protocol)
	}
	return id, nil
}

func (a *Authority) identify(r *http.Request, payload []byte, service string) (wire.Identity, error) {
	if a.mode != ModeNone {
		return a.verify(r, payload, service)
	}
	id := a.trust(r)
	if how := r.Header.Get("X-Amz-Content-Sha256"); sigv4.Streaming(how) {
		var err error
		if id.Payload, err = sigv4.Unframe(payload, how); err != nil {
			return wire.Identity{}, err
		}
	}
	return id, nil
}

func (a *Authority) verify(r *http.Request, payload []byte, service string) (wire.Identity, error) {
	claim, err := sigv4.Parse(r)
	if err != nil {
		return wire.Identity{}, err
	}
	now := a.now()
	if err := claim.Check(sigv4.Expected{Service: service, Now: now}); err != nil {
		return wire.Identity{}, err
	}
	caller, err := a.callerOf(&claim, now)
	if err != nil {
		return wire.Identity{}, err
	}
	key, cached := a.keys.Get(caller.secret, claim.Scope)
	if err := claim.Verify(r, key, sigv4.Payload{Bytes: payload}); err != nil {
		return wire.Identity{}, err
	}
	if !cached {
		a.keys.Put(caller.secret, claim.Scope, key)
	}
	var decoded []byte
	if claim.Streaming() {
		decoded, err = sigv4.Unchunk(payload, claim, key, r.Header)
		if err != nil {
			return wire.Identity{}, err
		}
	}
	if caller.session && !sessionMayCall(caller.principal.Type, service) {
		return wire.Identity{}, errBadToken
	}
	if caller.entry != nil {
		caller.entry.note(now, claim.Scope)
	}
	return wire.Identity{
		Principal: caller.principal, AccessKeyID: claim.AccessKeyID, Region: regionOf(claim.Scope.Region),
		Service: claim.Scope.Service, SessionContext: caller.context, Payload: decoded,
	}, nil
}

// regionOf: clients of global services may sign for a pseudo region.
func regionOf(scope string) aws.Region {
	if scope == "aws-global" {
		return "us-east-1"
	}
	return aws.Region(scope)
}

// sessionMayCall: sessions of a user or of the root, and federated users, have no
// way into IAM (sts API reference, GetSessionToken and GetFederationToken).
func sessionMayCall(t aws.PrincipalType, service string) bool {
	return t == aws.PrincipalAssumedRole || service != "iam"
}

// caller is whom a key id belongs to, not yet proven.
type caller struct {
	principal aws.Principal
	secret    string
	session   bool
	context   map[string][]string
	entry     *keyEntry
}

func (a *Authority) callerOf(claim *sigv4.Claim, now time.Time) (caller, error) {
	if claim.SecurityToken != "" {
		return a.sessionCaller(claim, now)
	}
	k := a.dir.key(claim.AccessKeyID)
	if k == nil || !k.Active {
		return caller{}, errUnknownKey
	}
	if k.User == "" {
		return caller{principal: rootPrincipal(k.Account), secret: k.secret, entry: k}, nil
	}
	u := a.dir.user(k.Account, k.User)
	if u == nil || u.ID != k.UserID {
		return caller{}, errUnknownKey
	}
	return caller{principal: u.principal, secret: k.secret, entry: k}, nil
}

func (a *Authority) sessionCaller(claim *sigv4.Claim, now time.Time) (caller, error) {
	s, err := a.tokens.open(a.master, claim.SecurityToken)
	if err != nil || s.KeyID != claim.AccessKeyID {
		return caller{}, errBadToken
	}
	if now.Unix() >= s.Expires {
		return caller{}, errExpiredToken
	}
	c := caller{principal: s.principal, secret: s.secret, session: true, context: s.context}
	switch s.Type {
	case aws.PrincipalAssumedRole:
		if r := a.dir.role(s.Account, s.Name); r == nil || r.ID != s.ID {
			return caller{}, errBadToken
		}
	case aws.PrincipalUser:
		u := a.dir.user(s.Account, s.Name)
		if u == nil || u.ID != s.ID {
			return caller{}, errBadToken
		}
		c.principal = u.principal
	case aws.PrincipalFederatedUser:
		if s.Name != "" {
			if u := a.dir.user(s.Account, s.Name); u == nil || u.ID != s.ID {
				return caller{}, errBadToken
			}
		}
	}
	return c, nil
}

func rootPrincipal(account aws.AccountID) aws.Principal {
	return aws.Principal{Type: aws.PrincipalRoot, Account: account, ARN: RootARN(account), UserID: string(account)}
}

// trust is ModeNone: any key is the root of an account. A session that was
// issued here keeps its name, so that code can see who it runs as.
func (a *Authority) trust(r *http.Request) wire.Identity {
	claim, err := sigv4.Parse(r)
	if err != nil && claim.AccessKeyID == "" {
		return wire.Identity{Principal: rootPrincipal(DefaultAccount)}
	}
	id := wire.Identity{Region: regionOf(claim.Scope.Region), Service: claim.Scope.Service}
	if claim.SecurityToken != "" {
		if s, err := a.tokens.open(a.master, claim.SecurityToken); err == nil && s.KeyID == claim.AccessKeyID && s.principal.ARN != "" {
			id.Principal, id.SessionContext = s.principal, s.context
			return id
		}
	}
	account := DefaultAccount
	if named := aws.AccountID(claim.AccessKeyID); named.Valid() {
		account = named
	} else if k := a.dir.key(claim.AccessKeyID); k != nil {
		account = k.Account
		if u := a.dir.user(k.Account, k.User); u != nil {
			id.Principal = u.principal
			return id
		}
	}
	id.Principal = rootPrincipal(account)
	return id
}

package iam

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

// ErrToken means that a session token is none of ours.
var ErrToken = errors.New("iam: not a session token")

// Bounds of tokens.
const (
	tokenVersion   = 1
	tokenBytesMax  = 16 << 10 // longer: ErrToken
	tokenCacheMax  = 8192     // full: starts anew, tokens are opened again
	purposeToken   = "session token"
	purposeSession = "session secret"
	purposeSecret  = "access key secret"
	purposeService = "service password"
	purposeLogin   = "login password"
)

// Session is what a session token says. Everything that decides what the
// session may do is in the token or in the records of the identity behind it, so
// issuing one writes nothing.
type Session struct {
	Type    aws.PrincipalType `json:"t"`
	Account aws.AccountID     `json:"a"`
	// Name and ID are the role's, or the user's; ID makes the session die
	// with the identity, even when another of the same name is made.
	Name string `json:"n,omitempty"`
	ID   string `json:"i,omitempty"`
	// SessionName is the role session's or the federated user's.
	SessionName    string            `json:"s,omitempty"`
	Policies       []string          `json:"p,omitempty"` // documents
	PolicyARNs     []string          `json:"pa,omitempty"`
	Tags           map[string]string `json:"g,omitempty"`
	TransitiveTags []string          `json:"tt,omitempty"`
	SourceIdentity string            `json:"si,omitempty"`
	SourceFunction string            `json:"fn,omitempty"` // ARN

	KeyID   string `json:"k"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`

	secret    string
	principal aws.Principal
	context   map[string][]string
}

// IssuedCredentials are temporary credentials with their end.
type IssuedCredentials struct {
	sigv4.Credentials
	Expiration time.Time
}

// issue seals a session and gives out its credentials.
func (m *Master) issue(s Session, now time.Time, life time.Duration) (IssuedCredentials, error) {
	s.KeyID = newKeyID(prefixSession, s.Account)
	s.Issued, s.Expires = now.Unix(), now.Add(life).Unix()
	text, err := json.Marshal(&s)
	if err != nil {
		return IssuedCredentials{}, fmt.Errorf("encode session: %w", err)
	}
	sealed := m.seal(purposeToken, "", text)
	token := base64.StdEncoding.EncodeToString(append([]byte{tokenVersion}, sealed...))
	if len(token) > tokenBytesMax {
		return IssuedCredentials{}, fmt.Errorf("session of %d bytes: %w", len(token), ErrToken)
	}
	return IssuedCredentials{
		Credentials: sigv4.Credentials{AccessKeyID: s.KeyID, SecretAccessKey: m.sessionSecret(s.KeyID, sealed), SessionToken: token},
		Expiration:  time.Unix(s.Expires, 0).UTC(),
	}, nil
}

// open reads a token. It does not say whether the session is still alive.
func (m *Master) open(token string) (*Session, error) {
	if len(token) > tokenBytesMax {
		return nil, ErrToken
	}
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(b) < 1+saltBytes || b[0] != tokenVersion {
		return nil, ErrToken
	}
	text, err := m.unseal(purposeToken, "", b[1:])
	if err != nil {
		return nil, ErrToken
	}
	s := &Session{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	s.secret = m.sessionSecret(s.KeyID, b[1:])
	s.principal = s.makePrincipal()
	s.context = s.makeContext()
	return s, nil
}

// sessionSecret derives the secret of a session from its token's salt.
func (m *Master) sessionSecret(keyID string, sealed []byte) string {
	sum := m.derive(purposeSession, append([]byte(keyID), sealed[:saltBytes]...))
	return base64.StdEncoding.EncodeToString(sum[:])[:40]
}

func (s *Session) makePrincipal() aws.Principal {
	p := aws.Principal{Type: s.Type, Account: s.Account}
	sts := "arn:" + partition + ":sts::" + string(s.Account) + ":"
	switch s.Type {
	case aws.PrincipalAssumedRole:
		p.ARN, p.UserID = sts+"assumed-role/"+s.Name+"/"+s.SessionName, s.ID+":"+s.SessionName
	case aws.PrincipalFederatedUser:
		p.ARN, p.UserID = sts+"federated-user/"+s.SessionName, string(s.Account)+":"+s.SessionName
	case aws.PrincipalRoot:
		p.ARN, p.UserID = RootARN(s.Account), string(s.Account)
	}
	return p
}

// RootARN names the root of an account.
func RootARN(account aws.AccountID) string {
	return "arn:" + partition + ":iam::" + string(account) + ":root"
}

// Context keys that carry a session's policies from authentication to authorisation.
// No policy can ask for them: the evaluator's context leaves them out.
const (
	contextPrivate     = "lambdad:"
	contextPolicies    = contextPrivate + "SessionPolicies"
	contextPolicyARNs  = contextPrivate + "SessionPolicyArns"
	contextIssuer      = contextPrivate + "SessionIssuer"
	contextTransitive  = contextPrivate + "TransitiveTagKeys"
	contextTokenIssued = "aws:TokenIssueTime"
	contextTagPrefix   = "aws:PrincipalTag/"
	contextSourceID    = "aws:SourceIdentity"
	// Source: Lambda developer guide, "Working with Lambda execution environment credentials".
	contextSourceFunction = "lambda:SourceFunctionArn"
)

func (s *Session) makeContext() map[string][]string {
	m := map[string][]string{contextTokenIssued: {time.Unix(s.Issued, 0).UTC().Format(time.RFC3339)}}
	for k, v := range s.Tags {
		m[contextTagPrefix+k] = []string{v}
	}
	if s.SourceIdentity != "" {
		m[contextSourceID] = []string{s.SourceIdentity}
	}
	if s.SourceFunction != "" {
		m[contextSourceFunction] = []string{s.SourceFunction}
	}
	if len(s.Policies) > 0 {
		m[contextPolicies] = s.Policies
	}
	if len(s.PolicyARNs) > 0 {
		m[contextPolicyARNs] = s.PolicyARNs
	}
	if len(s.TransitiveTags) > 0 {
		m[contextTransitive] = s.TransitiveTags
	}
	if s.Type == aws.PrincipalFederatedUser {
		m[contextIssuer] = []string{s.Name}
	}
	return m
}

// tokenCache remembers opened tokens. Only tokens that our own key sealed get
// in, so nobody can fill it with noise.
type tokenCache struct {
	mu       sync.RWMutex
	sessions map[string]*Session
}

func (c *tokenCache) open(m *Master, token string) (*Session, error) {
	c.mu.RLock()
	s := c.sessions[token]
	c.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	s, err := m.open(token)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil || len(c.sessions) >= tokenCacheMax {
		c.sessions = map[string]*Session{}
	}
	c.sessions[token] = s
	return s, nil
}

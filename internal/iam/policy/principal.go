package policy

import (
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
)

// Principal is the caller as policies name it.
type Principal struct {
	Type    aws.PrincipalType
	Account aws.AccountID
	// ARN of the user, the session, the federated user or the root; the
	// service's name for a service.
	ARN string
	// RoleARN is the role behind an assumed-role session.
	RoleARN string
	// Provider is the identity provider of a web identity or SAML request.
	Provider string
}

// grant is how directly a Principal element names the caller.
type grant uint8

const (
	grantNone grant = iota
	// grantAccount names the caller's account, which leaves the decision to
	// that account's own policies.
	grantAccount
	// grantRole names everyone or the role: it stays inside the session's
	// boundary and session policies.
	grantRole
	// grantDirect names the user, the session or the service itself.
	grantDirect
)

// principals is a compiled Principal or NotPrincipal element.
type principals struct {
	not       bool
	everyone  bool // "Principal": "*"
	aws       []string
	service   []string
	federated []string
}

func (p *principals) match(who *Principal, effect Effect) grant {
	g := p.named(who)
	if !p.not {
		return g
	}
	// An account in a denial's NotPrincipal does not spare those who live in it: they must be
	// named themselves, or by their role (IAM user guide, "IAM JSON policy elements: NotPrincipal").
	if g == grantNone || g == grantAccount && effect == EffectDeny {
		return grantRole
	}
	return grantNone
}

func (p *principals) named(who *Principal) grant {
	best := grantNone
	if p.everyone {
		best = everyoneGrant(who)
	}
	for _, entry := range p.aws {
		best = max(best, matchAWS(entry, who))
	}
	for _, entry := range p.service {
		if who.Type == aws.PrincipalService && (entry == who.ARN || entry == "*") {
			best = grantDirect
		}
	}
	for _, entry := range p.federated {
		if who.Provider != "" && (entry == who.Provider || entry == "*") {
			best = grantDirect
		}
	}
	return best
}

func everyoneGrant(who *Principal) grant {
	if who.Type == aws.PrincipalUser || who.Type == aws.PrincipalRoot || who.Type == aws.PrincipalService || who.Type == aws.PrincipalAnonymous {
		return grantDirect
	}
	return grantRole
}

func matchAWS(entry string, who *Principal) grant {
	if entry == "*" {
		return everyoneGrant(who)
	}
	if who.Type == aws.PrincipalService || who.Type == aws.PrincipalAnonymous {
		return grantNone
	}
	if aws.AccountID(entry).Valid() {
		return accountGrant(aws.AccountID(entry), who)
	}
	arn, err := aws.ParseARN(entry)
	if err != nil {
		return grantNone
	}
	switch {
	case arn.Service == "iam" && arn.Resource == "root":
		return accountGrant(arn.Account, who)
	case entry == who.ARN:
		return grantDirect
	case who.RoleARN != "" && entry == who.RoleARN:
		return grantRole
	}
	return grantNone
}

func accountGrant(account aws.AccountID, who *Principal) grant {
	switch {
	case account != who.Account:
		return grantNone
	case who.Type == aws.PrincipalRoot:
		return grantDirect
	default:
		return grantAccount
	}
}

// validServiceName: a service principal is a host name under amazonaws.com.
func validServiceName(s string) bool {
	name, ok := strings.CutSuffix(s, ".amazonaws.com")
	if !ok {
		name, ok = strings.CutSuffix(s, ".amazonaws.com.cn")
	}
	if !ok || name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

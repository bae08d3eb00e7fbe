package aws

import "strings"

// PrincipalType says what kind of identity made a request.
type PrincipalType int

const (
	// PrincipalAnonymous made an unsigned request.
	PrincipalAnonymous PrincipalType = iota
	// PrincipalRoot is the account itself.
	PrincipalRoot
	// PrincipalUser is an IAM user.
	PrincipalUser
	// PrincipalAssumedRole is a session of an IAM role.
	PrincipalAssumedRole
	// PrincipalFederatedUser is a session made by GetFederationToken.
	PrincipalFederatedUser
	// PrincipalService is an AWS service acting for itself, e.g. apigateway.amazonaws.com.
	PrincipalService
)

// Principal is who makes a request: the answer of authentication and the
// subject of authorisation.
type Principal struct {
	Type    PrincipalType
	Account AccountID
	// ARN is what sts:GetCallerIdentity answers, e.g.
	// arn:aws:iam::000000000000:user/alice or
	// arn:aws:sts::000000000000:assumed-role/ROLE/SESSION. For a service it is
	// the service's name.
	ARN string
	// UserID is the unique id: AIDA... for users, AROA...:SESSION for assumed
	// roles, the account id for root.
	UserID string
}

// SessionName returns the last segment of an assumed role's ARN, "" for others.
func (p Principal) SessionName() string {
	if p.Type != PrincipalAssumedRole {
		return ""
	}
	return p.ARN[strings.LastIndexByte(p.ARN, '/')+1:]
}

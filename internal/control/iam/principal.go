package iam

import (
	"context"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
)

// principalID is the unique id of the user or role that a trust policy names, of a
// session that of its role. AWS refuses a policy that names one which does not
// exist. An account, an id of something deleted and * are taken as they are.
func (c *Control) principalID(ctx context.Context, principal string) (id string, ok bool) {
	arn, err := aws.ParseARN(principal)
	if err != nil {
		return "", true
	}
	kind, path, _ := strings.Cut(arn.Resource, "/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch kind {
	case "user":
		u, err := iam.Get[iam.User](ctx, c.table, iam.Key(iam.KindUser, arn.Account, name))
		if err != nil || u.Value.ARN() != principal {
			return "", false
		}
		return u.Value.ID, true
	case "role":
		r, err := iam.Get[iam.Role](ctx, c.table, iam.Key(iam.KindRole, arn.Account, name))
		if err != nil || r.Value.ARN() != principal {
			return "", false
		}
		return r.Value.ID, true
	case "assumed-role":
		role, _, _ := strings.Cut(path, "/")
		r, err := iam.Get[iam.Role](ctx, c.table, iam.Key(iam.KindRole, arn.Account, role))
		if err != nil {
			return "", false
		}
		return r.Value.ID, true
	}
	return "", true
}

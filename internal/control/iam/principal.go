package iam

import (
	"context"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/iam"
)

// principalExists: AWS refuses a trust policy that names a user or role which
// does not exist. An account, an id of something deleted and * are taken as they are.
func (c *Control) principalExists(ctx context.Context, principal string) bool {
	arn, err := aws.ParseARN(principal)
	if err != nil {
		return true
	}
	kind, name, _ := strings.Cut(arn.Resource, "/")
	last := name[strings.LastIndexByte(name, '/')+1:]
	switch kind {
	case "user":
		u, err := iam.Get[iam.User](ctx, c.table, iam.Key(iam.KindUser, arn.Account, last))
		return err == nil && u.Value.ARN() == principal
	case "role":
		r, err := iam.Get[iam.Role](ctx, c.table, iam.Key(iam.KindRole, arn.Account, last))
		return err == nil && r.Value.ARN() == principal
	case "assumed-role":
		role, _, _ := strings.Cut(name, "/")
		_, err := iam.Get[iam.Role](ctx, c.table, iam.Key(iam.KindRole, arn.Account, role))
		return err == nil
	}
	return true
}

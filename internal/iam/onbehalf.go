package iam

import (
	"context"
	"fmt"
	"strings"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/wire"
)

// RoleMay asks whether a role may do what a service does with it on a function's behalf, as
// pollers read queues: nil, ErrNoRole or the refusal. Under --auth=none it may.
func (a *Authority) RoleMay(ctx context.Context, roleARN string, access Access) error {
	if a.mode == ModeNone {
		return nil
	}
	r := a.dir.roleByARN(roleARN)
	if r == nil {
		return fmt.Errorf("%s: %w", roleARN, ErrNoRole)
	}
	service, _, _ := strings.Cut(access.Action, ":")
	const session = "lambda"
	call := &wire.Call{Service: service, Account: r.Account, Received: a.now(), SecureTransport: true, Principal: aws.Principal{
		Type: aws.PrincipalAssumedRole, Account: r.Account, UserID: r.ID + ":" + session,
		ARN: "arn:" + partition + ":sts::" + string(r.Account) + ":assumed-role/" + r.Name + "/" + session,
	}}
	return a.AuthorizeAccess(ctx, call, access)
}

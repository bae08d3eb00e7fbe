package node

import (
	"context"
	"time"

	"github.com/lambdad/lambdad/internal/iam"
	"github.com/lambdad/lambdad/internal/worker"
)

// functionCredentials is the worker's door to iam.
type functionCredentials struct{ authority *iam.Authority }

// IssueForFunction implements worker.Credentials.
func (c functionCredentials) IssueForFunction(ctx context.Context, roleARN, functionARN string, ttl time.Duration) (worker.TemporaryCredentials, error) {
	issued, err := c.authority.IssueForFunction(ctx, roleARN, functionARN, ttl)
	if err != nil {
		return worker.TemporaryCredentials{}, err
	}
	return worker.TemporaryCredentials{
		AccessKeyID:     issued.AccessKeyID,
		SecretAccessKey: issued.SecretAccessKey,
		SessionToken:    issued.SessionToken,
		Expires:         issued.Expiration,
	}, nil
}

// executionRoles is the Lambda control plane's door to iam.
type executionRoles struct{ authority *iam.Authority }

// Assumable implements control/lambda's Roles.
func (r executionRoles) Assumable(_ context.Context, roleARN string) error {
	return r.authority.AssumableBy(roleARN, "lambda.amazonaws.com")
}

// Known implements control/lambda's Roles.
func (r executionRoles) Known(_ context.Context, principalARN string) bool {
	return r.authority.Known(principalARN)
}

package node

import (
	"context"
	"fmt"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
)

// isolation joins the operator's policy, the functions' tags and what this host can do.
type isolation struct {
	policy    record.IsolationPolicy
	functions *record.Functions
	drivers   *drivers
}

// of is how environments of a version are to run: tags are the function's, and $LATEST has them.
func (i *isolation) of(fn *record.Function) record.Isolation {
	tags := fn.Tags
	if fn.Version != record.Latest {
		if latest, ok := i.functions.Function(fn.ID, record.Latest); ok {
			tags = latest.Tags
		}
	}
	return i.policy.Of(fn.ID.Account, tags)
}

// Allow implements control/lambda's Isolation.
func (i *isolation) Allow(ctx context.Context, account aws.AccountID, tags map[string]string) error {
	chosen, err := i.policy.Choose(account, tags)
	if err != nil {
		return err
	}
	if _, err := i.drivers.driver(ctx, chosen); err != nil {
		return fmt.Errorf("%w %s cannot be had on this host: %w", record.ErrIsolation, chosen, err)
	}
	return nil
}

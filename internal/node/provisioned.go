package node

import (
	"context"
	"errors"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// provisionedRetry is the pause after the store failed.
const provisionedRetry = 200 * time.Millisecond

// watchProvisioned tells the invoke path what is configured, until ctx ends or the store is closed.
func (n *node) watchProvisioned(ctx context.Context) error {
	for {
		err := record.WatchProvisioned(ctx, n.storage.store, n.provision.Changed)
		if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
			return err
		}
		n.log.Warn("the records of provisioned concurrency were lost and are read again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(provisionedRetry):
		}
	}
}

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
		err := record.WatchProvisioned(ctx, n.storage.store, n.provisionedChanged)
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

// provisionedChanged: what is configured is kept initialised, and is nobody else's concurrency.
func (n *node) provisionedChanged(id record.FunctionID, version string, config *record.Provisioned) {
	reserved := 0
	if config != nil {
		reserved = config.Requested
	}
	n.frontend.Reserve(id, version, reserved)
	n.provision.Changed(id, version, config)
}

// reservedChanged: a function runs within its reserved concurrency, and others without.
func (n *node) reservedChanged(c record.ViewChange[record.Qualified, record.Concurrency]) {
	reserved := -1
	if c.After != nil {
		reserved = c.After.Reserved
	}
	n.frontend.Share(c.Key.ID, reserved)
}

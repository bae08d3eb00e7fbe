package lambda

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// inMotion: a mapping on its way to another state can be neither changed nor removed. Source:
// Lambda API, ResourceInUseException.
func inMotion(m *record.Mapping) bool { return m.State != m.Settled() }

// updatedState is what an update shows.
func updatedState(before, after bool) record.MappingState {
	switch {
	case after && !before:
		return record.MappingEnabling
	case before && !after:
		return record.MappingDisabling
	default:
		return record.MappingUpdating
	}
}

func (c *Control) settleMappingLater(key record.Scoped, m *record.Mapping) {
	if inMotion(m) {
		c.mappings.add(key, time.Now().Add(c.mappings.after))
	}
}

// settleMappings settles until ctx ends, first what an earlier process left.
func (c *Control) settleMappings(ctx context.Context) {
	for {
		err := record.Mappings.Each(ctx, c.records, "", func(h heldMapping) { c.settleMappingLater(h.Key, h.Value) })
		if err == nil {
			break
		}
		c.log.Warn("event source mappings cannot be read and are read again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleRetry):
		}
	}
	c.mappings.run(ctx, c.settleMapping, func(key record.Scoped, err error) {
		c.log.Warn("an event source mapping could not be settled and waits again", "mapping", key.Name, "error", err)
	})
}

// settleMapping ends what a create, an update or a removal began.
func (c *Control) settleMapping(ctx context.Context, key record.Scoped) error {
	for range commitAttemptsMax {
		held, err := record.Mappings.Get(ctx, c.records, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if !inMotion(held.Value) {
			return nil
		}
		var writes []store.Write
		if state := held.Value.Settled(); state == "" {
			writes = []store.Write{record.Mappings.Drop(key, store.IfRevision(held.Revision)), dropClaim(key, held.Value)}
		} else {
			m := *held.Value
			m.State = state
			put, err := record.Mappings.Put(key, &m, store.IfRevision(held.Revision))
			if err != nil {
				return fmt.Errorf("settle: %w", err)
			}
			writes = []store.Write{put}
		}
		_, err = c.table.Commit(ctx, writes...)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("settle: %w", err)
		}
	}
	return fmt.Errorf("settle: %d attempts lost to other writers", commitAttemptsMax)
}

package lambda

import (
	"context"
	"errors"
	"maps"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire"
)

// taggableMapping reads the ARN of an event source mapping of the caller.
func taggableMapping(call *wire.Call, resource *string) (record.Scoped, bool) {
	key, ok := record.ParseMappingARN(value(resource))
	return key, ok && key.Scope == scopeOf(call)
}

// changeMappingTags edits the tags of a mapping.
func (c *Control) changeMappingTags(ctx context.Context, key record.Scoped, edit func(map[string]string)) error {
	for range commitAttemptsMax {
		held, err := c.mappingAt(ctx, key)
		if err != nil {
			return err
		}
		m := *held.Value
		if m.Tags = maps.Clone(m.Tags); m.Tags == nil {
			m.Tags = map[string]string{}
		}
		edit(m.Tags)
		if err := checkTags(m.Tags); err != nil {
			return err
		}
		put, err := record.Mappings.Put(key, &m, store.IfRevision(held.Revision))
		if err != nil {
			return err
		}
		_, err = c.table.Commit(ctx, put)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fault(err)
		}
	}
	return errNoDuplicate
}

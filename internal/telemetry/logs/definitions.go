package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/store"
)

// DefinitionsMax is the service's quota of query definitions in a scope.
const DefinitionsMax = 1000

// QueryDefinition is a query's text that is kept under a name.
type QueryDefinition struct {
	ID       string
	Name     string
	Text     string
	Groups   []string `json:",omitempty"`
	Modified int64
}

const definitionPrefix = "logs/q/"

func definitionKey(s Scope, id string) string { return definitionPrefix + s.key() + id }

// PutDefinition makes a definition, or replaces the one of its ID if it must be there.
// ErrDefinitionNotFound, ErrTooManyDefinitions.
func (l *Logs) PutDefinition(ctx context.Context, s Scope, d QueryDefinition, replace bool) error {
	d.Modified = l.millis()
	value, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode query definition: %w", err)
	}
	w := store.Write{Key: definitionKey(s, d.ID), Kind: store.WritePut, Value: value, If: store.IfAbsent()}
	return retryConflicts(func() error {
		if replace {
			old, err := l.store.Get(ctx, w.Key)
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%q: %w", d.ID, ErrDefinitionNotFound)
			}
			if err != nil {
				return fmt.Errorf("read query definition: %w", err)
			}
			w.If = store.IfRevision(old.Revision)
		} else if all, err := l.Definitions(ctx, s, func(QueryDefinition) bool { return true }); err != nil || len(all) >= DefinitionsMax {
			return errors.Join(err, ErrTooManyDefinitions)
		}
		_, err := l.store.Commit(ctx, w)
		return err
	})
}

// DeleteDefinition deletes a definition. ErrDefinitionNotFound.
func (l *Logs) DeleteDefinition(ctx context.Context, s Scope, id string) error {
	return retryConflicts(func() error {
		old, err := l.store.Get(ctx, definitionKey(s, id))
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%q: %w", id, ErrDefinitionNotFound)
		}
		if err != nil {
			return fmt.Errorf("read query definition: %w", err)
		}
		_, err = l.store.Commit(ctx, store.Write{Key: old.Key, Kind: store.WriteDelete, If: store.IfRevision(old.Revision)})
		return err
	})
}

// Definitions returns the scope's definitions that match says yes to, in order of ID. There are about DefinitionsMax at most.
func (l *Logs) Definitions(ctx context.Context, s Scope, match func(QueryDefinition) bool) (all []QueryDefinition, err error) {
	err = l.each(ctx, definitionKey(s, ""), "", func(r store.Record) (bool, error) {
		var d QueryDefinition
		if err := json.Unmarshal(r.Value, &d); err != nil {
			return false, fmt.Errorf("decode query definition %s: %w", r.Key, err)
		}
		if match(d) {
			all = append(all, d)
		}
		return true, nil
	})
	return all, err
}

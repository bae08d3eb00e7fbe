package mem

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

type commit struct {
	revision store.Revision
	changes  []store.Change
}

// Get returns the record or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Record{}, store.ErrClosed
	}
	r, ok := s.records[key]
	if !ok {
		return store.Record{}, fmt.Errorf("%q: %w", key, store.ErrNotFound)
	}
	return r, nil
}

// List returns a page of records in key order.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	limit = min(limit, store.ListLimitMax)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, store.ErrClosed
	}
	i, _ := slices.BinarySearch(s.keys, prefix)
	if after >= prefix && after != "" {
		var found bool
		if i, found = slices.BinarySearch(s.keys, after); found {
			i++
		}
	}
	var page []store.Record
	for ; i < len(s.keys) && strings.HasPrefix(s.keys[i], prefix); i++ {
		if len(page) >= limit {
			return page, true, nil
		}
		page = append(page, s.records[s.keys[i]])
	}
	return page, false, nil
}

// Commit applies all writes or none.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckWrites(writes); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	for i := range writes {
		r, exists := s.records[writes[i].Key]
		if !writes[i].If.Holds(exists, r.Revision) {
			return 0, fmt.Errorf("%q: %w", writes[i].Key, store.ErrConflict)
		}
	}
	s.revision++
	c := commit{revision: s.revision}
	for i := range writes {
		if change, changed := s.apply(&writes[i]); changed {
			c.changes = append(c.changes, change)
		}
	}
	s.log = append(s.log, c)
	if len(s.log) > s.logMax {
		s.log = slices.Clone(s.log[len(s.log)-s.logMax/2-1:])
	}
	s.hub.Publish(c.changes)
	return c.revision, nil
}

func (s *Store) apply(w *store.Write) (store.Change, bool) {
	i, exists := slices.BinarySearch(s.keys, w.Key)
	switch w.Kind {
	case store.WritePut:
		r := store.Record{Key: w.Key, Value: append([]byte{}, w.Value...), Revision: s.revision}
		s.records[w.Key] = r
		if !exists {
			s.keys = slices.Insert(s.keys, i, w.Key)
		}
		return store.Change{Kind: store.WritePut, Record: r}, true
	case store.WriteDelete, store.WriteErase:
		if !exists && w.Kind == store.WriteDelete {
			return store.Change{}, false
		}
		if exists {
			delete(s.records, w.Key)
			s.keys = slices.Delete(s.keys, i, i+1)
		}
		return store.Change{Kind: store.WriteDelete, Record: store.Record{Key: w.Key, Revision: s.revision}}, true
	default:
		return store.Change{}, false
	}
}

// Watch replays the log from a revision and then follows.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (<-chan store.Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	if len(s.log) > 0 && from+1 < s.log[0].revision {
		return nil, fmt.Errorf("watch from %d, log begins at %d: %w", from, s.log[0].revision, store.ErrCompacted)
	}
	w, ok := s.hub.Join(prefix)
	if !ok {
		return nil, store.ErrClosed
	}
	i, _ := slices.BinarySearchFunc(s.log, from+1, func(c commit, r store.Revision) int {
		return int(int64(c.revision) - int64(r))
	})
	old := slices.Clone(s.log[i:])
	go w.Run(ctx, func(yield func(store.Change) bool) error {
		for _, c := range old {
			for _, change := range c.changes {
				if !yield(change) {
					return nil
				}
			}
		}
		return nil
	})
	return w.Changes(), nil
}

// Revision returns the revision of the last commit.
func (s *Store) Revision(ctx context.Context) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	return s.revision, nil
}

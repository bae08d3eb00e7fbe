package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lambdad/lambdad/internal/store"
)

// Get returns the record or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) (store.Record, error) {
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	if err := s.begin(); err != nil {
		return store.Record{}, err
	}
	defer s.life.RUnlock()
	v, closer, err := s.db.Get(recordKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Record{}, fmt.Errorf("%q: %w", key, store.ErrNotFound)
	}
	if err != nil {
		return store.Record{}, fmt.Errorf("get %q: %w", key, err)
	}
	r, err := decodeRecord(key, v)
	if err := errors.Join(err, closer.Close()); err != nil {
		return store.Record{}, fmt.Errorf("get %q: %w", key, err)
	}
	s.waitDurable(r.Revision)
	return r, nil
}

// List returns a page of records in key order.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := s.begin(); err != nil {
		return nil, false, err
	}
	defer s.life.RUnlock()
	limit = min(limit, store.ListLimitMax)
	lower := recordKey(prefix)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: keyAfter(lower)})
	if err != nil {
		return nil, false, fmt.Errorf("list %q: %w", prefix, err)
	}
	page, more, err := listPage(it, prefix, after, limit)
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, false, fmt.Errorf("list %q: %w", prefix, err)
	}
	var newest store.Revision
	for i := range page {
		newest = max(newest, page[i].Revision)
	}
	s.waitDurable(newest)
	return page, more, nil
}

func listPage(it *pebble.Iterator, prefix, after string, limit int) (page []store.Record, more bool, err error) {
	ok := false
	if after != "" && after >= prefix {
		// The least key greater than after is after with a zero byte.
		ok = it.SeekGE(append(recordKey(after), 0))
	} else {
		ok = it.First()
	}
	for ; ok; ok = it.Next() {
		if len(page) >= limit {
			return page, true, nil
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, false, err
		}
		r, err := decodeRecord(string(it.Key()[1:]), v)
		if err != nil {
			return nil, false, err
		}
		page = append(page, r)
	}
	return page, false, it.Error()
}

// Revision returns the revision of the last durable commit.
func (s *Store) Revision(ctx context.Context) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.life.RUnlock()
	return store.Revision(s.ledger.durable.Load()), nil
}

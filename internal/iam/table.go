package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/store"
)

// commitAttempts bounds how often a write is tried again after another
// writer was faster.
const commitAttempts = 64

// Table reads and writes the records of identities. Its reads are the store's
// own, so a writer sees what it wrote.
type Table struct {
	records store.Records
	dir     *Directory
}

// Stored is a record with the revision that a conditional write demands.
type Stored[T any] struct {
	Value    *T
	Revision store.Revision
}

// Get reads one record: store.ErrNotFound if there is none.
func Get[T any](ctx context.Context, t *Table, key string) (Stored[T], error) {
	r, err := t.records.Get(ctx, key)
	if err != nil {
		return Stored[T]{}, fmt.Errorf("get %s: %w", key, err)
	}
	return decode[T](r)
}

func decode[T any](r store.Record) (Stored[T], error) {
	v := new(T)
	if err := json.Unmarshal(r.Value, v); err != nil {
		return Stored[T]{}, fmt.Errorf("record %s: %w", r.Key, err)
	}
	return Stored[T]{v, r.Revision}, nil
}

// List reads a page of the records of a kind in an account, in the order of
// their names, from after the given name.
func List[T any](ctx context.Context, t *Table, kind Kind, account aws.AccountID, after string, limit int) ([]*T, bool, error) {
	prefix := Prefix(kind, account)
	if after != "" {
		after = Key(kind, account, after)
	}
	page, more, err := t.records.List(ctx, prefix, after, limit)
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	out := make([]*T, 0, len(page))
	for _, r := range page {
		s, err := decode[T](r)
		if err != nil {
			return nil, false, err
		}
		out = append(out, s.Value)
	}
	return out, more, nil
}

// Put is the write that stores a record under a condition.
func Put(key string, v any, cond store.Condition) (store.Write, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return store.Write{}, fmt.Errorf("encode %s: %w", key, err)
	}
	return store.Write{Kind: store.WritePut, Key: key, Value: b, If: cond}, nil
}

// Drop is the write that removes a record under a condition.
func Drop(key string, cond store.Condition) store.Write {
	return store.Write{Kind: store.WriteDelete, Key: key, If: cond}
}

// Retry runs a transaction: f reads what it needs and returns its writes, and
// is run again when another writer was faster. It returns after the directory
// of this node knows what was written, so that a client can use at once what
// it was just given. No writes is no commit. Only records that exist may be
// dropped: a delete that changes nothing is not reported, and would be waited
// for in vain.
func (t *Table) Retry(ctx context.Context, f func(ctx context.Context) ([]store.Write, error)) error {
	var last error
	for range commitAttempts {
		writes, err := f(ctx)
		if err != nil {
			return err
		}
		if len(writes) == 0 {
			return nil
		}
		rev, err := t.records.Commit(ctx, writes...)
		if err == nil {
			return t.dir.await(ctx, progress{rev, changes(writes)})
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("commit identities: %w", err)
		}
		last = err
	}
	return fmt.Errorf("commit identities: %d attempts: %w", commitAttempts, last)
}

// changes counts what a watch will report of a commit.
func changes(writes []store.Write) int {
	n := 0
	for _, w := range writes {
		if w.Kind != store.WriteCheck {
			n++
		}
	}
	return n
}

package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/wire/sigv4"
)

const (
	// useGrain is how exactly the last use of a key is remembered.
	useGrain = time.Minute
	// useSaveEvery is how often uses are written; AWS too tells them with a
	// delay of up to hours.
	useSaveEvery = 10 * time.Minute
)

// note remembers the use of a key, at most once in a while: it is called for
// every request.
func (k *keyEntry) note(now time.Time, scope sigv4.Scope) {
	if u := k.used.Load(); u != nil && u.Service == scope.Service && now.Sub(u.At) < useGrain {
		return
	}
	k.used.Store(&keyUse{At: now.UTC().Truncate(time.Second), Service: strings.Clone(scope.Service), Region: strings.Clone(scope.Region)})
}

// sawUse takes over a use that was saved, by this node or another, if it is
// later than what is known.
func (k *keyEntry) sawUse(saved *keyUse) {
	for {
		have := k.used.Load()
		if have != nil && !saved.At.After(have.At) {
			return
		}
		if k.used.CompareAndSwap(have, saved) {
			return
		}
	}
}

// LastUse tells when and for what an access key was last used.
func (a *Authority) LastUse(id string) (at time.Time, service, region string, ok bool) {
	if k := a.dir.key(id); k != nil {
		if u := k.used.Load(); u != nil {
			return u.At, u.Service, u.Region, true
		}
	}
	return time.Time{}, "", "", false
}

// saveUses writes uses down now and then until ctx ends.
func (a *Authority) saveUses(ctx context.Context) {
	tick := time.NewTicker(useSaveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.saveUsesOnce(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("last uses of access keys not saved; will try again", "error", err)
			}
		}
	}
}

// saveUsesOnce writes every use that is later than the saved one, under the
// condition that its key is still there.
func (a *Authority) saveUsesOnce(ctx context.Context) error {
	var failed error
	a.dir.keys.Range(func(_, v any) bool {
		k := v.(*keyEntry)
		u := k.used.Load()
		if u == nil {
			return true
		}
		if saved, err := Get[keyUse](ctx, a.table, keyUseKey(k.ID)); err == nil && !u.At.After(saved.Value.At) {
			return true
		}
		w, err := Put(keyUseKey(k.ID), u, store.Unconditional())
		if err == nil {
			_, err = a.dir.records.Commit(ctx, w, store.Write{Kind: store.WriteCheck, Key: AccessKeyKey(k.ID), If: store.IfExists()})
		}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			failed = fmt.Errorf("save use of access key: %w", err)
			return false
		}
		return true
	})
	return failed
}

// DropAccessKey is the writes that remove a key with what is known of it.
func DropAccessKey(ctx context.Context, t *Table, key Stored[AccessKey]) ([]store.Write, error) {
	writes := []store.Write{Drop(AccessKeyKey(key.Value.ID), store.IfRevision(key.Revision))}
	use, err := Get[keyUse](ctx, t, keyUseKey(key.Value.ID))
	switch {
	case err == nil:
		writes = append(writes, Drop(keyUseKey(key.Value.ID), store.IfRevision(use.Revision)))
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	return writes, nil
}

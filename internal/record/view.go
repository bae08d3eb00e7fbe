package record

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

const (
	viewShards = 256
	// watchRetry is how long a view waits before it lists again after the store failed.
	watchRetry = 200 * time.Millisecond
)

// ViewChange is one resource that was made, changed or removed. Before is nil for a new
// one, After is nil for a removed one. Both must not be changed.
type ViewChange[K comparable, T any] struct {
	Key           K
	Before, After *T
}

// View is all resources of one kind in memory, kept fresh by the store's watch. Reads
// take no lock and allocate nothing.
type View[K comparable, T any] struct {
	what    string // for the log, e.g. "functions"
	records store.Records
	prefix  string
	keyOf   func(K) string           // the whole key in the store; "" is none that can be
	parse   func(string) (K, error)  // its inverse
	decode  func([]byte) (*T, error) // of a stored value
	log     *slog.Logger
	seed    maphash.Seed
	shards  [viewShards]atomic.Pointer[map[K]viewed[T]]
	ready   chan struct{}

	// mu orders writers: the watch, Refresh and Subscribe.
	mu          sync.Mutex
	isReady     bool
	applied     store.Revision // every change before it is in the view, and some of its own
	moved       chan struct{}  // closed with the next change
	over        bool           // Run has ended
	subscribers map[int]func(ViewChange[K, T])
	nextSub     int
}

// viewed lies in immutable maps: a change makes a new one, so that readers need no lock.
type viewed[T any] struct {
	value    *T
	revision store.Revision
}

func newView[K comparable, T any](what, prefix string, records store.Records, log *slog.Logger, keyOf func(K) string, parse func(string) (K, error), decode func([]byte) (*T, error)) *View[K, T] {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v := &View[K, T]{
		what: what, prefix: prefix, records: records, log: log, keyOf: keyOf, parse: parse, decode: decode,
		seed: maphash.MakeSeed(), ready: make(chan struct{}), moved: make(chan struct{}), subscribers: map[int]func(ViewChange[K, T]){},
	}
	for i := range v.shards {
		v.shards[i].Store(&map[K]viewed[T]{})
	}
	return v
}

// Ready is closed when the view holds everything that was stored when Run began.
func (v *View[K, T]) Ready() <-chan struct{} { return v.ready }

// Get returns a resource from memory. What it returns is shared and must not be changed.
func (v *View[K, T]) Get(k K) (*T, bool) {
	e, ok := (*v.shardOf(k).Load())[k]
	return e.value, ok
}

// Refresh reads a resource from the store, takes it into the view if it is newer, and
// returns it. The invoke path calls it when the view misses something: the record may have
// been written a moment ago, on any node.
func (v *View[K, T]) Refresh(ctx context.Context, k K) (*T, bool, error) {
	key := v.keyOf(k)
	if key == "" {
		return nil, false, nil
	}
	r, err := v.records.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("refresh %s: %w", key, err)
	}
	value, err := v.decode(r.Value)
	if err != nil {
		return nil, false, fmt.Errorf("record %s: %w", key, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Revision < v.applied {
		// The view has had it: what it has now is as new, and a record that it has no more was removed since it was read.
		value, ok := v.Get(k)
		return value, ok, nil
	}
	v.put(k, viewed[T]{value, r.Revision})
	return value, true, nil
}

// Each calls f with every resource in the view, in no order, until f returns false.
func (v *View[K, T]) Each(f func(K, *T) bool) {
	for i := range v.shards {
		for k, e := range *v.shards[i].Load() {
			if !f(k, e.value) {
				return
			}
		}
	}
}

// Subscribe has f called with every change from now on, in the order of each resource's
// changes. f runs on the watch's goroutine: it must be quick, and must not call Refresh or
// Subscribe. The returned function ends the subscription.
func (v *View[K, T]) Subscribe(f func(ViewChange[K, T])) (cancel func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.nextSub
	v.nextSub++
	v.subscribers[n] = f
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.subscribers, n)
	}
}

// Run lists, then follows the watch, and starts over when the watch falls behind or the
// store fails, until ctx ends. It returns ctx's error, or store.ErrClosed.
func (v *View[K, T]) Run(ctx context.Context) error {
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.over = true
		v.move()
	}()
	for {
		err := v.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, store.ErrClosed) {
			return fmt.Errorf("view of %s: %w", v.what, err)
		}
		if err != nil && !errors.Is(err, store.ErrCompacted) {
			v.log.Warn("a view lost the store and tries again", "of", v.what, "error", err, "after", watchRetry)
			select {
			case <-time.After(watchRetry):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// follow lists everything and then applies changes until the watch ends.
func (v *View[K, T]) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from, err := v.records.Revision(ctx)
	if err != nil {
		return fmt.Errorf("revision: %w", err)
	}
	all, err := v.listAll(ctx)
	if err != nil {
		return err
	}
	changes, err := v.records.Watch(ctx, v.prefix, from)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	v.replace(all, from)
	for c := range changes {
		v.apply(c)
	}
	return nil
}

func (v *View[K, T]) listAll(ctx context.Context) (map[K]viewed[T], error) {
	all := map[K]viewed[T]{}
	after := ""
	for {
		page, more, err := v.records.List(ctx, v.prefix, after, store.ListLimitMax)
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		for _, r := range page {
			after = r.Key
			if k, e, ok := v.read(r); ok {
				all[k] = e
			}
		}
		if !more || len(page) == 0 {
			return all, nil
		}
	}
}

// read decodes a record; one that is unreadable must not take all others down.
func (v *View[K, T]) read(r store.Record) (k K, e viewed[T], ok bool) {
	k, err := v.parse(r.Key)
	if err != nil {
		v.log.Error("a record has a strange key and is left out", "of", v.what, "error", err)
		return k, e, false
	}
	value, err := v.decode(r.Value)
	if err != nil {
		v.log.Error("a record cannot be read and is left out", "of", v.what, "key", r.Key, "error", err)
		return k, e, false
	}
	return k, viewed[T]{value, r.Revision}, true
}

// replace makes the view hold exactly all, listed after the revision from, telling the differences.
func (v *View[K, T]) replace(all map[K]viewed[T], from store.Revision) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applied = max(v.applied, from)
	defer v.move()
	var fresh [viewShards]map[K]viewed[T]
	for i := range fresh {
		fresh[i] = map[K]viewed[T]{}
	}
	for k, e := range all {
		fresh[v.shardIndex(k)][k] = e
	}
	for i := range v.shards {
		old := *v.shards[i].Load()
		v.shards[i].Store(&fresh[i])
		for k, e := range old {
			if _, ok := fresh[i][k]; !ok {
				v.notify(ViewChange[K, T]{k, e.value, nil})
			}
		}
		for k, e := range fresh[i] {
			if was, ok := old[k]; !ok || was.revision != e.revision {
				v.notify(ViewChange[K, T]{k, was.value, e.value})
			}
		}
	}
	if !v.isReady {
		v.isReady = true
		close(v.ready)
	}
}

func (v *View[K, T]) apply(c store.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.applied = max(v.applied, c.Record.Revision)
	defer v.move()
	if c.Kind == store.WriteDelete {
		if k, err := v.parse(c.Record.Key); err == nil {
			v.drop(k, c.Record.Revision)
		}
		return
	}
	if k, e, ok := v.read(c.Record); ok {
		v.put(k, e)
	}
}

// put takes an entry if it is newer than what is there. Needs mu.
func (v *View[K, T]) put(k K, e viewed[T]) {
	p := v.shardOf(k)
	old := *p.Load()
	was, ok := old[k]
	if ok && was.revision >= e.revision {
		return
	}
	fresh := maps.Clone(old)
	fresh[k] = e
	p.Store(&fresh)
	v.notify(ViewChange[K, T]{k, was.value, e.value})
}

// drop removes an entry unless it is newer than the removal. Needs mu.
func (v *View[K, T]) drop(k K, revision store.Revision) {
	p := v.shardOf(k)
	old := *p.Load()
	was, ok := old[k]
	if !ok || was.revision > revision {
		return
	}
	fresh := maps.Clone(old)
	delete(fresh, k)
	p.Store(&fresh)
	v.notify(ViewChange[K, T]{k, was.value, nil})
}

func (v *View[K, T]) notify(c ViewChange[K, T]) {
	for _, f := range v.subscribers {
		f(c)
	}
}

func (v *View[K, T]) shardOf(k K) *atomic.Pointer[map[K]viewed[T]] {
	return &v.shards[v.shardIndex(k)]
}

func (v *View[K, T]) shardIndex(k K) uint64 { return maphash.Comparable(v.seed, k) % viewShards }

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
	// watchRetry is how long the view waits before it lists again after the store failed.
	watchRetry = 200 * time.Millisecond
)

// Change is one version that was made, changed or removed. Before is nil for a
// new one, After is nil for a removed one. Both must not be changed.
type Change struct {
	ID            FunctionID
	Version       string
	Before, After *Function
}

// Affects reports whether environments made before the change no longer serve:
// the version is gone, or its code or configuration is another.
func (c Change) Affects() bool {
	return c.Before != nil && (c.After == nil || c.After.Generation != c.Before.Generation)
}

// Functions is the view of all function records that the invoke path reads. It
// follows the store's watch; reads take no lock.
type Functions struct {
	records store.Records
	log     *slog.Logger
	seed    maphash.Seed
	shards  [viewShards]atomic.Pointer[shard]
	ready   chan struct{}

	// mu orders writers: the watch, Refresh and Subscribe.
	mu          sync.Mutex
	isReady     bool
	subscribers map[int]func(Change)
	nextSub     int
}

type viewKey struct {
	id      FunctionID
	version string
}

// shard is an immutable map: a change makes a new one, so that readers need no lock.
type shard map[viewKey]viewEntry

type viewEntry struct {
	function *Function
	revision store.Revision
}

// NewFunctions makes an empty view. Run fills it and keeps it.
func NewFunctions(records store.Records, log *slog.Logger) *Functions {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v := &Functions{records: records, log: log, seed: maphash.MakeSeed(), ready: make(chan struct{}), subscribers: map[int]func(Change){}}
	for i := range v.shards {
		v.shards[i].Store(&shard{})
	}
	return v
}

// Ready is closed when the view holds everything that was stored when Run began.
func (v *Functions) Ready() <-chan struct{} { return v.ready }

// Function returns a version from memory. What it returns is shared and must not be changed.
func (v *Functions) Function(id FunctionID, version string) (*Function, bool) {
	k := viewKey{id, version}
	e, ok := (*v.shardOf(k).Load())[k]
	return e.function, ok
}

// Refresh reads a version from the store, takes it into the view if it is newer, and
// returns it. The invoke path calls it when the view misses a function or says
// Pending: the record may have been written a moment ago, on any node.
func (v *Functions) Refresh(ctx context.Context, id FunctionID, version string) (*Function, bool, error) {
	if !ValidVersion(version) {
		return nil, false, nil
	}
	r, err := v.records.Get(ctx, FunctionKey(id, version))
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("refresh %s: %w", id.QualifiedARN(version), err)
	}
	s, err := decodeStored(r)
	if err != nil {
		return nil, false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(viewKey{id, version}, viewEntry{s.Function, s.Revision})
	return s.Function, true, nil
}

// Each calls f with every version in the view, in no order, until f returns false.
func (v *Functions) Each(f func(*Function) bool) {
	for i := range v.shards {
		for _, e := range *v.shards[i].Load() {
			if !f(e.function) {
				return
			}
		}
	}
}

// Subscribe has f called with every change from now on, in the order of each
// version's changes. f runs on the watch's goroutine: it must be quick, and must
// not call Refresh or Subscribe. The returned function ends the subscription.
func (v *Functions) Subscribe(f func(Change)) (cancel func()) {
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

// Run lists, then follows the watch, and starts over when the watch falls
// behind or the store fails, until ctx ends. It returns ctx's error, or
// store.ErrClosed.
func (v *Functions) Run(ctx context.Context) error {
	for {
		err := v.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, store.ErrClosed) {
			return fmt.Errorf("function view: %w", err)
		}
		if err != nil && !errors.Is(err, store.ErrCompacted) {
			v.log.Warn("the view of functions lost the store and tries again", "error", err, "after", watchRetry)
			select {
			case <-time.After(watchRetry):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// follow lists everything and then applies changes until the watch ends.
func (v *Functions) follow(ctx context.Context) error {
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
	changes, err := v.records.Watch(ctx, FunctionPrefix, from)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	v.replace(all)
	for c := range changes {
		v.apply(c)
	}
	return nil
}

func (v *Functions) listAll(ctx context.Context) (map[viewKey]viewEntry, error) {
	all := map[viewKey]viewEntry{}
	after := ""
	for {
		page, more, err := v.records.List(ctx, FunctionPrefix, after, store.ListLimitMax)
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		for _, r := range page {
			after = r.Key
			s, err := decodeStored(r)
			if err != nil {
				// One unreadable record must not take all other functions down.
				v.log.Error("a function's record cannot be read and is left out", "key", r.Key, "error", err)
				continue
			}
			all[viewKey{s.ID, s.Version}] = viewEntry{s.Function, s.Revision}
		}
		if !more || len(page) == 0 {
			return all, nil
		}
	}
}

// replace makes the view hold exactly all, telling the differences.
func (v *Functions) replace(all map[viewKey]viewEntry) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var fresh [viewShards]shard
	for i := range fresh {
		fresh[i] = shard{}
	}
	for k, e := range all {
		fresh[v.shardIndex(k)][k] = e
	}
	for i := range v.shards {
		old := *v.shards[i].Load()
		v.shards[i].Store(&fresh[i])
		for k, e := range old {
			if _, ok := fresh[i][k]; !ok {
				v.notify(Change{k.id, k.version, e.function, nil})
			}
		}
		for k, e := range fresh[i] {
			if was, ok := old[k]; !ok || was.revision != e.revision {
				v.notify(Change{k.id, k.version, was.function, e.function})
			}
		}
	}
	if !v.isReady {
		v.isReady = true
		close(v.ready)
	}
}

func (v *Functions) apply(c store.Change) {
	id, version, err := parseFunctionKey(c.Record.Key)
	if err != nil {
		v.log.Error("a record among the functions has a strange key", "error", err)
		return
	}
	k := viewKey{id, version}
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.Kind == store.WriteDelete {
		v.drop(k, c.Record.Revision)
		return
	}
	s, err := decodeStored(c.Record)
	if err != nil {
		v.log.Error("a function's record cannot be read and is left out", "key", c.Record.Key, "error", err)
		return
	}
	v.put(k, viewEntry{s.Function, s.Revision})
}

// put takes an entry if it is newer than what is there. Needs mu.
func (v *Functions) put(k viewKey, e viewEntry) {
	p := v.shardOf(k)
	old := *p.Load()
	was, ok := old[k]
	if ok && was.revision >= e.revision {
		return
	}
	fresh := maps.Clone(old)
	fresh[k] = e
	p.Store(&fresh)
	v.notify(Change{k.id, k.version, was.function, e.function})
}

// drop removes an entry unless it is newer than the removal. Needs mu.
func (v *Functions) drop(k viewKey, revision store.Revision) {
	p := v.shardOf(k)
	old := *p.Load()
	was, ok := old[k]
	if !ok || was.revision > revision {
		return
	}
	fresh := maps.Clone(old)
	delete(fresh, k)
	p.Store(&fresh)
	v.notify(Change{k.id, k.version, was.function, nil})
}

func (v *Functions) notify(c Change) {
	for _, f := range v.subscribers {
		f(c)
	}
}

func (v *Functions) shardOf(k viewKey) *atomic.Pointer[shard] { return &v.shards[v.shardIndex(k)] }

func (v *Functions) shardIndex(k viewKey) uint64 { return maphash.Comparable(v.seed, k) % viewShards }

package record

import (
	"context"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

// seenMax bounds how long a commit waits for the views. They take a millisecond; one that has lost the store
// must not stop those who change something.
const seenMax = 2 * time.Second

// Follower is a view that can be waited for.
type Follower interface {
	// Follows tells whether a record of this key is one of the view's.
	Follows(key string) bool
	// Await returns when the view holds what w wrote at the revision or something newer, when it follows no
	// more, or when ctx ends.
	Await(ctx context.Context, w *store.Write, at store.Revision)
}

// seen are records whose writers see what they wrote in the views.
type seen struct {
	store.Records
	views []Follower
}

// Seen returns records whose Commit returns only when the views hold what it wrote: who has changed something, and
// invokes at once, must meet the change. Who commits from a view's subscriber must not use it.
func Seen(records store.Records, views ...Follower) store.Records { return seen{records, views} }

// Commit implements store.Records.
func (s seen) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	at, err := s.Records.Commit(ctx, writes...)
	if err != nil {
		return at, err
	}
	ctx, cancel := context.WithTimeout(ctx, seenMax)
	defer cancel()
	for i := range writes {
		for _, v := range s.views {
			if writes[i].Kind != store.WriteCheck && v.Follows(writes[i].Key) {
				v.Await(ctx, &writes[i], at)
			}
		}
	}
	return at, nil
}

// Follows implements Follower.
func (v *View[K, T]) Follows(key string) bool { return strings.HasPrefix(key, v.prefix) }

// Await implements Follower.
func (v *View[K, T]) Await(ctx context.Context, w *store.Write, at store.Revision) {
	k, err := v.parse(w.Key)
	if err != nil {
		return // the view leaves it out
	}
	for {
		v.mu.Lock()
		holds, moved := v.over || v.holds(k, w.Kind, at), v.moved
		v.mu.Unlock()
		if holds {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// holds tells whether a write at the revision is in the view. Needs mu.
func (v *View[K, T]) holds(k K, kind store.WriteKind, at store.Revision) bool {
	if v.applied > at {
		return true
	}
	e, there := (*v.shardOf(k).Load())[k]
	if kind == store.WriteDelete {
		return !there || e.revision > at
	}
	return there && e.revision >= at
}

// move wakes who waits for the view. Needs mu.
func (v *View[K, T]) move() {
	close(v.moved)
	v.moved = make(chan struct{})
}

// Follows implements Follower.
func (v *Functions) Follows(key string) bool { return v.view.Follows(key) }

// Await implements Follower.
func (v *Functions) Await(ctx context.Context, w *store.Write, at store.Revision) {
	v.view.Await(ctx, w, at)
}

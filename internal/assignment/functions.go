package assignment

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/lambdad/lambdad/internal/record"
)

// stripe holds some functions' shards in a map that is never changed, only replaced.
type stripe struct {
	shards atomic.Pointer[map[record.FunctionID]*shard]
	mu     sync.Mutex
}

func (a *Assigner) stripe(id record.FunctionID) *stripe {
	return &a.functions[maphash.Comparable(a.seed, id)%stripes]
}

func (a *Assigner) lookup(id record.FunctionID) *shard {
	return (*a.stripe(id).shards.Load())[id]
}

func (a *Assigner) shard(id record.FunctionID) *shard {
	st := a.stripe(id)
	if s := (*st.shards.Load())[id]; s != nil {
		return s
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	old := *st.shards.Load()
	if s := old[id]; s != nil {
		return s
	}
	s := newShard(a, a.lastShard.Add(1), id)
	fresh := maps.Clone(old)
	fresh[id] = s
	st.shards.Store(&fresh)
	a.mu.Lock()
	a.askers[s.number] = s
	a.mu.Unlock()
	return s
}

// dropShard forgets a removed function's shard once nothing is left in it.
func (a *Assigner) dropShard(s *shard) {
	if !s.retire() {
		return
	}
	st := a.stripe(s.id)
	st.mu.Lock()
	fresh := maps.Clone(*st.shards.Load())
	delete(fresh, s.id)
	st.shards.Store(&fresh)
	st.mu.Unlock()
	a.mu.Lock()
	delete(a.askers, s.number)
	a.mu.Unlock()
}

func (a *Assigner) shards() func(yield func(*shard) bool) {
	return func(yield func(*shard) bool) {
		for i := range a.functions {
			for _, s := range *a.functions[i].shards.Load() {
				if !yield(s) {
					return
				}
			}
		}
	}
}

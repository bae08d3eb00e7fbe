package counting

import (
	"maps"

	"github.com/lambdad/lambdad/internal/record"
)

// reservation is the part of an account's limit that only one version's invokes may use. The
// account counts the larger of size and running as taken, so that a reservation that shrinks
// under running invokes never lets more run than the limit.
type reservation struct {
	size    int64
	running int64
}

// Reserve sets aside n of the account's limit for a version; 0 takes that back. Invokes that
// run already keep their places: others find fewer from now on.
func (c *Counter) Reserve(id record.FunctionID, version string, n int) {
	a := c.account(scopeOf(id))
	a.mu.Lock()
	defer a.mu.Unlock()
	n = max(n, 0)
	if s := a.share(id); s != nil {
		s.provision(version, int64(n))
		return
	}
	a.reserve(id, version, int64(n))
}

// reserve is Reserve outside of a share; it needs mu.
func (a *account) reserve(id record.FunctionID, version string, n int64) {
	name := record.Name{ID: id, Qualifier: version}
	all := map[record.Name]*reservation{}
	if old := a.reserved.Load(); old != nil {
		all = maps.Clone(*old)
	}
	r := all[name]
	switch {
	case r == nil && n == 0:
		return
	case r == nil:
		r = &reservation{}
		all[name] = r
	case n == 0:
		delete(all, name)
	}
	a.taken.Add(max(n, r.running) - max(r.size, r.running))
	r.size = n
	if len(all) == 0 {
		a.reserved.Store(nil)
		return
	}
	a.reserved.Store(&all)
}

// reservedOf is what is reserved for the versions of a function outside of a share; it needs mu.
func (a *account) reservedOf(id record.FunctionID) map[string]int64 {
	sizes := map[string]int64{}
	if all := a.reserved.Load(); all != nil {
		for name, r := range *all {
			if name.ID == id {
				sizes[name.Qualifier] = r.size
			}
		}
	}
	return sizes
}

// enter admits an invoke in its version's reservation. More can be taken than the limit: by what
// ran before something was reserved, or by a limit that was lowered. Then those with a
// reservation go first into what of the limit is really free.
func (a *account) enter(r *reservation, limit int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.running >= r.size || a.taken.Load() > limit && a.running() >= limit {
		return false
	}
	r.running++
	return true
}

// leave tells how much of the limit is given back: what runs beyond a reservation that has
// shrunk is nobody's any more.
func (a *account) leave(r *reservation) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.running <= 0 {
		panic("counting: an invoke was released that was never admitted")
	}
	r.running--
	if r.running >= r.size {
		return 1
	}
	return 0
}

// running is how many run; it needs mu.
func (a *account) running() int64 {
	n := a.taken.Load()
	if all := a.reserved.Load(); all != nil {
		for _, r := range *all {
			n -= max(0, r.size-r.running)
		}
	}
	if all := a.shares.Load(); all != nil {
		for _, s := range *all {
			s.mu.Lock()
			n -= max(0, s.size-s.running)
			s.mu.Unlock()
		}
	}
	return n
}

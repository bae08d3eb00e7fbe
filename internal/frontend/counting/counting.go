// Package counting owns how many invokes of an account run at once, and says no
// beyond its limit. It has no clock, no goroutine and no store, so that the
// simulation can hold its counts exactly; it must never import assignment or an
// API shape, because it counts what was admitted, whoever runs it.
package counting

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/lambdad/lambdad/internal/record"
)

// ConcurrencyDefault is an account's limit of concurrent executions in a region. Source:
// Lambda quotas, "Concurrent executions": 1,000.
const ConcurrencyDefault = 1000

// Counter counts the running invokes of each account and region. Each count is its own
// atomic number: no invoke waits for another's.
type Counter struct {
	limit    int64
	accounts atomic.Pointer[map[record.Scope]*account]
	mu       sync.Mutex // orders those who add an account
}

// account is one account in one region.
type account struct {
	// taken is what of the limit is running or reserved for somebody.
	taken    atomic.Int64
	reserved atomic.Pointer[map[record.Name]*reservation] // never changed, only replaced; nil: none
	shares   atomic.Pointer[map[record.FunctionID]*share] // likewise
	mu       sync.Mutex                                   // guards the reservations, and the replacement of both
}

// Admission is one invoke that may run. It is released once.
type Admission struct {
	account *account
	in      *reservation // nil: it runs in what nobody has reserved, or in a share
	share   *share
	part    *part // of the share, or nil
}

// New makes a counter that admits limit invokes of each account at once.
func New(limit int) *Counter {
	if limit <= 0 {
		limit = ConcurrencyDefault
	}
	c := &Counter{limit: int64(limit)}
	c.accounts.Store(&map[record.Scope]*account{})
	return c
}

// Limit is how many invokes of an account may run at once.
func (c *Counter) Limit() int { return int(c.limit) }

// Acquire admits one more invoke of a version, or not: of a function with a share only in that;
// else in what is reserved for the version, else in what nobody has reserved.
func (c *Counter) Acquire(id record.FunctionID, version string) (Admission, bool) {
	a := c.account(scopeOf(id))
	for s := a.share(id); s != nil; s = a.share(id) {
		if a.crowded(c.limit) {
			return Admission{}, false
		}
		if p, ok, gone := s.enter(version); !gone {
			return Admission{account: a, share: s, part: p}, ok
		}
	}
	if all := a.reserved.Load(); all != nil {
		if r := (*all)[record.Name{ID: id, Qualifier: version}]; r != nil && a.enter(r, c.limit) {
			return Admission{account: a, in: r}, true
		}
	}
	for {
		taken := a.taken.Load()
		if taken >= c.limit {
			return Admission{}, false
		}
		if a.taken.CompareAndSwap(taken, taken+1) {
			return Admission{account: a}, true
		}
	}
}

// Release ends an admitted invoke.
func (ad Admission) Release() {
	give := int64(1)
	switch {
	case ad.share != nil:
		give = ad.share.leave(ad.part)
	case ad.in != nil:
		give = ad.account.leave(ad.in)
	}
	if give > 0 && ad.account.taken.Add(-give) < 0 {
		panic("counting: an invoke was released that was never admitted")
	}
}

// crowded: more is taken than the limit, by what ran before something was reserved, and as
// much as the limit really runs.
func (a *account) crowded(limit int64) bool {
	if a.taken.Load() <= limit {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running() >= limit
}

// Running is how many invokes of an account run now. While it changes it is not exact.
func (c *Counter) Running(scope record.Scope) int {
	a := (*c.accounts.Load())[scope]
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return int(a.running())
}

func scopeOf(id record.FunctionID) record.Scope {
	return record.Scope{Account: id.Account, Region: id.Region}
}

func (c *Counter) account(scope record.Scope) *account {
	if a := (*c.accounts.Load())[scope]; a != nil {
		return a
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.accounts.Load()
	if a := old[scope]; a != nil {
		return a
	}
	fresh := maps.Clone(old)
	a := &account{}
	fresh[scope] = a
	c.accounts.Store(&fresh)
	return a
}

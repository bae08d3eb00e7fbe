// Package counting owns how many invokes of an account run at once, and says no
// beyond its limit. It has no clock, no goroutine and no store, so that the
// simulation can hold its counts exactly; it must never import assignment or an
// API shape, because it counts what was admitted, whoever runs it.
package counting

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/lambdad/lambdad/internal/aws"
)

// ConcurrencyDefault is an account's limit of concurrent executions. Source:
// Lambda quotas, "Concurrent executions": 1,000.
const ConcurrencyDefault = 1000

// Counter counts the running invokes of each account. An account's count is its own
// atomic number: no invoke waits for another's.
type Counter struct {
	limit    int64
	accounts atomic.Pointer[map[aws.AccountID]*atomic.Int64]
	mu       sync.Mutex // orders those who add an account
}

// New makes a counter that admits limit invokes of each account at once.
func New(limit int) *Counter {
	if limit <= 0 {
		limit = ConcurrencyDefault
	}
	c := &Counter{limit: int64(limit)}
	c.accounts.Store(&map[aws.AccountID]*atomic.Int64{})
	return c
}

// Limit is how many invokes of an account may run at once.
func (c *Counter) Limit() int { return int(c.limit) }

// Acquire admits one more invoke, or not. Each admitted one is released once.
func (c *Counter) Acquire(account aws.AccountID) bool {
	n := c.account(account)
	for {
		running := n.Load()
		if running >= c.limit {
			return false
		}
		if n.CompareAndSwap(running, running+1) {
			return true
		}
	}
}

// Release ends an admitted invoke.
func (c *Counter) Release(account aws.AccountID) {
	if c.account(account).Add(-1) < 0 {
		panic("counting: an invoke was released that was never admitted")
	}
}

// Running is how many invokes of an account run now.
func (c *Counter) Running(account aws.AccountID) int {
	if n := (*c.accounts.Load())[account]; n != nil {
		return int(n.Load())
	}
	return 0
}

func (c *Counter) account(id aws.AccountID) *atomic.Int64 {
	if n := (*c.accounts.Load())[id]; n != nil {
		return n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.accounts.Load()
	if n := old[id]; n != nil {
		return n
	}
	fresh := maps.Clone(old)
	n := new(atomic.Int64)
	fresh[id] = n
	c.accounts.Store(&fresh)
	return n
}

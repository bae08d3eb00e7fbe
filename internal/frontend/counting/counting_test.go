package counting

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestLimitIsExact(t *testing.T) {
	const limit, callers = 7, 50
	c := New(limit)
	var admitted, most atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range 200 {
				if !c.Acquire("000000000000") {
					continue
				}
				now := admitted.Add(1)
				for {
					m := most.Load()
					if now <= m || most.CompareAndSwap(m, now) {
						break
					}
				}
				admitted.Add(-1)
				c.Release("000000000000")
			}
		})
	}
	wg.Wait()
	if most.Load() > limit || c.Running("000000000000") != 0 {
		t.Errorf("most %d, left %d", most.Load(), c.Running("000000000000"))
	}
}

func TestAccountsAreApart(t *testing.T) {
	c := New(1)
	if !c.Acquire("000000000000") || c.Acquire("000000000000") || !c.Acquire("111111111111") {
		t.Error("an account's limit is not its own")
	}
	c.Release("000000000000")
	if !c.Acquire("000000000000") {
		t.Error("a released place is not free")
	}
	if New(0).Limit() != ConcurrencyDefault {
		t.Error("the default is not AWS's")
	}
}

package counting

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
)

func function(account aws.AccountID, name string) record.FunctionID {
	return record.FunctionID{Account: account, Region: "us-east-1", Name: name}
}

var one = function("000000000000", "f")

// admit acquires n and returns those that were admitted.
func admit(c *Counter, id record.FunctionID, version string, n int) (in []Admission) {
	for range n {
		if a, ok := c.Acquire(id, version); ok {
			in = append(in, a)
		}
	}
	return in
}

func release(in []Admission) {
	for _, a := range in {
		a.Release()
	}
}

// TestLimitIsExact holds while a reservation grows, shrinks and goes.
func TestLimitIsExact(t *testing.T) {
	const limit, callers = 7, 50
	c := New(limit)
	var admitted, most atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		version := []string{"1", record.Latest}[i%2]
		wg.Go(func() {
			for range 200 {
				a, ok := c.Acquire(one, version)
				if !ok {
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
				a.Release()
			}
		})
	}
	wg.Go(func() {
		for i := range 2000 {
			c.Reserve(one, "1", i%5)
			c.Reserve(one, "2", i%9) // together more than the limit, at times
		}
	})
	wg.Wait()
	c.Reserve(one, "1", 0)
	c.Reserve(one, "2", 0)
	if most.Load() > limit || c.Running(scopeOf(one)) != 0 {
		t.Errorf("most %d, left %d", most.Load(), c.Running(scopeOf(one)))
	}
}

func TestAccountsAreApart(t *testing.T) {
	c := New(1)
	first, ok := c.Acquire(one, "1")
	if !ok || len(admit(c, one, "1", 1)) != 0 || len(admit(c, function("111111111111", "f"), "1", 1)) != 1 {
		t.Error("an account's limit is not its own")
	}
	elsewhere := one
	elsewhere.Region = "eu-central-1"
	if len(admit(c, elsewhere, "1", 1)) != 1 {
		t.Error("a region's limit is not its own")
	}
	first.Release()
	if len(admit(c, one, "1", 1)) != 1 {
		t.Error("a released place is not free")
	}
	if New(0).Limit() != ConcurrencyDefault {
		t.Error("the default is not AWS's")
	}
}

// TestReservation keeps a version's share for it, and lets it spill over into the rest.
func TestReservation(t *testing.T) {
	c := New(10)
	other := function("000000000000", "other")
	c.Reserve(one, "1", 4)
	theirs := admit(c, other, record.Latest, 10)
	if len(theirs) != 6 {
		t.Fatalf("others got %d of 10, where 4 are reserved", len(theirs))
	}
	if n := len(admit(c, one, "2", 1)); n != 0 {
		t.Error("another version ran in the reservation")
	}
	ours := admit(c, one, "1", 10)
	if len(ours) != 4 || c.Running(scopeOf(one)) != 10 {
		t.Fatalf("the version got %d of its 4; %d run", len(ours), c.Running(scopeOf(one)))
	}
	release(theirs)
	spilled := admit(c, one, "1", 10)
	if len(spilled) != 6 {
		t.Errorf("%d spilled over into 6", len(spilled))
	}
	// Gone while its invokes run: they still count.
	c.Reserve(one, "1", 0)
	release(spilled)
	if n := len(admit(c, other, record.Latest, 10)); n != 6 {
		t.Errorf("%d admitted beside 4 that run in a reservation that is gone", n)
	}
	release(ours)
	if n := len(admit(c, other, record.Latest, 10)); n != 4 || c.Running(scopeOf(one)) != 10 {
		t.Errorf("%d admitted after they ended; %d run", n, c.Running(scopeOf(one)))
	}
}

// TestReservationsNeverExceed compares with a model, step by step.
func TestReservationsNeverExceed(t *testing.T) {
	const limit = 12
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		c := New(limit)
		var running []Admission
		for range 300 {
			version := string(rune('1' + rng.IntN(3)))
			switch rng.IntN(8) {
			case 0:
				c.Reserve(one, version, rng.IntN(5))
			case 1, 2, 3, 4:
				before := c.account(scopeOf(one)).taken.Load()
				if a, ok := c.Acquire(one, version); ok {
					running = append(running, a)
				} else if before < limit {
					t.Fatalf("seed %d: refused at %d of %d", seed, before, limit)
				}
			default:
				if len(running) > 0 {
					i := rng.IntN(len(running))
					running[i].Release()
					running = append(running[:i], running[i+1:]...)
				}
			}
			if len(running) > limit {
				t.Fatalf("seed %d: %d run", seed, len(running))
			}
			if got := c.Running(scopeOf(one)); got != len(running) {
				t.Fatalf("seed %d: %d are counted where %d run", seed, got, len(running))
			}
		}
		release(running)
		for _, v := range []string{"1", "2", "3"} {
			c.Reserve(one, v, 0)
		}
		if n := c.account(scopeOf(one)).taken.Load(); n != 0 {
			t.Fatalf("seed %d: %d are left taken", seed, n)
		}
	}
}

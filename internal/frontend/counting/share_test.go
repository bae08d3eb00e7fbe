package counting

import (
	"math/rand/v2"
	"testing"

	"github.com/lambdad/lambdad/internal/record"
)

// TestShare holds a function to its own concurrency, and others out of it.
func TestShare(t *testing.T) {
	c := New(10)
	other := function("000000000000", "other")
	c.Share(one, 4)
	if !c.Shared(one) || c.Shared(other) {
		t.Error("Shared tells of the wrong function")
	}
	ours := admit(c, one, "1", 10)
	if len(ours) != 4 {
		t.Errorf("%d of a function ran in its share of 4", len(ours))
	}
	theirs := admit(c, other, "1", 10)
	if len(theirs) != 6 || c.Running(scopeOf(one)) != 10 {
		t.Errorf("others got %d of 6; %d run", len(theirs), c.Running(scopeOf(one)))
	}
	// It shrinks to nothing while they run.
	c.Share(one, 0)
	release(ours[:3])
	if n := len(admit(c, one, "1", 1)); n != 0 {
		t.Error("a function ran in a share of nothing")
	}
	if n := len(admit(c, other, "1", 10)); n != 3 {
		t.Errorf("%d of the 3 places that were given back were had", n)
	}
	release(ours[3:])
	c.Share(one, -1)
	if n := len(admit(c, one, "1", 10)); n != 1 {
		t.Errorf("%d ran where 1 is free and nothing is reserved", n)
	}
}

// TestProvisionedWithinShare: what is provisioned of a function's version is part of its share,
// whichever came first.
func TestProvisionedWithinShare(t *testing.T) {
	for name, set := range map[string]func(*Counter){
		"reserved first":    func(c *Counter) { c.Share(one, 4); c.Reserve(one, "1", 3) },
		"provisioned first": func(c *Counter) { c.Reserve(one, "1", 3); c.Share(one, 4) },
	} {
		t.Run(name, func(t *testing.T) {
			c := New(10)
			set(c)
			others := admit(c, one, "2", 10)
			if len(others) != 1 {
				t.Errorf("%d of another version ran beside 3 of 4 that are provisioned", len(others))
			}
			if n := len(admit(c, one, "1", 10)); n != 3 {
				t.Errorf("%d ran in 3 provisioned", n)
			}
			if n := len(admit(c, function("000000000000", "other"), "1", 10)); n != 6 {
				t.Errorf("others got %d of 6", n)
			}
		})
	}
	c := New(10)
	c.Reserve(one, "1", 3)
	c.Share(one, 4)
	c.Share(one, -1)
	if n := len(admit(c, one, "2", 10)); n != 7 {
		t.Errorf("%d of another version ran beside 3 of 10 that are provisioned again outside of a share", n)
	}
}

// TestSharesNeverLose compares with a model, step by step.
func TestSharesNeverLose(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := New(12)
		var running []Admission
		for range 300 {
			version := string(rune('1' + rng.IntN(3)))
			switch rng.IntN(9) {
			case 0:
				c.Share(one, rng.IntN(6)-1)
			case 1:
				c.Reserve(one, version, rng.IntN(3))
			case 2, 3, 4, 5:
				if a, ok := c.Acquire(one, version); ok {
					running = append(running, a)
				}
			default:
				if len(running) > 0 {
					i := rng.IntN(len(running))
					running[i].Release()
					running = append(running[:i], running[i+1:]...)
				}
			}
			if got := c.Running(scopeOf(one)); got > len(running) {
				t.Fatalf("seed %d: %d are counted where %d run", seed, got, len(running))
			}
		}
		release(running)
		c.Share(one, -1)
		for _, v := range []string{"1", "2", "3"} {
			c.Reserve(one, v, 0)
		}
		if n := c.account(record.Scope{Account: one.Account, Region: one.Region}).taken.Load(); n != 0 {
			t.Fatalf("seed %d: %d are left taken", seed, n)
		}
	}
}

package telemetryapi

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

func newCore(l Buffering) *core {
	return &core{limits: l, platform: true, schema: platform.Latest}
}

var epoch = time.Unix(1_700_000_000, 0)

func TestCoreFills(t *testing.T) {
	limits := Buffering{MaxItems: 3, MaxBytes: 100, Timeout: time.Second}
	c := newCore(limits)
	if b, wait := c.next(epoch); b != nil || wait != never {
		t.Errorf("nothing to send: %q, %v", b, wait)
	}
	c.add(epoch, []byte("a"))
	if b, wait := c.next(epoch.Add(300 * time.Millisecond)); b != nil || wait != 700*time.Millisecond {
		t.Errorf("too early: %q, %v", b, wait)
	}
	b, _ := c.next(epoch.Add(time.Second))
	if len(b) != 1 {
		t.Fatalf("its time has come: %q", b)
	}
	if b, wait := c.next(epoch.Add(2 * time.Second)); b != nil || wait != never {
		t.Errorf("while one is on its way: %q, %v", b, wait)
	}
	c.sent(epoch.Add(2*time.Second), true)
	if !c.empty() {
		t.Error("something is left")
	}
	for range 3 {
		c.add(epoch, []byte("b"))
	}
	if b, _ := c.next(epoch); len(b) != 3 {
		t.Errorf("enough items: %q", b)
	}
	c.sent(epoch, true)
	c.add(epoch, make([]byte, 100))
	if b, _ := c.next(epoch); len(b) != 1 {
		t.Errorf("enough bytes: %q", b)
	}
	c.sent(epoch, true)
	c.add(epoch, []byte("c"))
	c.hurry = true
	if b, _ := c.next(epoch); len(b) != 1 {
		t.Errorf("in a hurry: %q", b)
	}
}

// TestCoreRetries: the same batch again, ever more seldom; at once after a freeze.
func TestCoreRetries(t *testing.T) {
	c := newCore(Buffering{MaxItems: 1, MaxBytes: 100, Timeout: time.Second})
	c.add(epoch, []byte("a"))
	now, want := epoch, backoffFirst
	for range 12 {
		if b, _ := c.next(now); len(b) != 1 || string(b[0]) != "a" {
			t.Fatalf("%q", b)
		}
		c.sent(now, false)
		b, wait := c.next(now)
		if b != nil || wait != want {
			t.Errorf("wait %v, not %v", wait, want)
		}
		now = now.Add(wait)
		want = min(2*want, backoffMax)
	}
	c.next(now)
	c.paused = true
	c.sent(now, false)
	if b, wait := c.next(now.Add(time.Hour)); b != nil || wait != never {
		t.Errorf("frozen: %q, %v", b, wait)
	}
	c.thawed()
	if b, _ := c.next(now); len(b) != 1 {
		t.Errorf("thawed: %q", b)
	}
}

// TestCoreDrops: what a slow subscriber loses is counted and told.
func TestCoreDrops(t *testing.T) {
	c := newCore(Buffering{MaxItems: 2, MaxBytes: 100, Timeout: time.Second})
	for range 5 {
		c.add(epoch, []byte("0123456789"))
	}
	b, _ := c.next(epoch)
	if len(b) != 3 || !strings.Contains(string(b[2]), `"platform.logsDropped","record":{"droppedBytes":10,"droppedRecords":1,"reason":"Consumer seems to have fallen behind`) {
		t.Errorf("%q", b)
	}
	if c.toldDrops.DroppedRecords != 1 || c.dropped.DroppedRecords != 0 {
		t.Errorf("%+v", c)
	}
	c.sent(epoch, true)
	c.platform = false
	for range 9 {
		c.add(epoch, []byte("x"))
	}
	if b, _ := c.next(epoch); len(b) != 2 || c.toldDrops.DroppedRecords != 7 {
		t.Errorf("%q, %+v", b, c.toldDrops)
	}
}

// TestCoreBounds: whatever happens, in whatever order, little is held, what is sent is in order, and
// every event is sent or counted.
func TestCoreBounds(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newCore(Buffering{MaxItems: 1 + r.IntN(20), MaxBytes: 50 + r.IntN(100), Timeout: time.Duration(r.IntN(1000)) * time.Millisecond})
		c.platform = false
		now := epoch
		var added, delivered int
		var dropped int64
		for range 2000 {
			now = now.Add(time.Duration(r.IntN(50)) * time.Millisecond)
			switch r.IntN(6) {
			case 0, 1, 2:
				c.add(now, make([]byte, r.IntN(60)))
				added++
			case 3:
				if b, wait := c.next(now); b == nil && wait <= 0 {
					t.Fatalf("seed %d: it would spin", seed)
				}
				dropped += c.toldDrops.DroppedRecords
				c.toldDrops = platform.LogsDropped{}
			case 4:
				if c.sending {
					n, ok := len(c.batch), r.IntN(3) > 0
					c.sent(now, ok)
					if ok {
						delivered += n
					}
				}
			case 5:
				if r.IntN(20) == 0 {
					c.paused = true
				} else if c.paused {
					c.thawed()
				}
			}
			held := 0
			for _, e := range c.waiting {
				held += len(e)
			}
			if held != c.waitingBytes || held > slack*c.limits.MaxBytes+60 || len(c.waiting) > slack*c.limits.MaxItems || len(c.batch) > c.limits.MaxItems {
				t.Fatalf("seed %d: %d bytes in %d events wait, counted %d", seed, held, len(c.waiting), c.waitingBytes)
			}
		}
		if lost := int64(added-delivered-len(c.waiting)-len(c.batch)) - dropped - c.dropped.DroppedRecords; lost != 0 {
			t.Fatalf("seed %d: %d events are neither sent nor counted", seed, lost)
		}
	}
}

package flow

import (
	"errors"
	"testing"
)

const day Instant = 24 * 3600 * 1000

func TestDeduplication(t *testing.T) {
	f := New(Settings{FIFO: true, InFlightMax: 10}, 0, 0)
	now := 20_000 * day
	d := f.Remember("k", Duplicate{MessageID: "m", Sent: now, Pending: true})
	if f.Duplicate(now+2*DedupLife, "k") != d {
		t.Error("a message on its way is forgotten")
	}
	d.Pending = false
	if f.Duplicate(now+DedupLife-1, "k") != d || f.Duplicate(now+DedupLife, "k") != nil {
		t.Error("five minutes are not five minutes")
	}
	if f.DedupFull(now+DedupLife) || len(f.dedup.order) != 0 || len(f.dedup.byKey) != 0 {
		t.Error("what counts no more is kept")
	}
	// One that failed does not keep others out, nor does its end take a newer one's key.
	failed := f.Remember("k", Duplicate{Sent: now, Pending: true})
	f.Forget(failed)
	newer := f.Remember("k", Duplicate{Sent: now})
	f.Forget(failed)
	if f.Duplicate(now, "k") != newer {
		t.Error("a failed message took the key of a newer one")
	}
}

func TestInFlightLimit(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		f := New(Settings{FIFO: fifo, InFlightMax: 2}, 0, 0)
		now := 20_000 * day
		f.Confirm(now, f.Reserve(now, []Draft{{Sent: now, Group: "a"}, {Sent: now, Group: "b"}, {Sent: now, Group: "c"}}))
		if b, err := f.Receive(now, Ask{Limit: 10, Visibility: 1000}); err != nil || len(b.Taken) != 2 {
			t.Fatalf("FIFO %t: %v, %v", fifo, b, err)
		}
		b, err := f.Receive(now, Ask{Limit: 10, Visibility: 1000})
		if len(b.Taken) != 0 || fifo && err != nil || !fifo && !errors.Is(err, ErrOverLimit) {
			t.Errorf("FIFO %t: %v, %v", fifo, b, err)
		}
		if b, err := f.Receive(now+1000, Ask{Limit: 10, Visibility: 1000}); err != nil || len(b.Taken) != 2 {
			t.Errorf("FIFO %t after the timeout: %v, %v", fifo, b, err)
		}
	}
}

func TestPurgeKeepsWhatComesLater(t *testing.T) {
	f := New(Settings{InFlightMax: 10}, 0, 0)
	now := 20_000 * day
	f.Confirm(now, f.Reserve(now, make([]Draft, 3)))
	late := f.Reserve(now, []Draft{{Sent: now}})
	to := f.Last()
	after := f.Reserve(now, []Draft{{Sent: now}})
	f.Purge(to)
	f.Confirm(now, late) // AWS gives no promise for what is sent meanwhile
	f.Confirm(now, after)
	b, err := f.Receive(now, Ask{Limit: 10})
	if err != nil || len(b.Taken) != 1 || b.Taken[0].Sequence != after[0] {
		t.Errorf("%v, %v", b, err)
	}
}

func TestSequencesRise(t *testing.T) {
	f := New(Settings{InFlightMax: 10}, 0, 0)
	now := 20_000 * day
	first := f.Reserve(now, make([]Draft, 3))
	back := f.Reserve(now-day, make([]Draft, 1)) // the clock was set back
	if first[0] >= first[1] || first[1] >= first[2] || first[2] >= back[0] {
		t.Errorf("%v, then %v", first, back)
	}
}

// A group with many messages does not hold up one with few.
func TestFairness(t *testing.T) {
	f := New(Settings{InFlightMax: 1000}, 0, 0)
	now := 20_000 * day
	var noisy []Draft
	for range 100 {
		noisy = append(noisy, Draft{Sent: now, Group: "noisy"})
	}
	f.Confirm(now, f.Reserve(now, noisy))
	if _, err := f.Receive(now, Ask{Limit: 10, Visibility: 1000}); err != nil {
		t.Fatal(err)
	}
	quiet := f.Reserve(now, []Draft{{Sent: now, Group: "quiet"}, {Sent: now}})
	f.Confirm(now, quiet)
	b, err := f.Receive(now, Ask{Limit: 3, Visibility: 1000})
	if err != nil || len(b.Taken) != 3 || b.Taken[1].Sequence != quiet[0] || b.Taken[2].Sequence != quiet[1] {
		t.Errorf("%v, %v, want %v among the first", b, err, quiet)
	}
	if len(f.lanes) != 2 {
		t.Errorf("%d groups", len(f.lanes))
	}
	f.Purge(f.Last())
	if len(f.lanes) != 0 {
		t.Errorf("%d groups are left", len(f.lanes))
	}
}

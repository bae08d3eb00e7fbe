package worker

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDemand(t *testing.T) {
	now := time.Unix(1000, 0)
	var nobody, d demand
	if nobody.target(now) != 0 {
		t.Error("something is parked for nobody")
	}
	for range 5 {
		d.claim(now)
	}
	for after, want := range map[time.Duration]int{0: 5, 9 * time.Second: 5} {
		if got := d.target(now.Add(after)); got != want {
			t.Errorf("after %v target %d, want %d", after, got, want)
		}
	}
	if got := d.target(now.Add(11 * time.Second)); got != 5 {
		t.Errorf("the last window is forgotten at once: %d", got)
	}
	if got := d.target(now.Add(65 * time.Second)); got != 5 {
		t.Errorf("a burst of a minute ago is forgotten: %d", got)
	}
	if got := d.target(now.Add(85 * time.Second)); got != lotMin {
		t.Errorf("after quiet windows target %d", got)
	}
	if got := d.target(now.Add(85*time.Second + lotForget)); got != 0 {
		t.Errorf("after %v target %d", lotForget, got)
	}
	for range 10 * lotMax {
		d.claim(now.Add(time.Hour))
	}
	if got := d.target(now.Add(time.Hour)); got != lotMax {
		t.Errorf("target %d is not bounded", got)
	}
}

func TestSurplusIsGivenUp(t *testing.T) {
	parked := 0
	l := newLots(lotsOptions{max: 10, park: func(context.Context, Runtime, bool) (*parkedBox, error) {
		parked++
		return nil, errors.New("broken host")
	}})
	rt := Runtime{Key: "a"}
	if _, err := l.claim(context.Background(), rt); err == nil || parked != 1 {
		t.Errorf("claim of nothing: %v, parked %d", err, parked)
	}
	now := time.Now()
	lt := l.lots[lotKey{runtime: "a"}]
	for range 5 {
		lt.parked = append(lt.parked, &parkedBox{})
	}
	l.parked = 5
	if got := l.surplus(now); len(got) != 2 || l.parked != 3 {
		t.Errorf("%d given up, %d left", len(got), l.parked)
	}
	if got := l.surplus(now.Add(2 * lotForget)); len(got) != 3 || l.parked != 0 || len(l.lots) != 0 {
		t.Errorf("%d given up, %d left in %d lots", len(got), l.parked, len(l.lots))
	}
	l.close()
	if _, err := l.claim(context.Background(), rt); !errors.Is(err, ErrClosed) {
		t.Errorf("claim after close: %v", err)
	}
}

// TestParkingWaitsForINIT: while INITs want every core nothing is parked ahead,
// but not for ever.
func TestParkingWaitsForINIT(t *testing.T) {
	busy := true
	l := newLots(lotsOptions{max: 10, busy: func() bool { return busy }})
	now := time.Now()
	l.lastClaim = now
	if got := l.hold(now); got != holdMax {
		t.Errorf("at once: held for %s", got)
	}
	if got := l.hold(now.Add(2 * holdMax)); got != 0 {
		t.Errorf("later: held for %s", got)
	}
	busy = false
	if got := l.hold(now); got != holdStocked {
		t.Errorf("with sandboxes left: held for %s", got)
	}
	l.lots[lotKey{}] = &lot{demand: demand{began: now, lastClaim: now}}
	if got := l.hold(now); got != 0 {
		t.Errorf("with an empty lot: held for %s", got)
	}
}

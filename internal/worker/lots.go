package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	parkedMaxDefault = 64
	// lotMin is how many sandboxes stay parked for a runtime that was used lately.
	lotMin = 2
	// lotMax bounds one runtime's parked sandboxes: an idle one costs 0.4 MiB of kernel memory.
	lotMax = 32
	// demandWindow is the period whose claims tell what later periods need, and
	// demandWindows how many of them: bursts often come by the minute.
	demandWindow  = 10 * time.Second
	demandWindows = 7
	// lotForget is how long a runtime without claims keeps parked sandboxes.
	lotForget = 10 * time.Minute
	// parkRetry is the pause after a failed park.
	parkRetry = time.Second
	// parksAtOnce bounds background parking, so that it does not starve invokes.
	parksAtOnce = 2
	// holdMax is how long after a claim parking waits while INITs want every
	// core: an INIT that lasts longer mostly waits for something itself.
	holdMax = 250 * time.Millisecond
	// holdStocked is how long after a claim parking waits while every lot has a
	// sandbox left: a small program has started by then.
	holdStocked = 6 * time.Millisecond
)

type lotsOptions struct {
	// park parks a sandbox, and starts the runtime in it if started.
	park    func(_ context.Context, _ Runtime, started bool) (*parkedBox, error)
	destroy func(*parkedBox)
	// busy tells that the cores have enough to do with INITs; nil: never.
	busy func() bool
	max  int
	// startedMax and startedMemory bound the runtimes that wait.
	startedMax    int
	startedMemory int64
	log           *slog.Logger
}

// lotKey is what parked sandboxes have in common.
type lotKey struct {
	isolation record.Isolation
	runtime   string // Runtime.Key
	started   string // startedKey; "" is the lot of bare sandboxes
}

// lots holds the parked sandboxes, one lot for each runtime and isolation.
type lots struct {
	opts lotsOptions
	wake chan struct{}

	mu        sync.Mutex
	lots      map[lotKey]*lot
	parked    int       // over all lots, with those being parked
	started   int       // those of them whose runtime waits
	bytes     int64     // what these hold
	lastClaim time.Time // the last claim
	closed    bool
}

type lot struct {
	runtime Runtime
	started bool
	refused bool // the driver starts nothing ahead
	bytes   int64
	parked  []*parkedBox
	parking int
	demand  demand
}

// target is how many should be parked in the lot.
func (lt *lot) target(now time.Time) int {
	n := lt.demand.target(now)
	switch {
	case lt.refused:
		return 0
	case lt.started:
		return min(n, startedLotMax)
	}
	return n
}

// demand predicts how many sandboxes the next moments want: the most that were
// claimed in one of the last windows.
type demand struct {
	began     time.Time // of the present window
	claims    [demandWindows]int
	lastClaim time.Time
}

func (d *demand) claim(now time.Time) {
	d.roll(now)
	d.claims[0]++
	d.lastClaim = now
}

// roll moves on to the window that now is in.
func (d *demand) roll(now time.Time) {
	passed := int(now.Sub(d.began) / demandWindow)
	switch {
	case passed <= 0:
	case passed < demandWindows:
		copy(d.claims[passed:], d.claims[:])
		clear(d.claims[:passed])
		d.began = d.began.Add(time.Duration(passed) * demandWindow)
	default:
		d.claims, d.began = [demandWindows]int{}, now
	}
}

func (d *demand) target(now time.Time) int {
	d.roll(now)
	if now.Sub(d.lastClaim) > lotForget {
		return 0
	}
	return min(max(lotMin, slices.Max(d.claims[:])), lotMax)
}

func newLots(opts lotsOptions) *lots {
	return &lots{opts: opts, wake: make(chan struct{}, 1), lots: map[lotKey]*lot{}}
}

// want makes a lot for the runtime without taking from it.
func (l *lots) want(rt Runtime, started bool) {
	l.mu.Lock()
	lt := l.lot(rt, started)
	lt.demand.lastClaim = time.Now()
	l.mu.Unlock()
	l.nudge()
}

// claim takes a parked sandbox, or parks one now if there is none.
func (l *lots) claim(ctx context.Context, rt Runtime) (*parkedBox, error) {
	b, err := l.take(rt, false)
	if b != nil || err != nil {
		return b, err
	}
	return l.opts.park(ctx, rt, false)
}

// claimStarted takes a runtime that waits for its function, or nil if there is none: to
// start one and then wait for it would be no faster than to start it for the function.
func (l *lots) claimStarted(rt Runtime) *parkedBox {
	for {
		b, err := l.take(rt, true)
		if b == nil || err != nil {
			return nil
		}
		if b.alive() {
			return b
		}
		go l.opts.destroy(b)
	}
}

func (l *lots) take(rt Runtime, started bool) (*parkedBox, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	lt := l.lot(rt, started)
	l.lastClaim = time.Now()
	lt.demand.claim(l.lastClaim)
	var b *parkedBox
	if n := len(lt.parked); n > 0 {
		b = lt.parked[n-1]
		l.remove(lt, n-1)
	}
	l.mu.Unlock()
	l.nudge()
	return b, nil
}

// remove takes a parked box out of the lot and of the counts.
func (l *lots) remove(lt *lot, i int) {
	b := lt.parked[i]
	lt.parked = slices.Delete(lt.parked, i, i+1)
	l.parked--
	if lt.started {
		l.started--
		l.bytes -= b.bytes
	}
}

// run keeps the lots at their targets until ctx ends.
func (l *lots) run(ctx context.Context) {
	tick := time.NewTicker(demandWindow / 4)
	defer tick.Stop()
	var parking sync.WaitGroup
	defer parking.Wait()
	slots := make(chan struct{}, parksAtOnce)
	for {
		for _, surplus := range l.surplus(time.Now()) {
			l.opts.destroy(surplus)
		}
		hold := l.hold(time.Now())
		for hold == 0 {
			lt := l.neediest(time.Now())
			if lt == nil {
				break
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			parking.Go(func() {
				defer func() { <-slots }()
				l.fill(ctx, lt)
			})
		}
		var held <-chan time.Time
		if hold > 0 {
			held = time.After(hold)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-tick.C:
		case <-held:
		}
	}
}

// hold is how long nothing is parked ahead, so that it takes nothing from the INITs
// that somebody waits for: neither processor time where they want every core, nor
// the kernel's locks (one start beside one park takes three times as long) while
// whoever comes next finds a sandbox anyway.
func (l *lots) hold(now time.Time) time.Duration {
	busy := l.opts.busy != nil && l.opts.busy()
	l.mu.Lock()
	defer l.mu.Unlock()
	var most time.Duration
	switch {
	case busy:
		most = holdMax
	case l.stocked(now):
		most = holdStocked
	}
	return max(0, most-now.Sub(l.lastClaim))
}

// stocked tells that no lot has run empty.
func (l *lots) stocked(now time.Time) bool {
	for _, lt := range l.lots {
		if len(lt.parked) == 0 && lt.demand.target(now) > 0 {
			return false
		}
	}
	return true
}

// close destroys what is parked.
func (l *lots) close() {
	l.mu.Lock()
	l.closed = true
	var all []*parkedBox
	for _, lt := range l.lots {
		all = append(all, lt.parked...)
		lt.parked = nil
	}
	l.parked, l.started, l.bytes = 0, 0, 0
	l.mu.Unlock()
	for _, b := range all {
		l.opts.destroy(b)
	}
}

func (l *lots) lot(rt Runtime, started bool) *lot {
	key := lotKey{isolation: rt.Isolation, runtime: rt.Key}
	if started {
		key.started = startedKey(rt)
	}
	lt := l.lots[key]
	if lt == nil {
		lt = &lot{runtime: rt, started: started, bytes: startedGuess}
		l.lots[key] = lt
	}
	return lt
}

func (l *lots) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// neediest picks the lot that lacks most and reserves one place in it.
func (l *lots) neediest(now time.Time) *lot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.parked >= l.opts.max {
		return nil
	}
	var best *lot
	most := 0
	for _, lt := range l.lots {
		if lt.started && (l.started >= l.opts.startedMax || l.bytes+int64(lt.parking+1)*lt.bytes > l.opts.startedMemory) {
			continue
		}
		if lack := lt.target(now) - len(lt.parked) - lt.parking; lack > most {
			best, most = lt, lack
		}
	}
	if best != nil {
		best.parking++
		l.parked++
		if best.started {
			l.started++
		}
	}
	return best
}

func (l *lots) fill(ctx context.Context, lt *lot) {
	parkCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	b, err := l.opts.park(parkCtx, lt.runtime, lt.started)
	unsupported := errors.Is(err, sandbox.ErrUnsupported)
	if err != nil && !unsupported && ctx.Err() == nil {
		l.opts.log.Warn("a sandbox could not be parked", "runtime", lt.runtime.Version, "isolation", lt.runtime.Isolation, "error", err)
		// The place stays reserved for the pause, so that a broken host is not asked in a loop.
		select {
		case <-ctx.Done():
		case <-time.After(parkRetry):
		}
	}
	l.mu.Lock()
	lt.parking--
	lt.refused = lt.refused || lt.started && unsupported
	keep := err == nil && !l.closed && ctx.Err() == nil
	switch {
	case keep:
		lt.parked = append(lt.parked, b)
		if lt.started {
			l.bytes += b.bytes
			lt.bytes = b.bytes
		}
	default:
		l.parked--
		if lt.started {
			l.started--
		}
	}
	l.mu.Unlock()
	if err == nil && !keep {
		l.opts.destroy(b)
	}
}

// surplus takes out what is parked beyond the targets.
func (l *lots) surplus(now time.Time) []*parkedBox {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*parkedBox
	for key, lt := range l.lots {
		for i := len(lt.parked) - 1; i >= 0; i-- {
			if !lt.parked[i].alive() { // its runtime has ended, or lost its connection
				out = append(out, lt.parked[i])
				l.remove(lt, i)
			}
		}
		target := lt.target(now)
		// Shrink only to half as much again: parking is cheaper kept than redone.
		for keep := target + target/2; len(lt.parked) > keep; {
			n := len(lt.parked) - 1
			out = append(out, lt.parked[n])
			l.remove(lt, n)
		}
		if target == 0 && lt.refused && now.Sub(lt.demand.lastClaim) <= lotForget {
			continue // remembered, so that it is not asked again
		}
		if target == 0 && len(lt.parked) == 0 && lt.parking == 0 {
			delete(l.lots, key)
		}
	}
	return out
}

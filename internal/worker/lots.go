package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

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
)

type lotsOptions struct {
	park func(context.Context, Runtime) (sandbox.Sandbox, error)
	// busy tells that the cores have enough to do with INITs; nil: never.
	busy func() bool
	max  int
	log  *slog.Logger
}

// lots holds the parked sandboxes, one lot for each runtime.
type lots struct {
	opts lotsOptions
	wake chan struct{}

	mu        sync.Mutex
	lots      map[string]*lot
	parked    int       // over all lots, with those being parked
	lastClaim time.Time // the last claim
	closed    bool
}

type lot struct {
	runtime Runtime
	parked  []sandbox.Sandbox
	parking int
	demand  demand
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
	return &lots{opts: opts, wake: make(chan struct{}, 1), lots: map[string]*lot{}}
}

// want makes a lot for the runtime without taking from it.
func (l *lots) want(rt Runtime) {
	l.mu.Lock()
	lt := l.lot(rt)
	lt.demand.lastClaim = time.Now()
	l.mu.Unlock()
	l.nudge()
}

// claim takes a parked sandbox, or parks one now if there is none.
func (l *lots) claim(ctx context.Context, rt Runtime) (sandbox.Sandbox, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	lt := l.lot(rt)
	l.lastClaim = time.Now()
	lt.demand.claim(l.lastClaim)
	var b sandbox.Sandbox
	if n := len(lt.parked); n > 0 {
		b = lt.parked[n-1]
		lt.parked = lt.parked[:n-1]
		l.parked--
	}
	l.mu.Unlock()
	l.nudge()
	if b != nil {
		return b, nil
	}
	return l.opts.park(ctx, rt)
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
			l.destroy(surplus)
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

// hold is how long nothing is parked ahead, so that it takes no processor time
// from the INITs that somebody waits for.
func (l *lots) hold(now time.Time) time.Duration {
	if l.opts.busy == nil || !l.opts.busy() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, holdMax-now.Sub(l.lastClaim))
}

// close destroys what is parked.
func (l *lots) close() error {
	l.mu.Lock()
	l.closed = true
	var all []sandbox.Sandbox
	for _, lt := range l.lots {
		all = append(all, lt.parked...)
		lt.parked = nil
	}
	l.parked = 0
	l.mu.Unlock()
	var errs []error
	for _, b := range all {
		errs = append(errs, l.destroy(b))
	}
	return errors.Join(errs...)
}

func (l *lots) lot(rt Runtime) *lot {
	lt := l.lots[rt.Key]
	if lt == nil {
		lt = &lot{runtime: rt}
		l.lots[rt.Key] = lt
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
		if lack := lt.demand.target(now) - len(lt.parked) - lt.parking; lack > most {
			best, most = lt, lack
		}
	}
	if best != nil {
		best.parking++
		l.parked++
	}
	return best
}

func (l *lots) fill(ctx context.Context, lt *lot) {
	parkCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	b, err := l.opts.park(parkCtx, lt.runtime)
	if err != nil && ctx.Err() == nil {
		l.opts.log.Warn("a sandbox could not be parked", "runtime", lt.runtime.Key, "error", err)
		// The place stays reserved for the pause, so that a broken host is not asked in a loop.
		select {
		case <-ctx.Done():
		case <-time.After(parkRetry):
		}
	}
	l.mu.Lock()
	lt.parking--
	keep := err == nil && !l.closed && ctx.Err() == nil
	if keep {
		lt.parked = append(lt.parked, b)
	} else {
		l.parked--
	}
	l.mu.Unlock()
	if err == nil && !keep {
		l.destroy(b)
	}
}

// surplus takes out what is parked beyond the targets.
func (l *lots) surplus(now time.Time) []sandbox.Sandbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []sandbox.Sandbox
	for key, lt := range l.lots {
		target := lt.demand.target(now)
		// Shrink only to half as much again: parking is cheaper kept than redone.
		for keep := target + target/2; len(lt.parked) > keep; l.parked-- {
			n := len(lt.parked) - 1
			out = append(out, lt.parked[n])
			lt.parked = lt.parked[:n]
		}
		if target == 0 && len(lt.parked) == 0 && lt.parking == 0 {
			delete(l.lots, key)
		}
	}
	return out
}

func (l *lots) destroy(b sandbox.Sandbox) error {
	ctx, cancel := context.WithTimeout(context.Background(), destroyTimeout)
	defer cancel()
	if err := b.Destroy(ctx); err != nil {
		l.opts.log.Error("a parked sandbox was not removed; the next start reaps it", "sandbox", b.ID(), "error", err)
		return err
	}
	return nil
}

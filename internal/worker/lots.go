package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	parkedMaxDefault = 64
	// lotMin is how many sandboxes stay parked for a runtime that was used lately.
	lotMin = 1
	// lotMax bounds one runtime's parked sandboxes: an idle one costs 0.4 MiB of kernel memory.
	lotMax = 32
	// demandWindow is the period whose claims tell the next period's need.
	demandWindow = 10 * time.Second
	// lotForget is how long a runtime without claims keeps parked sandboxes.
	lotForget = 10 * time.Minute
	// parkRetry is the pause after a failed park.
	parkRetry = time.Second
	// parksAtOnce bounds background parking, so that it does not starve invokes.
	parksAtOnce = 2
)

type lotsOptions struct {
	park func(context.Context, Runtime) (sandbox.Sandbox, error)
	max  int
	log  *slog.Logger
}

// lots holds the parked sandboxes, one lot for each runtime.
type lots struct {
	opts lotsOptions
	wake chan struct{}

	mu     sync.Mutex
	lots   map[string]*lot
	parked int // over all lots, with those being parked
	closed bool
}

type lot struct {
	runtime Runtime
	parked  []sandbox.Sandbox
	parking int
	demand  demand
}

// demand predicts how many sandboxes the next moments want: the larger of the
// claims in this window and the last.
type demand struct {
	window    time.Time
	this      int
	last      int
	lastClaim time.Time
}

func (d *demand) claim(now time.Time) {
	d.roll(now)
	d.this++
	d.lastClaim = now
}

func (d *demand) roll(now time.Time) {
	switch passed := now.Sub(d.window); {
	case passed < demandWindow:
	case passed < 2*demandWindow:
		d.window, d.last, d.this = d.window.Add(demandWindow), d.this, 0
	default:
		d.window, d.last, d.this = now, 0, 0
	}
}

func (d *demand) target(now time.Time) int {
	d.roll(now)
	if now.Sub(d.lastClaim) > lotForget {
		return 0
	}
	return min(max(lotMin, d.this, d.last), lotMax)
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
	lt.demand.claim(time.Now())
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
		for {
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
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-tick.C:
		}
	}
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

// Package assignment owns the decision which execution environment runs which invoke:
// warm leases, cold starts, waiting, keep-alive and the memory of a host. Core, Budget
// and KeepAlive are pure machines; Assigner is the shell that owns time, locks and
// channels. It must never import frontend, control or an API shape: it is asked
// for an environment, and who asks or pays is decided above.
package assignment

import (
	"slices"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// Config bounds a Core.
type Config struct {
	QueueMax  int           // invokes that wait, for each pool
	WaitMax   time.Duration // how long an invoke waits for memory
	KeepAlive KeepAliveConfig

	// ScalingRate is how many environments a function may get in scalingPeriod.
	ScalingRate int
	// TenantEnvironmentsMax is how many environments a function may have for all its tenants together.
	TenantEnvironmentsMax int
}

// tenantEnvironmentsMax: beyond it TooManyRequestsException. Source: Lambda quotas, "Tenant isolated
// execution environments": 2,500 for each 1,000 of concurrent executions.
const tenantEnvironmentsMax = 2500

// acquireQueueMax: beyond it TooManyRequestsException. An account runs 1,000 by default.
const acquireQueueMax = 1024

func (c Config) withDefaults() Config {
	if c.QueueMax == 0 {
		c.QueueMax = acquireQueueMax
	}
	if c.WaitMax == 0 {
		c.WaitMax = 10 * time.Second
	}
	if c.ScalingRate == 0 {
		c.ScalingRate = scalingRateDefault
	}
	if c.TenantEnvironmentsMax == 0 {
		c.TenantEnvironmentsMax = tenantEnvironmentsMax
	}
	c.KeepAlive = c.KeepAlive.withDefaults()
	return c
}

// Core decides for one function: which environment runs which invoke, when one
// is started, and when one is given up. It is pure: no clock, no goroutine.
type Core struct {
	rate scalingRate

	cfg       Config
	pools     map[PoolKey]*pool
	order     []*pool // as made: what is done never depends on a map's order
	envs      map[EnvID]*env
	lastEnv   EnvID
	floor     map[string]generationFloor
	isolation record.Isolation // "" until it is told
	keep      KeepAlive
	busy      int
	// silentSince is when the function's last running invoke ended; zero while one runs or waits.
	silentSince time.Time
	foreseen    foreseen
	idle        int
	idleMiB     int
	draining    bool
}

// NewCore makes the core of one function.
func NewCore(cfg Config) *Core {
	cfg = cfg.withDefaults()
	return &Core{
		cfg:   cfg,
		rate:  newScalingRate(cfg.ScalingRate),
		pools: map[PoolKey]*pool{},
		envs:  map[EnvID]*env{},
		floor: map[string]generationFloor{},
		keep:  NewKeepAlive(cfg.KeepAlive),
	}
}

// Step takes one event and appends what is to be done.
func (c *Core) Step(now time.Time, ev Event, out []Effect) []Effect {
	switch ev.Kind {
	case EventInvoke:
		return c.invoke(now, &ev, out)
	case EventGranted:
		return c.granted(&ev, out)
	case EventDenied:
		return c.startFailed(now, ev.Env, ReasonTooLarge, out)
	case EventStarted:
		return c.started(now, &ev, out)
	case EventStartFailed:
		return c.startFailed(now, ev.Env, ReasonStartFailed, out)
	case EventDone:
		return c.done(now, &ev, out)
	case EventDestroyed:
		return c.destroyed(ev.Env, out)
	case EventGeneration:
		c.floor[ev.Key.Version] = generationFloor{generation: ev.Key.Generation}
		return c.dropStale(out)
	case EventRemoved:
		c.floor[ev.Key.Version] = generationFloor{removed: true}
		return c.dropStale(out)
	case EventIsolation:
		if c.isolation == ev.Key.Isolation {
			return out
		}
		c.isolation = ev.Key.Isolation
		return c.dropStale(out)
	case EventProvision:
		return c.provisionPool(now, &ev, out)
	case EventReclaim:
		return c.reclaim(ev.MemoryMiB, ev.Count, out)
	case EventDrain:
		return c.drain(out)
	case EventAbandon:
		return c.abandon(out)
	case EventTick:
		return c.tick(now, out)
	default:
		panic("assignment: an event of no kind")
	}
}

// Idle tells how many environments wait warm, and the memory they hold.
func (c *Core) Idle() (count, memoryMiB int) { return c.idle, c.idleMiB }

// OldestIdle is since when the longest idle environment waits.
func (c *Core) OldestIdle() (since time.Time, ok bool) {
	p := c.oldestIdle()
	if p == nil {
		return time.Time{}, false
	}
	return p.idle[0].idleSince, true
}

// Has reports whether a pool has anything that lives or waits, or will have.
func (c *Core) Has(k PoolKey) bool {
	return c.pools[k] != nil || !c.foreseen.to.IsZero() && c.foreseen.key == k
}

// Quiet reports whether nothing lives, waits or is being destroyed, and nothing will be started
// without an invoke.
func (c *Core) Quiet() bool {
	return len(c.envs) == 0 && len(c.pools) == 0 && c.foreseen.to.IsZero()
}

func (c *Core) invoke(now time.Time, ev *Event, out []Effect) []Effect {
	if c.draining {
		return append(out, Effect{Kind: EffectReject, Invoke: ev.Invoke, Reason: ReasonDraining})
	}
	silence, wasSilent := c.spoke(now)
	if wasSilent {
		c.keep.Observe(silence, ev.MemoryMiB)
	}
	p := c.pools[ev.Key]
	if p == nil {
		p = c.newPool(ev.Key)
	}
	var taken bool
	if out, taken = c.takeReady(now, p, ev.Invoke, out); taken {
		return out
	}
	for n := len(p.idle); n > 0; n = len(p.idle) {
		e := c.unpark(p, n-1)
		if !e.usable(now) {
			out = c.destroy(e, out)
			continue
		}
		if !wasSilent {
			c.keep.Observe(now.Sub(e.idleSince), e.memoryMiB)
		}
		return c.assign(e, ev.Invoke, out)
	}
	if len(p.waiting) >= c.cfg.QueueMax {
		out = append(out, Effect{Kind: EffectReject, Invoke: ev.Invoke, Reason: ReasonQueueFull})
		return c.settle(p, out)
	}
	if ev.Key.TenantID != "" && len(c.envs) >= c.cfg.TenantEnvironmentsMax {
		out = append(out, Effect{Kind: EffectReject, Invoke: ev.Invoke, Reason: ReasonQueueFull})
		return c.settle(p, out)
	}
	if len(p.asking)+p.starting-p.stale <= len(p.waiting) && !c.rate.take(now) {
		out = append(out, Effect{Kind: EffectReject, Invoke: ev.Invoke, Reason: ReasonScalingRate})
		return c.settle(p, out)
	}
	p.waiting = append(p.waiting, waiting{invoke: ev.Invoke, memoryMiB: ev.MemoryMiB, since: now})
	return c.settle(p, out)
}

func (c *Core) newPool(k PoolKey) *pool {
	p := &pool{key: k}
	c.pools[k] = p
	c.order = append(c.order, p)
	return p
}

func (c *Core) granted(ev *Event, out []Effect) []Effect {
	e := c.envs[ev.Env]
	if e == nil || e.state != envAsking {
		return append(out, Effect{Kind: EffectRelease, Env: ev.Env, MemoryMiB: ev.MemoryMiB}) // it was cancelled meanwhile
	}
	if e.ahead {
		return c.grantedAhead(e, out)
	}
	p := e.pool
	e.state = envStarting
	if e.provisioned {
		p.provision.asking = removeEnv(p.provision.asking, e)
		p.provision.starting++
	} else {
		p.asking = removeEnv(p.asking, e)
		p.starting++
	}
	return append(out, Effect{Kind: EffectStart, Env: e.id, Key: p.key, Provisioned: e.provisioned})
}

func (c *Core) started(now time.Time, ev *Event, out []Effect) []Effect {
	e := c.must(ev.Env, envStarting)
	p := e.pool
	e.until = ev.Until
	if e.provisioned {
		return c.provisionedStarted(now, e, ev.Healthy, out)
	}
	p.starting--
	if e.stale {
		p.stale--
	}
	switch {
	case !e.usable(now):
		out = c.destroy(e, out)
	case len(p.waiting) > 0:
		out = c.assign(e, p.pop(), out) // even after a failed INIT: the invoke runs it again
	case !ev.Healthy || c.draining || !c.current(p.key):
		out = c.destroy(e, out)
	default:
		c.park(now, e)
	}
	return c.settle(p, out)
}

func (c *Core) startFailed(now time.Time, id EnvID, reason Reason, out []Effect) []Effect {
	e := c.envs[id]
	if e == nil || e.state != envAsking && e.state != envStarting {
		return out // the ask was cancelled meanwhile
	}
	if e.provisioned {
		return c.provisionedFailed(now, e, reason, out)
	}
	if e.ahead && e.state == envAsking {
		return c.deniedAhead(e, out)
	}
	p := e.pool
	if e.state == envAsking {
		p.asking = removeEnv(p.asking, e)
	} else {
		p.starting--
		if e.stale {
			p.stale--
		}
		out = append(out, Effect{Kind: EffectRelease, Env: e.id, MemoryMiB: e.memoryMiB})
	}
	delete(c.envs, id)
	if len(p.waiting) > len(p.asking)+p.starting-p.stale {
		// Nothing else is on its way for one of those who wait: the oldest has waited for this.
		out = append(out, Effect{Kind: EffectReject, Invoke: p.pop(), Env: id, Reason: reason})
	}
	return c.settle(p, out)
}

func (c *Core) done(now time.Time, ev *Event, out []Effect) []Effect {
	e := c.must(ev.Env, envBusy)
	p := e.pool
	p.busy--
	c.busy--
	e.invoke = 0
	if c.busy == 0 {
		c.fellSilent(now, e)
	}
	if e.provisioned {
		return c.provisionedDone(now, e, ev.Healthy, out)
	}
	switch {
	case !ev.Healthy || !e.usable(now):
		out = c.destroy(e, out)
	case len(p.waiting) > 0:
		out = c.assign(e, p.pop(), out)
	case c.draining || !c.current(p.key):
		out = c.destroy(e, out)
	default:
		c.park(now, e)
		return out // nothing waits and nothing asks: the pool is settled
	}
	return c.settle(p, out)
}

func (c *Core) destroyed(id EnvID, out []Effect) []Effect {
	e := c.must(id, envDestroying)
	delete(c.envs, id)
	out = append(out, Effect{Kind: EffectRelease, Env: e.id, MemoryMiB: e.memoryMiB})
	return c.settle(e.pool, out)
}

// dropStale gives up what is idle and no longer current, and marks what is not idle.
func (c *Core) dropStale(out []Effect) []Effect {
	if !c.current(c.foreseen.key) {
		c.foreseen = foreseen{}
	}
	for _, e := range c.envs {
		p := e.pool
		if c.current(p.key) || e.state == envAsking {
			continue // what only asks for memory has seen nothing of the old version yet
		}
		if e.state == envStarting && !e.stale && !e.provisioned {
			p.stale++
		}
		e.stale = true
	}
	for _, p := range slices.Clone(c.order) {
		if c.current(p.key) {
			continue
		}
		out = c.dropProvisioned(p, out)
		for i := len(p.idle) - 1; i >= 0; i-- {
			if p.idle[i].stale {
				out = c.destroy(c.unpark(p, i), out)
			}
		}
		out = c.settle(p, out)
	}
	return out
}

func (c *Core) reclaim(memoryMiB, count int, out []Effect) []Effect {
	for memoryMiB > 0 || count > 0 {
		p := c.oldestIdle()
		if p == nil {
			return out
		}
		e := c.unpark(p, 0)
		memoryMiB -= e.memoryMiB
		count--
		out = c.destroy(e, out)
	}
	return out
}

func (c *Core) drain(out []Effect) []Effect {
	c.draining = true
	c.foreseen = foreseen{}
	for _, p := range slices.Clone(c.order) {
		out = c.settle(p, c.dropProvisioned(p, out))
	}
	return c.reclaim(0, c.idle, out)
}

func (c *Core) abandon(out []Effect) []Effect {
	for _, p := range slices.Clone(c.order) {
		for len(p.waiting) > 0 {
			out = append(out, Effect{Kind: EffectReject, Invoke: p.pop(), Reason: ReasonDraining})
		}
		out = c.settle(p, out)
	}
	return out
}

func (c *Core) tick(now time.Time, out []Effect) []Effect {
	window := c.keep.Window()
	for _, p := range slices.Clone(c.order) {
		out = c.tickProvisioned(now, p, out)
		for len(p.idle) > 0 {
			// The oldest is the first, but any may have credentials that expire.
			i := p.expired(now, window)
			if i < 0 {
				break
			}
			out = c.destroy(c.unpark(p, i), out)
		}
		// Those at the front get what is already starting; the others wait for memory.
		for i := p.starting - p.stale; i < len(p.waiting); {
			if now.Sub(p.waiting[i].since) < c.cfg.WaitMax {
				i++
				continue
			}
			out = append(out, Effect{Kind: EffectReject, Invoke: p.waiting[i].invoke, Reason: ReasonNoCapacity})
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
		}
		out = c.settle(p, out)
	}
	return c.startAhead(now, out)
}

// settle makes as many environments be on their way as invokes wait, and
// forgets a pool that has nothing.
func (c *Core) settle(p *pool, out []Effect) []Effect {
	for len(p.asking)+p.starting-p.stale < len(p.waiting) {
		c.lastEnv++
		e := &env{id: c.lastEnv, pool: p, state: envAsking, memoryMiB: p.waiting[0].memoryMiB}
		c.envs[e.id] = e
		p.asking = append(p.asking, e)
		out = append(out, Effect{Kind: EffectAsk, Env: e.id, MemoryMiB: e.memoryMiB})
	}
	for n := len(p.asking); n > 0 && n+p.starting-p.stale > len(p.waiting); n = len(p.asking) {
		e := p.asking[n-1]
		p.asking = p.asking[:n-1]
		delete(c.envs, e.id)
		c.rate.giveBack()
		out = append(out, Effect{Kind: EffectCancel, Env: e.id})
	}
	empty := len(p.idle) == 0 && len(p.waiting) == 0 && len(p.asking) == 0 && p.starting == 0 && p.askingAhead == 0 && p.busy == 0 && p.provision.quiet()
	if empty && c.pools[p.key] == p { // a pool made anew since is another one's
		delete(c.pools, p.key)
		if i := slices.Index(c.order, p); i >= 0 {
			c.order = slices.Delete(c.order, i, i+1)
		}
	}
	return out
}

func (c *Core) assign(e *env, id InvokeID, out []Effect) []Effect {
	e.state, e.invoke = envBusy, id
	e.ahead, e.keepUntil = false, time.Time{}
	e.pool.busy++
	c.busy++
	c.silentSince, c.foreseen = time.Time{}, foreseen{} // it may have waited since before the silence
	return append(out, Effect{Kind: EffectAssign, Invoke: id, Env: e.id})
}

func (c *Core) park(now time.Time, e *env) {
	e.state, e.idleSince = envIdle, now
	e.pool.idle = append(e.pool.idle, e)
	c.idle++
	c.idleMiB += e.memoryMiB
}

func (c *Core) unpark(p *pool, i int) *env {
	e := p.idle[i]
	p.idle = slices.Delete(p.idle, i, i+1)
	c.idle--
	c.idleMiB -= e.memoryMiB
	return e
}

func (c *Core) destroy(e *env, out []Effect) []Effect {
	e.state = envDestroying
	return append(out, Effect{Kind: EffectDestroy, Env: e.id, MemoryMiB: e.memoryMiB})
}

// current reports whether a pool's environments are of the generation and the isolation that
// stay warm.
func (c *Core) current(k PoolKey) bool {
	if c.isolation != "" && k.Isolation != c.isolation {
		return false
	}
	f, known := c.floor[k.Version]
	return !known || !f.removed && f.generation == k.Generation
}

func (c *Core) must(id EnvID, s envState) *env {
	e := c.envs[id]
	if e == nil || e.state != s {
		panic("assignment: an event for an environment that is not in that state")
	}
	return e
}

func (c *Core) oldestIdle() *pool {
	var oldest *pool
	for _, p := range c.order {
		if len(p.idle) > 0 && (oldest == nil || p.idle[0].idleSince.Before(oldest.idle[0].idleSince)) {
			oldest = p
		}
	}
	return oldest
}

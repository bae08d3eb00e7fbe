package assignment

import (
	"slices"
	"time"
)

// Bounds of provisioning.
const (
	// provisionWaitMax is how long a provisioned environment waits for memory: less than an
	// invoke does, because asks are served in their order and it has nobody waiting.
	provisionWaitMax = 2 * time.Second
	// After a failure nothing more is provisioned for a time that doubles with each one.
	provisionRetryMin = 5 * time.Second
	provisionRetryMax = 5 * time.Minute
)

// ProvisionStatus is what there is of a pool's provisioned environments.
type ProvisionStatus struct {
	Requested int
	Available int    // initialised, idle or busy
	Failure   Reason // why some are missing and are not made now; 0: none
	// Reached: all were there once. What is missing since is being replaced.
	Reached bool
}

// provision is a pool's part in provisioned concurrency: so many of its environments are kept
// initialised, outside of keep-alive and of reclaiming.
type provision struct {
	target    int
	memoryMiB int
	live      int    // asking, starting, ready or busy
	asking    []*env // want memory
	ready     []*env // idle; the last is the warmest
	starting  int
	failure   Reason
	backoff   time.Duration
	retry     time.Time // nothing is made before
	reached   bool
}

// ProvisionStatus tells of a version's provisioned environments; false: it has none and wants none.
func (c *Core) ProvisionStatus(k PoolKey) (ProvisionStatus, bool) {
	p := c.pools[k]
	if p == nil || p.provision.target == 0 {
		return ProvisionStatus{}, false
	}
	v := &p.provision
	return ProvisionStatus{
		Requested: v.target, Available: v.live - len(v.asking) - v.starting, Failure: v.failure, Reached: v.reached,
	}, true
}

// provisionPool sets how many environments of a pool are to be kept initialised.
func (c *Core) provisionPool(now time.Time, ev *Event, out []Effect) []Effect {
	if c.draining {
		return out
	}
	p := c.pools[ev.Key]
	if p == nil {
		if ev.Count == 0 {
			return out
		}
		p = c.newPool(ev.Key)
	}
	v := &p.provision
	if v.target != ev.Count {
		v.reached = false
	}
	v.target, v.memoryMiB = ev.Count, ev.MemoryMiB
	v.failure, v.backoff, v.retry = 0, 0, time.Time{} // whoever configures it has mended something
	out = c.balance(now, p, out)
	return c.settle(p, out)
}

// balance makes the provisioned environments of a pool as many as are wanted. Those that start
// or are busy are given up when that ends.
func (c *Core) balance(now time.Time, p *pool, out []Effect) []Effect {
	v := &p.provision
	for v.live > v.target && len(v.asking) > 0 {
		out = c.cancelProvisioned(p, out)
	}
	for v.live > v.target && len(v.ready) > 0 {
		e := v.ready[0]
		v.ready = slices.Delete(v.ready, 0, 1)
		out = c.retire(e, out)
	}
	for v.live < v.target && !c.draining && c.current(p.key) && !now.Before(v.retry) {
		c.lastEnv++
		e := &env{id: c.lastEnv, pool: p, state: envAsking, memoryMiB: v.memoryMiB, provisioned: true, asked: now}
		c.envs[e.id] = e
		v.live++
		v.asking = append(v.asking, e)
		out = append(out, Effect{Kind: EffectAsk, Env: e.id, MemoryMiB: e.memoryMiB, Provisioned: true})
	}
	if v.live == v.target && len(v.asking) == 0 && v.starting == 0 && v.target > 0 {
		v.reached, v.failure, v.backoff = true, 0, 0
	}
	return out
}

// cancelProvisioned takes back the ask that came last.
func (c *Core) cancelProvisioned(p *pool, out []Effect) []Effect {
	v := &p.provision
	e := v.asking[len(v.asking)-1]
	v.asking = v.asking[:len(v.asking)-1]
	v.live--
	delete(c.envs, e.id)
	return append(out, Effect{Kind: EffectCancel, Env: e.id, Provisioned: true})
}

// retire destroys a provisioned environment that is in no list any more.
func (c *Core) retire(e *env, out []Effect) []Effect {
	e.pool.provision.live--
	return c.destroy(e, out)
}

func (c *Core) provisionedStarted(now time.Time, e *env, healthy bool, out []Effect) []Effect {
	p := e.pool
	v := &p.provision
	v.starting--
	switch {
	case !healthy:
		out = c.retire(e, out)
		v.fail(now, ReasonInitFailed)
	case !e.usable(now) || c.draining || !c.current(p.key) || v.live > v.target:
		out = c.retire(e, out)
	case len(p.waiting) > 0:
		out = c.assign(e, p.pop(), out)
	default:
		e.state = envIdle
		v.ready = append(v.ready, e)
	}
	return c.settle(p, c.balance(now, p, out))
}

// provisionedFailed ends one that could not be made; state says whether it had memory already.
func (c *Core) provisionedFailed(now time.Time, e *env, reason Reason, out []Effect) []Effect {
	p := e.pool
	v := &p.provision
	if e.state == envAsking {
		v.asking = removeEnv(v.asking, e)
	} else {
		v.starting--
		out = append(out, Effect{Kind: EffectRelease, Env: e.id, MemoryMiB: e.memoryMiB})
	}
	v.live--
	delete(c.envs, e.id)
	v.fail(now, reason)
	return c.settle(p, c.balance(now, p, out))
}

// fail makes the pool wait before it tries again, twice as long each time.
func (v *provision) fail(now time.Time, reason Reason) {
	if now.Before(v.retry) {
		return // one of several that were under way together
	}
	v.backoff = min(max(2*v.backoff, provisionRetryMin), provisionRetryMax)
	v.failure, v.retry = reason, now.Add(v.backoff)
}

func (c *Core) provisionedDone(now time.Time, e *env, healthy bool, out []Effect) []Effect {
	p := e.pool
	v := &p.provision
	switch {
	case !healthy || !e.usable(now):
		out = c.retire(e, out)
	case len(p.waiting) > 0:
		out = c.assign(e, p.pop(), out)
	case c.draining || !c.current(p.key) || v.live > v.target:
		out = c.retire(e, out)
	default:
		e.state = envIdle
		v.ready = append(v.ready, e)
		return out
	}
	return c.settle(p, c.balance(now, p, out))
}

// takeReady leases a provisioned environment for an invoke.
func (c *Core) takeReady(now time.Time, p *pool, id InvokeID, out []Effect) (_ []Effect, taken bool) {
	v := &p.provision
	for n := len(v.ready); n > 0; n = len(v.ready) {
		e := v.ready[n-1]
		v.ready = v.ready[:n-1]
		if e.usable(now) {
			return c.assign(e, id, out), true
		}
		out = c.balance(now, p, c.retire(e, out))
	}
	return out, false
}

// tickProvisioned replaces what has expired, gives up what waits too long for memory, and
// tries again what failed.
func (c *Core) tickProvisioned(now time.Time, p *pool, out []Effect) []Effect {
	v := &p.provision
	for i := len(v.ready) - 1; i >= 0; i-- {
		if e := v.ready[i]; !e.usable(now) {
			v.ready = slices.Delete(v.ready, i, i+1)
			out = c.retire(e, out)
		}
	}
	if len(v.asking) > 0 && now.Sub(v.asking[0].asked) >= provisionWaitMax {
		for len(v.asking) > 0 {
			out = c.cancelProvisioned(p, out)
		}
		v.fail(now, ReasonNoCapacity)
	}
	return c.balance(now, p, out)
}

// dropProvisioned gives up a pool's provisioned environments: its version is gone, runs
// otherwise now, or the node stops.
func (c *Core) dropProvisioned(p *pool, out []Effect) []Effect {
	p.provision.target = 0
	return c.balance(time.Time{}, p, out)
}

func (v *provision) quiet() bool { return v.target == 0 && v.live == 0 }

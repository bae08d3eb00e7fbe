package assignment

import "time"

// foreseen is the start of an environment ahead of a function's next arrival. There is at most
// one for each silence.
type foreseen struct {
	key       PoolKey
	memoryMiB int
	from, to  time.Time // zero: none is foreseen
	env       EnvID     // 0 until it is asked for
}

// fellSilent is told when the function's last running invoke ended: from now its silence is counted.
func (c *Core) fellSilent(now time.Time, e *env) {
	c.silentSince = now
	ahead, ok := c.keep.Ahead()
	if !ok || c.draining || !c.current(e.pool.key) {
		return
	}
	c.foreseen = foreseen{key: e.pool.key, memoryMiB: e.memoryMiB, from: now.Add(ahead.From), to: now.Add(ahead.To)}
}

// spoke is told when an invoke arrives. It returns how long the function had been silent, and
// false if it had not.
func (c *Core) spoke(now time.Time) (time.Duration, bool) {
	c.foreseen = foreseen{}
	if c.silentSince.IsZero() {
		return 0, false
	}
	silence := now.Sub(c.silentSince)
	c.silentSince = time.Time{}
	return silence, true
}

// startAhead asks for the environment that was foreseen once its time has come.
func (c *Core) startAhead(now time.Time, out []Effect) []Effect {
	f := &c.foreseen
	switch {
	case f.to.IsZero() || now.Before(f.from):
		return out
	case !now.Before(f.to) || f.env == 0 && c.isReady(f.key):
		c.foreseen = foreseen{}
		return out
	case f.env != 0:
		return out
	case !c.rate.take(now):
		return out
	}
	p := c.pools[f.key]
	if p == nil {
		p = c.newPool(f.key)
	}
	c.lastEnv++
	e := &env{id: c.lastEnv, pool: p, state: envAsking, memoryMiB: f.memoryMiB, ahead: true, keepUntil: f.to}
	c.envs[e.id] = e
	p.askingAhead++
	f.env = e.id
	return append(out, Effect{Kind: EffectAsk, Env: e.id, MemoryMiB: e.memoryMiB, Ahead: true})
}

// isReady: the pool has an environment that would take the arrival anyway.
func (c *Core) isReady(k PoolKey) bool {
	p := c.pools[k]
	return p != nil && len(p.idle)+len(p.provision.ready)+p.starting+p.provision.starting > 0
}

// grantedAhead starts what was asked for ahead, if it is still wanted.
func (c *Core) grantedAhead(e *env, out []Effect) []Effect {
	p := e.pool
	p.askingAhead--
	if c.draining || !c.current(p.key) || c.foreseen.env != e.id && len(p.waiting) <= p.starting-p.stale {
		delete(c.envs, e.id)
		c.rate.giveBack()
		return c.settle(p, append(out, Effect{Kind: EffectRelease, Env: e.id, MemoryMiB: e.memoryMiB}))
	}
	e.state = envStarting
	p.starting++
	return c.settle(p, append(out, Effect{Kind: EffectStart, Env: e.id, Key: p.key}))
}

// deniedAhead: the host has nothing to spare now, so it is tried again with the next tick.
func (c *Core) deniedAhead(e *env, out []Effect) []Effect {
	e.pool.askingAhead--
	delete(c.envs, e.id)
	c.rate.giveBack()
	if c.foreseen.env == e.id {
		c.foreseen.env = 0
	}
	return c.settle(e.pool, out)
}

package assignment

import "time"

// generationFloor is the only generation of a version that stays warm.
type generationFloor struct {
	generation uint64
	removed    bool
}

type envState uint8

const (
	envAsking envState = iota
	envStarting
	envIdle
	envBusy
	envDestroying
)

type env struct {
	id        EnvID
	pool      *pool
	state     envState
	memoryMiB int
	idleSince time.Time
	until     time.Time // zero: for ever
	stale     bool      // takes no more invokes
	invoke    InvokeID  // while busy
	// provisioned ones are counted in their pool's provision, and not in its starting.
	provisioned bool
	asked       time.Time // of a provisioned one
	// ahead ones were started for an invoke that has not arrived, and wait until keepUntil.
	ahead     bool
	keepUntil time.Time
}

type pool struct {
	key      PoolKey
	idle     []*env // the last is the warmest
	waiting  []waiting
	asking   []*env
	starting int
	busy     int
	// askingAhead want memory, and nobody waits for them.
	askingAhead int
	stale       int // environments of this pool that are starting and stale

	provision provision
}

type waiting struct {
	invoke    InvokeID
	memoryMiB int
	since     time.Time
}

func (e *env) usable(now time.Time) bool {
	return !e.stale && (e.until.IsZero() || now.Before(e.until))
}

func (p *pool) pop() InvokeID {
	id := p.waiting[0].invoke
	p.waiting = append(p.waiting[:0], p.waiting[1:]...)
	return id
}

// expired finds an idle environment that has been kept long enough, -1 if none.
func (p *pool) expired(now time.Time, window time.Duration) int {
	for i, e := range p.idle {
		if now.Sub(e.idleSince) >= window && !now.Before(e.keepUntil) || !e.usable(now) {
			return i
		}
	}
	return -1
}

func removeEnv(envs []*env, e *env) []*env {
	for i := range envs {
		if envs[i] == e {
			return append(envs[:i], envs[i+1:]...)
		}
	}
	panic("assignment: an environment is missing in its own pool")
}

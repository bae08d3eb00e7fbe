package assignment

import (
	"fmt"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker"
)

// shard is one function's core with what surrounds it.
type shard struct {
	assigner *Assigner
	number   uint64
	id       record.FunctionID

	mu         sync.Mutex
	core       *Core
	slots      map[EnvID]*slot
	waiters    map[InvokeID]chan answer
	records    map[PoolKey]*record.Function // what a start needs
	lastInvoke InvokeID
	effects    []Effect
	removed    bool // its function is gone
	dropped    bool // it is no longer in the assigner
}

// slot is an environment's place: env is nil until it started.
type slot struct {
	id        EnvID
	env       Environment
	memoryMiB int
}

// answer is what a waiting invoke gets.
type answer struct {
	slot *slot
	err  error
}

// coldEffect is an effect that is done without the shard's lock.
type coldEffect struct {
	Effect
	slot   *slot
	record *record.Function
}

func newShard(a *Assigner, number uint64, id record.FunctionID) *shard {
	return &shard{
		assigner: a,
		number:   number,
		id:       id,
		core:     NewCore(a.opts.Config),
		slots:    map[EnvID]*slot{},
		waiters:  map[InvokeID]chan answer{},
		records:  map[PoolKey]*record.Function{},
	}
}

// invoke leases a warm environment, or returns a channel to wait on. It is false
// when the shard is no longer the function's.
func (s *shard) invoke(fn *record.Function, key PoolKey) (*slot, <-chan answer, bool) {
	s.mu.Lock()
	if s.dropped {
		s.mu.Unlock()
		return nil, nil, false
	}
	s.lastInvoke++
	id := s.lastInvoke
	s.effects = s.core.Step(time.Now(), Event{Kind: EventInvoke, Invoke: id, Key: key, MemoryMiB: fn.MemoryMiB}, s.effects[:0])
	if len(s.effects) == 1 && s.effects[0].Kind == EffectAssign {
		sl := s.slots[s.effects[0].Env]
		s.mu.Unlock()
		return sl, nil, true
	}
	wait := make(chan answer, 1)
	s.waiters[id] = wait
	s.records[key] = fn
	cold := s.apply(nil)
	s.mu.Unlock()
	s.assigner.do(s, cold)
	return nil, wait, true
}

// done gives an environment back.
func (s *shard) done(env EnvID, reusable bool) {
	s.step(Event{Kind: EventDone, Env: env, Healthy: reusable}, nil)
	if s.assigner.starved.Load() {
		go s.assigner.reclaim(0)
	}
}

// step takes an event and does what follows. cause explains rejections.
func (s *shard) step(ev Event, cause error) {
	s.mu.Lock()
	if s.dropped {
		s.mu.Unlock()
		return
	}
	cold := s.stepLocked(ev, cause)
	s.mu.Unlock()
	s.assigner.do(s, cold)
}

func (s *shard) stepLocked(ev Event, cause error) []coldEffect {
	switch ev.Kind {
	case EventRemoved:
		s.removed = s.removed || ev.Key.Version == record.Latest
	case EventDenied:
		delete(s.slots, ev.Env)
	case EventGeneration:
		s.removed = s.removed && ev.Key.Version != record.Latest
	}
	s.effects = s.core.Step(time.Now(), ev, s.effects[:0])
	return s.apply(cause)
}

// granted tells that memory is there; false if nobody wants it any more.
func (s *shard) granted(env EnvID, memoryMiB int) bool {
	s.mu.Lock()
	if s.dropped || s.slots[env] == nil {
		s.mu.Unlock()
		return false
	}
	cold := s.stepLocked(Event{Kind: EventGranted, Env: env, MemoryMiB: memoryMiB}, nil)
	s.mu.Unlock()
	s.assigner.do(s, cold)
	return true
}

// started puts a new environment in its place.
func (s *shard) started(sl *slot, e Environment) {
	s.mu.Lock()
	sl.env = e
	cold := s.stepLocked(Event{Kind: EventStarted, Env: sl.id, Until: e.UsableUntil(), Healthy: !e.InitFailed()}, nil)
	s.mu.Unlock()
	s.assigner.do(s, cold)
}

// apply does what needs the lock and returns the rest. Needs mu.
func (s *shard) apply(cause error) []coldEffect {
	var cold []coldEffect
	for _, e := range s.effects {
		switch e.Kind {
		case EffectAssign:
			s.answer(e.Invoke, answer{slot: s.slots[e.Env]})
		case EffectReject:
			s.answer(e.Invoke, answer{err: rejection(e.Reason, cause)})
		case EffectAsk:
			sl := &slot{id: e.Env, memoryMiB: e.MemoryMiB}
			s.slots[e.Env] = sl
			cold = append(cold, coldEffect{Effect: e, slot: sl})
		case EffectStart:
			cold = append(cold, coldEffect{Effect: e, slot: s.slots[e.Env], record: s.records[e.Key]})
		case EffectCancel, EffectRelease:
			delete(s.slots, e.Env)
			cold = append(cold, coldEffect{Effect: e})
		case EffectDestroy:
			cold = append(cold, coldEffect{Effect: e, slot: s.slots[e.Env]})
		}
	}
	return cold
}

func (s *shard) answer(id InvokeID, a answer) {
	wait := s.waiters[id]
	delete(s.waiters, id)
	wait <- a
}

// tick lets time pass. It returns how many environments are idle, and whether the
// shard's function is gone and nothing of it is left.
func (s *shard) tick() (idle int, over bool) {
	s.mu.Lock()
	if s.core.Quiet() {
		clear(s.records)
		over = s.removed && !s.dropped
		s.mu.Unlock()
		return 0, over
	}
	for k := range s.records {
		if !s.core.Has(k) {
			delete(s.records, k)
		}
	}
	cold := s.stepLocked(Event{Kind: EventTick}, nil)
	idle, _ = s.core.Idle()
	s.mu.Unlock()
	s.assigner.do(s, cold)
	return idle, false
}

func (s *shard) idle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ := s.core.Idle()
	return n
}

func (s *shard) idleState() (IdleState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest, ok := s.core.OldestIdle()
	if !ok {
		return IdleState{}, false
	}
	count, memoryMiB := s.core.Idle()
	return IdleState{Asker: s.number, Count: count, MemoryMiB: memoryMiB, Oldest: oldest.UnixNano()}, true
}

// retire marks the shard of a removed function as dropped if nothing is left in it.
func (s *shard) retire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.removed || !s.core.Quiet() || len(s.waiters) > 0 {
		return false
	}
	s.dropped = true
	return true
}

func rejection(r Reason, cause error) error {
	switch r {
	case ReasonQueueFull:
		return ErrQueueFull
	case ReasonScalingRate:
		return ErrScalingRate
	case ReasonNoCapacity:
		return ErrNoCapacity
	case ReasonTooLarge:
		return ErrTooLarge
	case ReasonDraining:
		return ErrDraining
	default:
		return fmt.Errorf("%w: %w", ErrStart, cause)
	}
}

// do carries out effects that take time or other locks.
func (a *Assigner) do(s *shard, cold []coldEffect) {
	for _, e := range cold {
		switch e.Kind {
		case EffectAsk:
			if e.Ahead {
				a.askAhead(s, e.Env, e.MemoryMiB)
			} else {
				a.ask(s, e.Env, e.MemoryMiB)
			}
		case EffectCancel:
			a.cancelAsk(s, e.Env)
		case EffectRelease:
			a.release(e.MemoryMiB)
		case EffectStart:
			a.starting.Add(1)
			a.spawn(func() { a.start(s, e) })
		case EffectDestroy:
			a.destroying.Add(int64(e.MemoryMiB))
			a.spawn(func() { a.destroy(s, e.slot) })
		}
	}
}

func (a *Assigner) start(s *shard, cold coldEffect) {
	defer a.starting.Add(-1)
	sl := cold.slot
	e, err := a.opts.Host.Start(a.ctx, worker.StartSpec{
		Function: cold.record, TenantID: cold.Key.TenantID, Isolation: cold.Key.Isolation, Provisioned: cold.Provisioned,
	})
	if err != nil {
		if a.ctx.Err() == nil { // else it is stopping, and nobody waits for it
			a.log.Error("an environment could not be started", "function", s.id.ARN(), "error", err)
		}
		s.step(Event{Kind: EventStartFailed, Env: sl.id}, err)
		return
	}
	s.started(sl, e)
}

func (a *Assigner) destroy(s *shard, sl *slot) {
	sl.env.Destroy()
	a.destroying.Add(-int64(sl.memoryMiB))
	s.step(Event{Kind: EventDestroyed, Env: sl.id}, nil)
}

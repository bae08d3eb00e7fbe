package assignment

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/assignment/placement"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker"
)

const (
	tickEvery = 500 * time.Millisecond
	// idleMaxDefault bounds the warm environments of all functions together.
	idleMaxDefault = 4096
	// redeliveries: how many dead environments one invoke may meet before it fails.
	redeliveries = 3
	stripes      = 256
)

// Kinds of refusal; match with errors.Is.
var (
	ErrQueueFull  = errors.New("assignment: too many invokes of the function wait")
	ErrNoCapacity = errors.New("assignment: no memory for another environment")
	ErrStart      = errors.New("assignment: the environment could not be started")
	ErrDraining   = errors.New("assignment: draining")
)

// Environment is what a host gives: *worker.Environment.
type Environment interface {
	Invoke(*worker.Invocation) worker.Result
	InitFailed() bool
	UsableUntil() time.Time
	Destroy()
}

// Host starts environments.
type Host interface {
	Start(ctx context.Context, spec worker.StartSpec) (Environment, error)
}

// OnWorker makes a worker a Host.
func OnWorker(w *worker.Worker) Host { return workerHost{w} }

type workerHost struct{ w *worker.Worker }

func (h workerHost) Start(ctx context.Context, spec worker.StartSpec) (Environment, error) {
	e, err := h.w.Start(ctx, spec)
	if err != nil {
		return nil, err // not a typed nil
	}
	return e, nil
}

// Options of an Assigner.
type Options struct {
	Host      Host
	MemoryMiB int // what all environments of the host together may promise
	IdleMax   int // warm environments of all functions; 0 is idleMaxDefault
	Config    Config
	Log       *slog.Logger
}

// Assigner gives invokes their environments. Each function has a shard of its
// own: no invoke waits for a lock that another function's invoke holds.
type Assigner struct {
	opts Options
	log  *slog.Logger
	seed maphash.Seed

	functions  [stripes]stripe
	lastShard  atomic.Uint64
	running    atomic.Int64
	draining   atomic.Bool
	starved    atomic.Bool  // the budget's queue waits for memory
	starting   atomic.Int64 // environments in INIT
	destroying atomic.Int64 // MiB on their way back

	// mu guards budget and askers.
	mu     sync.Mutex
	budget *Budget
	askers map[uint64]*shard

	reclaiming sync.Mutex
	ctx        context.Context
	stop       context.CancelFunc
	work       sync.WaitGroup
	closing    sync.RWMutex // guards closed
	closed     bool
}

// stripe holds some functions' shards in a map that is never changed, only replaced.
type stripe struct {
	shards atomic.Pointer[map[record.FunctionID]*shard]
	mu     sync.Mutex
}

// New makes an assigner and begins its background work.
func New(opts Options) (*Assigner, error) {
	if opts.Host == nil || opts.MemoryMiB <= 0 {
		return nil, errors.New("assignment: options without a host or memory")
	}
	if opts.IdleMax == 0 {
		opts.IdleMax = idleMaxDefault
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Config = opts.Config.withDefaults()
	a := &Assigner{opts: opts, log: opts.Log, seed: maphash.MakeSeed(), budget: NewBudget(opts.MemoryMiB), askers: map[uint64]*shard{}}
	for i := range a.functions {
		a.functions[i].shards.Store(&map[record.FunctionID]*shard{})
	}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.work.Go(a.run)
	return a, nil
}

// Invoke runs an invoke of a function's version in an environment, warm if there is
// one. It returns when the invoke ended: whoever asked may have gone, the invoke runs on.
func (a *Assigner) Invoke(fn *record.Function, tenantID string, in *worker.Invocation) (worker.Result, error) {
	a.running.Add(1)
	defer a.running.Add(-1)
	if a.draining.Load() {
		return worker.Result{}, ErrDraining
	}
	key := PoolKey{Function: fn.ID, Version: fn.Version, CodeSHA256: fn.CodeSHA256, Generation: fn.Generation, TenantID: tenantID}
	for range redeliveries {
		s, sl, err := a.acquire(fn, key)
		if err != nil {
			return worker.Result{}, err
		}
		res := sl.env.Invoke(in)
		s.done(sl.id, res.Reusable)
		if !res.Undelivered {
			return res, nil
		}
	}
	return worker.Result{}, fmt.Errorf("%w: %d environments in a row were dead", ErrStart, redeliveries)
}

// FunctionChanged gives up environments of a generation that is no more. It is
// what record.Functions.Subscribe calls.
func (a *Assigner) FunctionChanged(c record.Change) {
	s := a.lookup(c.ID)
	if s == nil {
		return
	}
	switch {
	case c.After == nil:
		s.step(Event{Kind: EventRemoved, Key: PoolKey{Version: c.Version}}, nil)
	case c.Before == nil || c.Before.Generation != c.After.Generation:
		s.step(Event{Kind: EventGeneration, Key: PoolKey{Version: c.Version, Generation: c.After.Generation}}, nil)
	}
}

// Stats is what an assigner holds now.
type Stats struct {
	Running, Idle, UsedMiB, TotalMiB int
}

// Stats tells what the assigner holds now.
func (a *Assigner) Stats() Stats {
	st := Stats{Running: int(a.running.Load())}
	for s := range a.shards() {
		st.Idle += s.idle()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	st.UsedMiB, st.TotalMiB = a.budget.Used(), a.budget.Total()
	return st
}

// Drain takes no more invokes and waits until those that run have ended, or ctx has.
func (a *Assigner) Drain(ctx context.Context) error {
	a.draining.Store(true)
	for s := range a.shards() {
		s.step(Event{Kind: EventDrain}, nil)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for a.running.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d invokes still run: %w", a.running.Load(), ctx.Err())
		}
	}
	return nil
}

// Close stops the background work and waits for starts and ends that are under
// way. Environments that are left are the host's to destroy.
func (a *Assigner) Close() error {
	a.draining.Store(true)
	for s := range a.shards() {
		s.step(Event{Kind: EventDrain}, nil)
		s.step(Event{Kind: EventAbandon}, nil)
	}
	a.stop()
	a.closing.Lock()
	a.closed = true
	a.closing.Unlock()
	a.work.Wait()
	return nil
}

// spawn runs f beside its caller, or within it once Close waits.
func (a *Assigner) spawn(f func()) {
	a.closing.RLock()
	closed := a.closed
	if !closed {
		a.work.Go(f)
	}
	a.closing.RUnlock()
	if closed {
		f()
	}
}

// acquire returns an environment for one invoke.
func (a *Assigner) acquire(fn *record.Function, key PoolKey) (*shard, *slot, error) {
	for {
		s := a.shard(fn.ID)
		sl, wait, ok := s.invoke(fn, key)
		if !ok {
			continue // the shard was dropped a moment ago
		}
		if sl != nil {
			return s, sl, nil
		}
		got := <-wait // bounded: a start ends, and a wait for memory is cut off by tick
		return s, got.slot, got.err
	}
}

func (a *Assigner) stripe(id record.FunctionID) *stripe {
	return &a.functions[maphash.Comparable(a.seed, id)%stripes]
}

func (a *Assigner) lookup(id record.FunctionID) *shard {
	return (*a.stripe(id).shards.Load())[id]
}

func (a *Assigner) shard(id record.FunctionID) *shard {
	st := a.stripe(id)
	if s := (*st.shards.Load())[id]; s != nil {
		return s
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	old := *st.shards.Load()
	if s := old[id]; s != nil {
		return s
	}
	s := newShard(a, a.lastShard.Add(1), id)
	fresh := maps.Clone(old)
	fresh[id] = s
	st.shards.Store(&fresh)
	a.mu.Lock()
	a.askers[s.number] = s
	a.mu.Unlock()
	return s
}

// dropShard forgets a removed function's shard once nothing is left in it.
func (a *Assigner) dropShard(s *shard) {
	if !s.retire() {
		return
	}
	st := a.stripe(s.id)
	st.mu.Lock()
	fresh := maps.Clone(*st.shards.Load())
	delete(fresh, s.id)
	st.shards.Store(&fresh)
	st.mu.Unlock()
	a.mu.Lock()
	delete(a.askers, s.number)
	a.mu.Unlock()
}

func (a *Assigner) shards() func(yield func(*shard) bool) {
	return func(yield func(*shard) bool) {
		for i := range a.functions {
			for _, s := range *a.functions[i].shards.Load() {
				if !yield(s) {
					return
				}
			}
		}
	}
}

func (a *Assigner) run() {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-tick.C:
		}
		idle := 0
		for s := range a.shards() {
			n, over := s.tick()
			idle += n
			if over {
				a.dropShard(s)
			}
		}
		a.reclaim(idle - a.opts.IdleMax)
	}
}

// reclaim gives up idle environments until the asks that wait can be served,
// and count of them anyway.
func (a *Assigner) reclaim(count int) {
	a.reclaiming.Lock()
	defer a.reclaiming.Unlock()
	a.mu.Lock()
	lacking := a.budget.Lacking()
	a.starved.Store(lacking > 0)
	a.mu.Unlock()
	lacking -= int(a.destroying.Load())
	if lacking <= 0 && count <= 0 {
		return
	}
	var states []IdleState
	byNumber := map[uint64]*shard{}
	for s := range a.shards() {
		if st, ok := s.idleState(); ok {
			states = append(states, st)
			byNumber[s.number] = s
		}
	}
	for _, v := range Victims(states, lacking, count) {
		byNumber[v.Asker].step(Event{Kind: EventReclaim, MemoryMiB: v.MemoryMiB, Count: v.Count}, nil)
	}
}

// ask chooses the host and asks its budget. There is one host now; with more, each
// has a budget, and the choice says whose is asked.
func (a *Assigner) ask(s *shard, env EnvID, memoryMiB int) {
	a.mu.Lock()
	state := placement.WorkerState{
		FreeMiB:  a.budget.Total() - a.budget.Used(),
		Starting: int(a.starting.Load()),
		Cores:    runtime.NumCPU(),
	}
	var effects []BudgetEffect
	if placement.Choose([]placement.WorkerState{state}, placement.Need{MemoryMiB: memoryMiB}) < 0 {
		effects = append(effects, BudgetEffect{ID: AskID{s.number, env}, Denied: true})
	} else {
		effects = a.budget.Ask(AskID{s.number, env}, memoryMiB, nil)
	}
	starved := a.budget.Lacking() > 0
	a.starved.Store(starved)
	a.mu.Unlock()
	a.applyBudget(effects)
	if starved {
		a.reclaim(0)
	}
}

func (a *Assigner) cancelAsk(s *shard, env EnvID) {
	a.mu.Lock()
	effects := a.budget.Cancel(AskID{s.number, env}, nil)
	a.mu.Unlock()
	a.applyBudget(effects)
}

func (a *Assigner) release(memoryMiB int) {
	a.mu.Lock()
	effects := a.budget.Release(memoryMiB, nil)
	a.mu.Unlock()
	a.applyBudget(effects)
}

func (a *Assigner) applyBudget(effects []BudgetEffect) {
	for _, e := range effects {
		a.mu.Lock()
		s := a.askers[e.ID.Asker]
		a.mu.Unlock()
		switch {
		case e.Denied && s != nil:
			s.step(Event{Kind: EventDenied, Env: e.ID.Env}, nil)
		case e.Denied:
		case s == nil || !s.granted(e.ID.Env, e.MemoryMiB):
			a.release(e.MemoryMiB)
		}
	}
}

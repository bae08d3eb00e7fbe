package assignment

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

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
	ErrTooLarge   = errors.New("assignment: the environment wants more memory than there is")
	ErrStart      = errors.New("assignment: the environment could not be started")
	ErrDraining   = errors.New("assignment: draining")
)

// Environment is what a host gives: *worker.Environment.
type Environment interface {
	Invoke(*worker.Invocation) worker.Result
	Settle() bool
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
	// Isolation says how environments of a version are to run now; nil leaves it to the host.
	Isolation func(*record.Function) record.Isolation
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
	if opts.Isolation == nil {
		opts.Isolation = func(*record.Function) record.Isolation { return "" }
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
	key := a.poolKey(fn, tenantID)
	for dead := 0; dead < redeliveries; {
		s, sl, err := a.acquire(fn, key)
		if err != nil {
			return worker.Result{}, err
		}
		res := sl.env.Invoke(in)
		if res.NotReady {
			// It stays leased, so that this loop meets each such environment once.
			a.settle(s, sl)
			continue
		}
		if res.Unsettled {
			a.running.Add(1)
			settled := make(chan struct{})
			res.Settled = settled
			a.settle(s, sl, func() {
				a.running.Add(-1)
				close(settled)
			})
			return res, nil
		}
		s.done(sl.id, res.Reusable)
		if !res.Undelivered {
			return res, nil
		}
		dead++
	}
	return worker.Result{}, fmt.Errorf("%w: %d environments in a row were dead", ErrStart, redeliveries)
}

// settle gives an environment back when it is through with what it has answered already, and then does the rest. Whoever
// closes does not wait for that: the host ends what is left.
func (a *Assigner) settle(s *shard, sl *slot, then ...func()) {
	settled := make(chan bool, 1)
	go func() { settled <- sl.env.Settle() }()
	a.spawn(func() {
		select {
		case healthy := <-settled:
			s.done(sl.id, healthy)
		case <-a.ctx.Done():
		}
		for _, f := range then {
			f()
		}
	})
}

func (a *Assigner) poolKey(fn *record.Function, tenantID string) PoolKey {
	return PoolKey{
		Function: fn.ID, Version: fn.Version, CodeSHA256: fn.CodeSHA256, Generation: fn.Generation,
		Isolation: a.opts.Isolation(fn), TenantID: tenantID,
	}
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
	if c.Version == record.Latest && c.After != nil {
		s.step(Event{Kind: EventIsolation, Key: PoolKey{Isolation: a.opts.Isolation(c.After)}}, nil)
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

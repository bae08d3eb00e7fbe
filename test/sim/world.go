// Package sim owns the simulation of the invoke path's pure machines: a seed
// makes a world of functions, crashes, slow starts and changes, steps assignment's
// Core and Budget and frontend's counting through it, and checks what must always
// hold. A failure is a seed. It must never import a shell (a room's goroutines
// and clocks), because then a seed would not replay.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lambdad/lambdad/internal/assignment"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend/counting"
	"github.com/lambdad/lambdad/internal/record"
)

const (
	hostMiB     = 4096
	accounts    = 3
	functions   = 8
	limit       = 24 // concurrent invokes of an account
	scalingRate = 12 // environments of a function in 10 seconds
	waitMax     = 5 * time.Second
	tickEvery   = 500 * time.Millisecond
	startMax    = 12 * time.Second
	invokeMax   = 20 * time.Second
	settleAfter = 24 * time.Hour // everything ends long before
)

// world is everything outside the machines.
type world struct {
	rng     *rand.Rand
	now     time.Time
	agenda  agenda
	serial  int
	budget  *assignment.Budget
	counter *counting.Counter
	fns     []*function
	invokes map[invokeRef]*invoke
	envs    map[envRef]*env
	ending  bool
	steps   int
	timers  bool // functions are invoked by schedules
	granted int  // MiB that the world believes are granted
	going   int  // MiB being destroyed
	stats   stats
}

type stats struct {
	assigned, throttled, rejected, started, crashed, destroyed, reclaimed, tooFast, provisioned, ahead, foreseen int
}

type function struct {
	number     int
	core       *assignment.Core
	id         record.FunctionID
	memoryMiB  int
	generation uint64
	tenants    int
	epoch      int // grows with each change
	removed    int // epoch of the last removal
	lastInvoke assignment.InvokeID
	rate       time.Duration
	arriving   bool        // an invoke is being admitted
	reclaiming bool        // idle environments are being given up
	wanted     int         // provisioned, of the present generation
	grown      []time.Time // when arrivals made the function grow
}

type invokeRef struct {
	fn int
	id assignment.InvokeID
}

type envRef struct {
	fn int
	id assignment.EnvID
}

type invoke struct {
	key      assignment.PoolKey
	arrived  time.Time
	env      assignment.EnvID // 0 while waiting
	admitted counting.Admission
}

type env struct {
	key       assignment.PoolKey
	memoryMiB int
	epoch     int
	granted   bool
	ready     bool
	gone      bool
	provided  bool // for provisioned concurrency
	ahead     bool // nobody waits for it
	until     time.Time
	invoke    assignment.InvokeID
}

// broken is a violated invariant.
type broken string

func newWorld(seed uint64, timers bool) *world {
	w := &world{
		rng:     rand.New(rand.NewPCG(seed, 0)),
		timers:  timers,
		now:     time.Unix(0, 0),
		budget:  assignment.NewBudget(hostMiB),
		counter: counting.New(limit),
		invokes: map[invokeRef]*invoke{},
		envs:    map[envRef]*env{},
	}
	for i := range functions {
		f := &function{
			number: i,
			core: assignment.NewCore(assignment.Config{QueueMax: 16, WaitMax: waitMax, ScalingRate: scalingRate, KeepAlive: assignment.KeepAliveConfig{
				Min: 5 * time.Second, Max: 5 * time.Minute, Initial: time.Minute,
			}}),
			// Two accounts have functions of the same name.
			id:         record.FunctionID{Account: aws.AccountID(fmt.Sprintf("%012d", i%accounts)), Region: "us-east-1", Name: fmt.Sprintf("f%d", i/accounts)},
			memoryMiB:  []int{128, 256, 512, 1024, 3008, 5000}[w.rng.IntN(6)],
			generation: 1,
			tenants:    1 + w.rng.IntN(2),
			rate:       time.Duration(1+w.rng.IntN(4000)) * time.Millisecond,
		}
		if timers {
			f.rate, f.tenants = time.Duration(4+w.rng.IntN(10))*time.Minute, 1
		}
		w.fns = append(w.fns, f)
		w.after(w.upTo(f.rate), func() { w.arrive(f) })
		w.after(w.upTo(w.calm()), func() { w.change(f) })
		if !timers {
			w.after(w.upTo(time.Minute), func() { w.provision(f) })
		}
	}
	w.after(tickEvery, w.tick)
	return w
}

// run makes so many steps, then lets everything end.
func (w *world) run(steps int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("after %d steps, at %v: %v", w.steps, w.now.Sub(time.Unix(0, 0)), r)
		}
	}()
	for w.steps < steps {
		w.next()
	}
	w.ending = true
	for _, f := range w.fns {
		w.step(f, assignment.Event{Kind: assignment.EventDrain})
	}
	end := w.now.Add(settleAfter)
	for len(w.agenda) > 0 && w.now.Before(end) {
		w.next()
	}
	w.checkEnd()
	return nil
}

func (w *world) next() {
	w.steps++
	it := heap.Pop(&w.agenda).(item)
	w.now = it.at
	it.do()
	w.check()
}

func (w *world) arrive(f *function) {
	if w.ending {
		return
	}
	// Bursts: now and then many at once.
	n := 1
	if w.rng.IntN(30) == 0 {
		n = 1 + w.rng.IntN(30)
	}
	for range n {
		key := f.key()
		admitted, ok := w.counter.Acquire(f.id, key.Version)
		if !ok {
			w.stats.throttled++
			continue
		}
		f.lastInvoke++
		if t := w.rng.IntN(f.tenants); t > 0 {
			key.TenantID = fmt.Sprint(t)
		}
		if w.rng.IntN(20) == 0 && f.generation > 1 {
			key.Generation-- // read its record just before the change
		}
		w.invokes[invokeRef{f.number, f.lastInvoke}] = &invoke{key: key, arrived: w.now, admitted: admitted}
		f.arriving = true
		w.step(f, assignment.Event{Kind: assignment.EventInvoke, Invoke: f.lastInvoke, Key: key, MemoryMiB: f.memoryMiB})
		f.arriving = false
	}
	if w.timers {
		w.after(f.rate+w.upTo(5*time.Second), func() { w.arrive(f) })
		return
	}
	w.after(w.upTo(2*f.rate), func() { w.arrive(f) })
}

// calm is how long a function stays as it is.
func (w *world) calm() time.Duration {
	if w.timers {
		return 3 * time.Hour
	}
	return 2 * time.Minute
}

func (w *world) change(f *function) {
	if w.ending {
		return
	}
	f.epoch++
	f.wanted = 0
	if w.rng.IntN(4) == 0 {
		// Removed and made again under the same name, with the same number.
		f.removed = f.epoch
		w.step(f, assignment.Event{Kind: assignment.EventRemoved, Key: assignment.PoolKey{Version: record.Latest}})
	} else {
		f.generation++
	}
	w.step(f, assignment.Event{Kind: assignment.EventGeneration, Key: assignment.PoolKey{Version: record.Latest, Generation: f.generation}})
	w.after(w.upTo(w.calm()), func() { w.change(f) })
}

// provision configures how many environments of the present generation stay initialised.
func (w *world) provision(f *function) {
	if w.ending {
		return
	}
	f.wanted = w.rng.IntN(4)
	w.counter.Reserve(f.id, record.Latest, f.wanted)
	w.step(f, assignment.Event{Kind: assignment.EventProvision, Key: f.key(), Count: f.wanted, MemoryMiB: f.memoryMiB})
	w.after(w.upTo(2*time.Minute), func() { w.provision(f) })
}

// key is the pool of the present generation, of the first tenant.
func (f *function) key() assignment.PoolKey {
	return assignment.PoolKey{Function: f.id, Version: record.Latest, CodeSHA256: "sha", Generation: f.generation}
}

func (w *world) tick() {
	left := false
	for _, f := range w.fns {
		w.step(f, assignment.Event{Kind: assignment.EventTick})
		status, _ := f.core.ProvisionStatus(f.key())
		w.must(status.Requested == 0 || status.Requested == f.wanted, "another number is provisioned than was configured")
		// What starts or runs an invoke when fewer are wanted is given up when that ends.
		w.must(w.spare(f, f.key()) <= f.wanted, "more environments are kept initialised than are wanted")
		left = left || !f.core.Quiet()
	}
	w.reclaim()
	if !w.ending || left {
		w.after(tickEvery, w.tick)
	}
}

func (w *world) step(f *function, ev assignment.Event) {
	for _, e := range f.core.Step(w.now, ev, nil) {
		w.apply(f, e)
	}
}

func (w *world) apply(f *function, e assignment.Effect) {
	ref := envRef{f.number, e.Env}
	switch e.Kind {
	case assignment.EffectAsk:
		w.must(w.envs[ref] == nil, "an environment's id is used twice")
		if e.Ahead && w.budget.Spare() < e.MemoryMiB {
			w.after(w.upTo(time.Millisecond), func() { w.step(f, assignment.Event{Kind: assignment.EventDenied, Env: e.Env}) })
			return
		}
		w.envs[ref] = &env{memoryMiB: e.MemoryMiB, provided: e.Provisioned, ahead: e.Ahead}
		if e.Ahead {
			w.must(!w.ending, "an environment is started ahead while the node stops")
			w.must(!f.arriving && !w.hasFree(f), "an environment is started ahead beside one that is free")
			w.stats.ahead++
		} else if !e.Provisioned {
			w.grow(f)
		}
		w.budgetEffects(w.budget.Ask(assignment.AskID{Asker: uint64(f.number), Env: e.Env}, e.MemoryMiB, nil))
		w.reclaim()
	case assignment.EffectCancel:
		if n := len(f.grown); n > 0 && !e.Provisioned {
			f.grown = f.grown[:n-1] // it did not grow after all
		}
		w.budgetEffects(w.budget.Cancel(assignment.AskID{Asker: uint64(f.number), Env: e.Env}, nil))
	case assignment.EffectRelease:
		x := w.envs[ref]
		w.must(x != nil && x.granted && x.invoke == 0, "memory is given back that an environment holds or never had")
		x.granted = false
		delete(w.envs, ref)
		w.granted -= e.MemoryMiB
		w.budgetEffects(w.budget.Release(e.MemoryMiB, nil))
	case assignment.EffectStart:
		w.start(f, e)
	case assignment.EffectAssign:
		w.assign(f, e)
	case assignment.EffectReject:
		in := w.invokes[invokeRef{f.number, e.Invoke}]
		w.must(in != nil && in.env == 0, "an invoke is rejected that does not wait")
		w.end(f, e.Invoke)
		w.stats.rejected++
		if e.Reason == assignment.ReasonScalingRate {
			w.stats.tooFast++
		}
	case assignment.EffectDestroy:
		x := w.envs[ref]
		w.must(x != nil && x.ready && !x.gone && x.invoke == 0, "an environment is destroyed that runs an invoke, or twice")
		w.must(!f.reclaiming || !x.provided, "a provisioned environment is reclaimed")
		x.gone = true
		w.going += x.memoryMiB
		w.stats.destroyed++
		w.after(w.upTo(50*time.Millisecond), func() {
			w.going -= x.memoryMiB
			w.step(f, assignment.Event{Kind: assignment.EventDestroyed, Env: e.Env})
		})
	}
}

// grow notes a new environment that an arriving invoke asked for. A bucket gives at most what
// it holds and what comes into it meanwhile.
func (w *world) grow(f *function) {
	if !f.arriving {
		return // in the place of one that failed
	}
	for len(f.grown) > 0 && w.now.Sub(f.grown[0]) > 10*time.Second {
		f.grown = f.grown[1:]
	}
	f.grown = append(f.grown, w.now)
	w.must(len(f.grown) <= 2*scalingRate, "a function grows faster than it may")
}

func (w *world) start(f *function, e assignment.Effect) {
	x := w.envs[envRef{f.number, e.Env}]
	w.must(x != nil && x.granted && !x.ready, "a start without memory, or twice")
	w.must(x.provided == e.Provisioned, "an environment is started for what it was not asked for")
	x.key, x.epoch = e.Key, f.epoch
	w.must(x.key.Function == f.id, "a start for another function")
	w.stats.started++
	took := w.upTo(300 * time.Millisecond)
	if w.rng.IntN(20) == 0 {
		took = w.upTo(startMax)
	}
	w.after(took, func() {
		if w.rng.IntN(25) == 0 {
			w.step(f, assignment.Event{Kind: assignment.EventStartFailed, Env: e.Env})
			return
		}
		x.ready = true
		x.until = w.now.Add(time.Minute + w.upTo(10*time.Minute))
		if w.rng.IntN(50) == 0 {
			x.until = w.now // its credentials were refused a life
		}
		w.step(f, assignment.Event{Kind: assignment.EventStarted, Env: e.Env, Until: x.until, Healthy: w.rng.IntN(20) != 0})
	})
}

func (w *world) assign(f *function, e assignment.Effect) {
	in, x := w.invokes[invokeRef{f.number, e.Invoke}], w.envs[envRef{f.number, e.Env}]
	w.must(in != nil && in.env == 0, "an invoke gets a second environment")
	w.must(x != nil && x.ready && !x.gone, "an invoke gets an environment that is not there")
	w.must(x.invoke == 0, "an environment gets a second invoke")
	w.must(x.key == in.key, "an environment is shared between pools")
	w.must(w.now.Before(x.until), "an environment outlives its credentials")
	if x.epoch < f.epoch {
		w.must(x.key.Generation == f.generation && f.removed <= x.epoch, "an environment of before the change is used after it")
	}
	w.must(!f.arriving || x.provided || w.spare(f, x.key) == 0, "an invoke runs on demand while a provisioned environment is free")
	in.env, x.invoke = e.Env, e.Invoke
	w.stats.assigned++
	if x.provided {
		w.stats.provisioned++
	}
	if x.ahead {
		x.ahead = false
		w.stats.foreseen++
	}
	took := w.upTo(200 * time.Millisecond)
	if w.rng.IntN(10) == 0 {
		took = w.upTo(invokeMax)
	}
	w.after(took, func() {
		healthy := w.rng.IntN(15) != 0 // else it crashed or timed out
		if !healthy {
			w.stats.crashed++
		}
		x.invoke = 0
		w.end(f, e.Invoke)
		w.step(f, assignment.Event{Kind: assignment.EventDone, Env: e.Env, Healthy: healthy})
		w.reclaim()
	})
}

// spare counts the provisioned environments of a pool that are initialised and run nothing.
func (w *world) spare(f *function, key assignment.PoolKey) int {
	n := 0
	for ref, x := range w.envs {
		if ref.fn == f.number && x.provided && x.ready && !x.gone && x.invoke == 0 && x.key == key {
			n++
		}
	}
	return n
}

// hasFree reports whether a function has an environment that waits for an invoke.
func (w *world) hasFree(f *function) bool {
	for ref, x := range w.envs {
		if ref.fn == f.number && x.ready && !x.gone && x.invoke == 0 && x.key == f.key() && w.now.Before(x.until) {
			return true
		}
	}
	return false
}

func (w *world) end(f *function, id assignment.InvokeID) {
	ref := invokeRef{f.number, id}
	w.invokes[ref].admitted.Release()
	delete(w.invokes, ref)
}

func (w *world) budgetEffects(effects []assignment.BudgetEffect) {
	for _, e := range effects {
		f := w.fns[e.ID.Asker]
		if e.Denied {
			w.after(w.upTo(time.Millisecond), func() { w.step(f, assignment.Event{Kind: assignment.EventDenied, Env: e.ID.Env}) })
			continue
		}
		w.granted += e.MemoryMiB
		w.envs[envRef{f.number, e.ID.Env}].granted = true
		// The grant is on its way: a cancel can cross it.
		w.after(w.upTo(time.Millisecond), func() {
			w.step(f, assignment.Event{Kind: assignment.EventGranted, Env: e.ID.Env, MemoryMiB: e.MemoryMiB})
		})
	}
}

func (w *world) reclaim() {
	lacking := w.budget.Lacking() - w.going
	if lacking <= 0 {
		return
	}
	var idle []assignment.IdleState
	for i, f := range w.fns {
		if since, ok := f.core.OldestIdle(); ok {
			n, mib := f.core.Idle()
			idle = append(idle, assignment.IdleState{Asker: uint64(i), Count: n, MemoryMiB: mib, Oldest: since.UnixNano()})
		}
	}
	for _, v := range assignment.Victims(idle, lacking, 0) {
		w.stats.reclaimed++
		f := w.fns[v.Asker]
		f.reclaiming = true
		w.step(f, assignment.Event{Kind: assignment.EventReclaim, MemoryMiB: v.MemoryMiB, Count: v.Count})
		f.reclaiming = false
	}
}

func scope(f *function) record.Scope { return record.Scope{Account: f.id.Account, Region: f.id.Region} }

// check holds after every step.
func (w *world) check() {
	w.must(w.budget.Used() <= hostMiB, "more memory is granted than the host has")
	w.must(w.budget.Used() == w.granted, "the budget and the world disagree")
	running := map[record.Scope]int{}
	for ref, in := range w.invokes {
		running[scope(w.fns[ref.fn])]++
		if in.env == 0 {
			// A start takes at most startMax, and may fail or be stale a few times over.
			w.must(w.now.Sub(in.arrived) < waitMax+4*startMax+invokeMax, "an invoke waits for ever")
		}
	}
	for account, n := range running {
		w.must(n <= limit, "more invokes run than the account's limit")
		w.must(n == w.counter.Running(account), "the count is not exact")
	}
}

func (w *world) checkEnd() {
	w.must(len(w.invokes) == 0, "an invoke never ended")
	w.must(w.budget.Used() == 0 && w.budget.Lacking() == 0, "memory is left granted")
	for _, f := range w.fns {
		w.must(f.core.Quiet(), "a function is not quiet at the end")
		w.must(w.counter.Running(scope(f)) == 0, "a count is left")
	}
	for _, x := range w.envs {
		w.must(!x.granted && !x.ready, "an environment is left")
	}
}

func (w *world) must(ok bool, what broken) {
	if !ok {
		panic(what)
	}
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) + 1 }

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.agenda, item{at: w.now.Add(d), serial: w.serial, do: do})
}

// item is something that will happen; serial orders what happens at once.
type item struct {
	at     time.Time
	serial int
	do     func()
}

type agenda []item

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a agenda) Less(i, j int) bool {
	if a[i].at.Equal(a[j].at) {
		return a[i].serial < a[j].serial
	}
	return a[i].at.Before(a[j].at)
}
func (a *agenda) Push(x any) { *a = append(*a, x.(item)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

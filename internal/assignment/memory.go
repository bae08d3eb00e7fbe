package assignment

import (
	"runtime"

	"github.com/lambdad/lambdad/internal/assignment/placement"
)

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

// askAhead grants memory for an environment that nobody waits for, if there is more than others ask
// for and few are starting: no invoke waits for it, and nothing idle is given up.
func (a *Assigner) askAhead(s *shard, env EnvID, memoryMiB int) {
	a.mu.Lock()
	var effects []BudgetEffect
	if a.budget.Spare() < memoryMiB || int(a.starting.Load()) >= runtime.NumCPU() {
		effects = append(effects, BudgetEffect{ID: AskID{s.number, env}, Denied: true})
	} else {
		effects = a.budget.Ask(AskID{s.number, env}, memoryMiB, nil)
	}
	a.mu.Unlock()
	a.applyBudget(effects)
}

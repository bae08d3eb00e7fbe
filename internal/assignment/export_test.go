package assignment

import (
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// Foresee makes an idle function's next arrival be expected now and for so long, and gives up what is idle.
func (a *Assigner) Foresee(fn *record.Function, within time.Duration) {
	s := a.lookup(fn.ID)
	s.mu.Lock()
	s.core.foreseen = foreseen{key: a.poolKey(fn, ""), memoryMiB: fn.MemoryMiB, from: time.Now(), to: time.Now().Add(within)}
	s.mu.Unlock()
	s.step(Event{Kind: EventReclaim, Count: 1}, nil)
}

// Foresees reports whether an arrival of a function is still expected.
func (a *Assigner) Foresees(fn *record.Function) bool {
	s := a.lookup(fn.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.core.foreseen.to.IsZero()
}

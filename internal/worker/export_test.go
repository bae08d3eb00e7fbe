package worker

import (
	"context"
	"time"
)

// Frozen reports whether the environment's processes stand still.
func (e *Environment) Frozen() bool {
	e.turn.Lock()
	defer e.turn.Unlock()
	return e.frozen
}

// CPU is what the environment's control group counts.
func (e *Environment) CPU(ctx context.Context) (time.Duration, error) {
	u, err := e.process().box.Usage(ctx)
	return u.CPU, err
}

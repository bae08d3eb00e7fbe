package worker

// Frozen reports whether the environment's processes stand still.
func (e *Environment) Frozen() bool {
	e.turn.Lock()
	defer e.turn.Unlock()
	return e.frozen
}

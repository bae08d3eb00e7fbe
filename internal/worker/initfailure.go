package worker

// InitFailure tells how the first INIT ended if it failed: its status, and the type of its error.
func (e *Environment) InitFailure() (status, errorType string) {
	return e.initFailure.status, e.initFailure.errorType
}

package worker

import (
	"fmt"

	"github.com/lambdad/lambdad/internal/record"
)

// Keys opens functions' variables: *keys.Ring.
type Keys interface {
	Unseal(keyARN, functionARN string, sealed []byte) (map[string]string, error)
}

// opened is a function with its variables, which the environment that is made of it keeps in memory. The
// record that everybody shares stays sealed.
func (w *Worker) opened(fn *record.Function) (*record.Function, error) {
	if fn.Sealed == nil {
		return fn, nil
	}
	if w.opts.Keys == nil {
		return nil, fmt.Errorf("variables of %s: this worker has no keys", fn.ID.QualifiedARN(fn.Version))
	}
	variables, err := w.opts.Keys.Unseal(fn.KMSKeyARN, fn.ID.ARN(), fn.Sealed)
	if err != nil {
		return nil, fmt.Errorf("variables of %s: %w", fn.ID.QualifiedARN(fn.Version), err)
	}
	fn = fn.Clone()
	fn.Environment = variables
	return fn, nil
}

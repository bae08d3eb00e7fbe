package worker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// SnapshotOutcome is what came of a version's INIT and of its snapshot.
type SnapshotOutcome struct {
	// InitFailed with Status and ErrorType: the function's own INIT did not end well.
	InitFailed        bool
	Status, ErrorType string
	// Without says why there is no snapshot although INIT went well; nil when there is one.
	Without error
}

// Snapshot runs a version's INIT and then makes what its environments are restored from, where
// its runtime and its isolation can. An error means that the host could not try.
func (w *Worker) Snapshot(ctx context.Context, spec StartSpec) (SnapshotOutcome, error) {
	e, err := w.Start(ctx, spec)
	if err != nil {
		return SnapshotOutcome{}, err
	}
	e.Destroy() // it has shown that INIT works; the snapshot is made of a sandbox of its own
	if e.InitFailed() {
		status, errorType := e.InitFailure()
		return SnapshotOutcome{InitFailed: true, Status: status, ErrorType: errorType}, nil
	}
	if e.restored {
		return SnapshotOutcome{}, nil // it was made before, and works
	}
	return SnapshotOutcome{Without: w.templates.await(ctx, e)}, ctx.Err()
}

// await waits until e's version has a template, or tells why it has none.
func (t *templates) await(ctx context.Context, e *Environment) error {
	if !t.wanted(e) {
		return errors.New("its runtime, or the variables that it sets for its interpreter, allow none")
	}
	for {
		t.want(e)
		t.mu.Lock()
		tpl := t.all[e.templateKey()]
		closed := t.closed
		t.mu.Unlock()
		var made chan struct{} // nil: too many wait for theirs
		if tpl != nil {
			made = tpl.done
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the template: %w", ctx.Err())
		case <-made:
			t.mu.Lock()
			defer t.mu.Unlock()
			return tpl.why
		case <-time.After(templateHoldMax / 50):
			if closed {
				return ErrClosed
			}
		}
	}
}

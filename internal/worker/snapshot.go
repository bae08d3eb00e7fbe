package worker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// snapshotTries is how often a start waits for a snapshot that is made and given up again.
const snapshotTries = 3

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

// restorable is the snapshot of e's version. Where it is gone (lambdad was started again, or needed its
// memory) e waits until it is made again: a version that says that it is optimized is always
// restored. Where it cannot be made that is told, and it is nil.
func (t *templates) restorable(ctx context.Context, e *Environment) *template {
	waiting, cancel := context.WithTimeout(ctx, t.w.opts.InitTimeout+RestoreTimeout)
	defer cancel()
	for range snapshotTries {
		if tpl := t.of(e); tpl != nil {
			return tpl
		}
		if why := t.await(waiting, e); why != nil {
			if ctx.Err() == nil && !errors.Is(why, ErrClosed) {
				t.w.opts.SnapshotLost(e.fn, why)
			}
			return nil
		}
	}
	return nil // made and given up again at once: there is no memory for it
}

// Remake makes the snapshot again of a version that had one. An error says why there is none.
func (w *Worker) Remake(ctx context.Context, spec StartSpec) error {
	e, err := w.newEnvironment(spec)
	if err != nil {
		return err
	}
	defer w.forget(e)
	if e.runtime, err = w.opts.Runtimes.Runtime(ctx, runtimeWant(e.fn)); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRuntime, e.fn.Runtime, err)
	}
	e.runtime.Isolation = e.isolation
	return w.templates.await(ctx, e)
}

// await waits until e's version has a template, or tells why it has none.
func (t *templates) await(ctx context.Context, e *Environment) error {
	if e.extended {
		return errExtended
	}
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
			tpl.awaited.Store(true)
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

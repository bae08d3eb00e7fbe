package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// RestoreTimeout bounds the restore of a snapshot with its hooks. Source: Lambda developer
// guide, "Runtime hooks for SnapStart": after-restore hooks have 10 seconds.
const RestoreTimeout = 10 * time.Second

var (
	// ErrRestore means that a snapshot was restored and its program failed to go on, e.g. in
	// an after-restore hook.
	ErrRestore = errors.New("worker: the snapshot could not be restored")
	// ErrRestoreTimeout means that restoring took longer than RestoreTimeout.
	ErrRestoreTimeout = errors.New("worker: restoring the snapshot took too long")
)

// restoreTook is how long a restore was. The snapshot itself is not billed; loading the
// runtime and its hooks are. Source: Lambda developer guide, "Monitoring for Lambda SnapStart".
type restoreTook struct {
	whole, billed time.Duration
}

// initFrom makes the environment a copy of its version's template. Nobody asked for that
// but us: when it does not work out the environment is started in another way, and ok is false.
func (e *Environment) initFrom(ctx context.Context, tpl *template, began time.Time, limit time.Duration) (o initOutcome, ok bool) {
	held := tpl.maker.UsableUntil()
	p, err := e.copyOf(ctx, tpl)
	if err != nil {
		if ctx.Err() == nil {
			e.worker.templates.reject(tpl, err)
		}
		return initOutcome{}, false
	}
	if !e.adopt(p) {
		return initOutcome{}, false
	}
	o = p.waitReady(began, limit)
	if o.status != StatusSuccess {
		e.dropProcess()
		e.worker.templates.reject(tpl, fmt.Errorf("a copy did not come to life: %s %s", o.status, o.errorType))
		return initOutcome{}, false
	}
	e.credentialsHeld = held
	e.endBoost(p)
	return o, true
}

// restoreFrom restores the version's snapshot, as its owner asked for.
func (e *Environment) restoreFrom(ctx context.Context, tpl *template, began time.Time) (initOutcome, error) {
	e.restored = true
	e.log.initialization = e.initialization()
	e.credentialsHeld = tpl.maker.UsableUntil()
	e.log.restoreStart(e.runtime)
	p, err := e.copyOf(ctx, tpl)
	if err != nil {
		e.log.restoreDone(time.Since(began), StatusFailure, "")
		return initOutcome{}, fmt.Errorf("%w: %w", ErrRestore, err)
	}
	copied := time.Now()
	if !e.adopt(p) {
		return initOutcome{}, sandbox.ErrDestroyed
	}
	o := p.waitReady(began, RestoreTimeout)
	e.endBoost(p)
	if o.status != StatusSuccess {
		p.drain()
	}
	e.log.restoreDone(o.took, o.status, o.errorType)
	switch o.status {
	case StatusSuccess:
		e.restore = restoreTook{whole: o.took, billed: time.Since(copied)}
		return o, nil
	case StatusTimeout:
		return o, ErrRestoreTimeout
	default:
		return o, fmt.Errorf("%w: %s %s", ErrRestore, o.errorType, o.payload)
	}
}

package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// parkedCopy is a sandbox with a copy of a template's program, which waits in
// runtimeapi.GateRestore to be told who it is.
type parkedCopy struct {
	box     sandbox.Sandbox
	program sandbox.Program
	session Session
	frozen  bool
}

func (c *parkedCopy) destroy(w *Worker) {
	w.destroySandbox(c.box)
	if err := c.session.Close(); err != nil {
		w.log.Warn("a runtime API session did not end well", "sandbox", c.box.ID(), "error", err)
	}
}

// arrive waits until the copy waits in its gate, or has ended.
func (c *parkedCopy) arrive(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.program.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := c.session.WaitGate(ctx, runtimeapi.GateRestore); err != nil {
		return fmt.Errorf("a copy does not wait for its identity: %w", err)
	}
	return nil
}

// copyOf makes the environment's process of a template: of a copy that is parked, else
// of a new one.
func (e *Environment) copyOf(ctx context.Context, tpl *template) (*process, error) {
	w := e.worker
	body, err := identity(e.variables())
	if err != nil {
		return nil, err
	}
	c := w.templates.claim(ctx, tpl)
	if c == nil {
		if c, err = w.templates.copy(ctx, tpl); err != nil {
			return nil, err
		}
	}
	c.session.SetFunction(e.function())
	p := e.newProcess(c.box, c.program, c.session)
	if err := p.session.OpenGate(runtimeapi.GateRestore, body); err != nil {
		p.close(w)
		return nil, fmt.Errorf("tell a copy who it is: %w", err)
	}
	return p, nil
}

// claim takes a parked copy that is alive, or nil.
func (t *templates) claim(ctx context.Context, tpl *template) *parkedCopy {
	for {
		t.mu.Lock()
		n := len(tpl.parked)
		if n == 0 {
			t.mu.Unlock()
			return nil
		}
		c := tpl.parked[n-1]
		tpl.parked = tpl.parked[:n-1]
		t.parked--
		t.mu.Unlock()
		t.nudge()
		if c.session.WaitGate(alreadyOver, runtimeapi.GateRestore) == nil && (!c.frozen || c.box.Thaw(ctx) == nil) {
			return c
		}
		go c.destroy(t.w)
	}
}

// copy makes a sandbox of a template, whose copy runs.
func (t *templates) copy(ctx context.Context, tpl *template) (*parkedCopy, error) {
	t.mu.Lock()
	made := tpl.made
	t.mu.Unlock()
	if made == nil {
		return nil, fmt.Errorf("the template is gone: %w", sandbox.ErrUnsupported)
	}
	box, err := made.Park(ctx, newSandboxID())
	if err != nil {
		return nil, fmt.Errorf("park a copy: %w", err)
	}
	c := &parkedCopy{box: box}
	c.session = t.w.opts.RuntimeAPI(box.RuntimeAPI(), runtimeapi.Options{Gates: runtimeapi.Gates{Restore: true}})
	if c.program, err = box.Start(ctx, tpl.maker.startSpec(box)); err != nil {
		c.destroy(t.w)
		return nil, fmt.Errorf("start a copy: %w", err)
	}
	return c, nil
}

// target is how many copies should be parked of a template.
func (tpl *template) target(now time.Time) int {
	if tpl.made == nil || now.Sub(tpl.demand.lastClaim) > copiesForget {
		return 0
	}
	return min(tpl.demand.target(now), copiesEachMax)
}

// neediest picks a template that lacks parked copies, and reserves the place of one.
func (t *templates) neediest(now time.Time) *template {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.parked >= copiesMaxDefault {
		return nil
	}
	var best *template
	most := 0
	for _, tpl := range t.all {
		if lack := tpl.target(now) - len(tpl.parked) - tpl.parking; lack > most {
			best, most = tpl, lack
		}
	}
	if best != nil {
		best.parking++
		t.parked++
	}
	return best
}

// parkCopy parks a copy ahead of need: it waits, frozen, for an environment to be.
func (t *templates) parkCopy(ctx context.Context, tpl *template) {
	parking, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := t.copy(parking, tpl)
	if err == nil {
		if err = c.arrive(parking); err == nil {
			c.frozen = c.box.Freeze(parking) == nil
		} else {
			c.destroy(t.w)
		}
	}
	t.mu.Lock()
	tpl.parking--
	keep := err == nil && tpl.made != nil && !t.closed && t.all[tpl.key] == tpl
	if keep {
		tpl.parked = append(tpl.parked, c)
	} else {
		t.parked--
	}
	t.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		t.reject(tpl, err)
	} else if err == nil && !keep {
		c.destroy(t.w)
	}
}

// surplusCopies takes out parked copies of functions that are not started cold any more.
func (t *templates) surplusCopies(now time.Time) []*parkedCopy {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*parkedCopy
	for _, tpl := range t.all {
		if keep := tpl.target(now); len(tpl.parked) > keep {
			out = append(out, tpl.parked[keep:]...)
			t.parked -= len(tpl.parked) - keep
			tpl.parked = tpl.parked[:keep:keep]
		}
	}
	return out
}

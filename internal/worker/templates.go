package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// TemplatesMode says which function versions get a template.
type TemplatesMode string

const (
	// TemplatesAuto makes one for every version whose INIT allows it.
	TemplatesAuto TemplatesMode = "auto"
	// TemplatesOff makes them only where SnapStart asks for them.
	TemplatesOff TemplatesMode = "off"
)

const (
	// templatesMaxDefault bounds the templates of a host, with those that were refused.
	templatesMaxDefault = 256
	// templatesMemoryDefault bounds what templates hold. It is a share of its own, beside
	// the memory that environments are promised.
	templatesMemoryDefault = 1 << 30
	// templateForget is how long a template that nobody uses stays.
	templateForget = time.Hour
	// templateHoldMax is how long a template waits for the end of INITs that invokes wait for.
	templateHoldMax = 2 * time.Second
	// templatesWaiting bounds versions that wait for their template to be made, one after
	// the other: it runs their INIT once more.
	templatesWaiting = 64
	// copiesMaxDefault bounds the parked copies of a host, and copiesEachMax those of a template.
	copiesMaxDefault = 32
	copiesEachMax    = 2
	// copiesForget is how long after its last cold start a function has parked copies.
	copiesForget = 2 * time.Minute
)

// templateVariable tells lambdad's runtime clients to wait in runtimeapi.GateRestore after
// INIT, and how they will be copied there.
const templateVariable = "_LAMBDAD_TEMPLATE="

// errExtended: extensions hold an identifier of their session, which a copy's would not know, and are processes of
// their own, which no template takes.
var errExtended = errors.New("it has extensions")

// templateKey is everything that environments made from one template share. Two that
// differ in any of it never come from the same.
type templateKey struct {
	function   record.FunctionID // with account and region
	version    string
	generation uint64
	artifact   string
	tenant     string
	isolation  record.Isolation
	restores   bool // as SnapStart's snapshot
}

func (e *Environment) templateKey() templateKey {
	return templateKey{e.fn.ID, e.fn.Version, e.fn.Generation, e.fn.Artifact, e.tenant, e.isolation, e.fn.Restores()}
}

// template is one version's template, or the memory that it cannot have one.
type template struct {
	key     templateKey
	made    sandbox.Template // nil: being made, or refused
	refused bool
	why     error         // it was refused
	done    chan struct{} // closed when it was made or refused
	kind    string        // what templateVariable was set to
	// maker is the environment that it was made from: its code is held, and its
	// credentials may still be in the copies' memory.
	maker   *Environment
	used    time.Time
	demand  demand
	awaited atomic.Bool // somebody waits for it
	parked  []*parkedCopy
	parking int
}

// templates holds the templates of a host.
type templates struct {
	w     *Worker
	queue chan *template
	wake  chan struct{}

	mu     sync.Mutex
	all    map[templateKey]*template
	parked int // copies, with those being parked
	closed bool
}

func newTemplates(w *Worker) *templates {
	return &templates{w: w, queue: make(chan *template, templatesWaiting), wake: make(chan struct{}, 1), all: map[templateKey]*template{}}
}

// wanted reports whether environments like e may come from a template.
func (t *templates) wanted(e *Environment) bool {
	return e.runtime.Copies && !e.extended && len(e.extensions) == 0 && !changesInterpreter(e.fn.Environment) &&
		(e.fn.Restores() || t.w.opts.Templates != TemplatesOff)
}

// of returns the template of e's version, or nil.
func (t *templates) of(e *Environment) *template {
	if !t.wanted(e) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tpl := t.all[e.templateKey()]
	if tpl == nil || tpl.made == nil {
		return nil
	}
	now := time.Now()
	if now.After(tpl.maker.UsableUntil()) {
		return nil // what its copies may hold of its credentials is too old; run gives it up
	}
	tpl.used = now
	tpl.demand.claim(now)
	t.nudge()
	return tpl
}

// want has a template made for e's version, after e's own INIT went well.
func (t *templates) want(e *Environment) {
	if !t.wanted(e) {
		return
	}
	key := e.templateKey()
	maker := &Environment{worker: t.w, fn: e.fn, tenant: e.tenant, isolation: e.isolation, runtime: e.runtime, restored: e.fn.Restores()}
	tpl := &template{key: key, maker: maker, used: time.Now(), done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.all[key] != nil {
		return
	}
	select {
	case t.queue <- tpl:
		t.all[key] = tpl
	default: // the next cold start asks again
	}
}

// makeAll makes the templates that are wanted, one after the other, until ctx ends.
func (t *templates) makeAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case tpl := <-t.queue:
			t.hold(ctx, tpl)
			t.make(ctx, tpl)
		}
	}
}

// hold waits while somebody waits for an INIT: a template helps later ones only.
func (t *templates) hold(ctx context.Context, tpl *template) {
	for until := time.Now().Add(templateHoldMax); len(t.w.inits) > 0 && !tpl.awaited.Load() && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(templateHoldMax / 50):
		}
	}
}

// run gives old templates up and parks copies until ctx ends.
func (t *templates) run(ctx context.Context) {
	tick := time.NewTicker(demandWindow / 4)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, tpl := range t.surplus(time.Now()) {
			t.renew(tpl)
		}
		for _, c := range t.surplusCopies(time.Now()) {
			c.destroy(t.w)
		}
		if tpl := t.neediest(time.Now()); tpl != nil {
			t.yield(ctx, tpl)
			t.parkCopy(ctx, tpl)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-tick.C:
		}
	}
}

// yield waits a moment after a claim if a further copy is parked: making one takes
// processor time and kernel locks from the one that was claimed.
func (t *templates) yield(ctx context.Context, tpl *template) {
	t.mu.Lock()
	wait := holdStocked - time.Since(tpl.demand.lastClaim)
	if len(tpl.parked) == 0 {
		wait = 0
	}
	t.mu.Unlock()
	if wait <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

func (t *templates) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// make runs INIT once more in a sandbox of the template's own, and stops it there.
func (t *templates) make(ctx context.Context, tpl *template) {
	made, err := t.try(ctx, tpl)
	defer close(tpl.done)
	t.mu.Lock()
	if err == nil && !t.closed && t.all[tpl.key] == tpl {
		tpl.made = made
		t.mu.Unlock()
		return
	}
	tpl.refused, tpl.why = true, err
	if err == nil {
		tpl.why = ErrClosed
	}
	t.mu.Unlock()
	if err == nil {
		t.discard(tpl, made)
		return
	}
	if ctx.Err() == nil {
		t.w.log.Info("a function's environments start without a template", "function", tpl.key.function.QualifiedARN(tpl.key.version), "why", err)
	}
}

func (t *templates) try(ctx context.Context, tpl *template) (made sandbox.Template, err error) {
	w, e := t.w, tpl.maker
	driver, err := w.opts.Drivers(ctx, e.isolation)
	if err != nil {
		return nil, err
	}
	templater, ok := driver.(sandbox.Templater)
	if !ok {
		return nil, fmt.Errorf("%s: %w", driver.Name(), sandbox.ErrUnsupported)
	}
	tpl.kind = "snapshot"
	if driver.Name() == "container" {
		tpl.kind = "fork"
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	e.log = newEnvLog(unlogged{}, w.log, logStreamOf(e.fn, time.Now()), e.fn)
	if err := e.gather(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			e.releaseCode()
		}
	}()
	if e.extensions, err = e.externalExtensions(); err != nil {
		return nil, err
	}
	if len(e.extensions) > 0 {
		return nil, errExtended
	}
	p, err := e.launchTemplate(ctx, tpl.kind)
	if err != nil {
		return nil, err
	}
	waiting, cancelWait := context.WithTimeout(ctx, w.opts.InitTimeout)
	defer cancelWait()
	if err := p.session.WaitGate(waiting, runtimeapi.GateRestore); err != nil {
		p.close(w)
		return nil, fmt.Errorf("its INIT for the template: %w", err)
	}
	if p.session.Extensions() != nil {
		p.close(w)
		return nil, errExtended
	}
	made, err = templater.Template(ctx, p.box)
	if err != nil {
		p.close(w)
		return nil, err
	}
	p.leave()
	return made, nil
}

// launchTemplate starts the program that the template is made of.
func (e *Environment) launchTemplate(ctx context.Context, kind string) (*process, error) {
	w := e.worker
	argv, ok := e.command()
	if !ok {
		return nil, errors.New("it has no bootstrap")
	}
	box, err := w.lots.claim(ctx, e.runtime)
	if err != nil {
		return nil, fmt.Errorf("claim a sandbox: %w", err)
	}
	spec := e.startSpec(box)
	spec.Argv, spec.Env, spec.Dir, spec.Template = argv, append(e.variables(), templateVariable+kind), e.runtime.Dir, true
	// Whoever asks for a snapshot gets one of everything; elsewhere a function that has started
	// threads is started as usual.
	spec.Threads = e.runtime.Threads || e.fn.Restores()
	program, err := box.Start(ctx, spec)
	if err != nil {
		w.destroySandbox(box)
		return nil, fmt.Errorf("start the runtime: %w", err)
	}
	session := w.opts.RuntimeAPI(box.RuntimeAPI(), runtimeapi.Options{Function: e.function(), Gates: runtimeapi.Gates{Restore: true}})
	return e.newProcess(box, program, session), nil
}

// leave ends what watches over a program that a template has taken over.
func (p *process) leave() {
	p.closeOnce.Do(func() {
		p.timer.Stop()
		p.cancel()
		_ = p.session.Close() // nobody waits behind it any more
	})
}

// surplus takes out what is old, unused or too much. Its caller gives it up.
func (t *templates) surplus(now time.Time) []*template {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*template
	remove := func(tpl *template) {
		out = append(out, tpl)
		delete(t.all, tpl.key)
	}
	var bytes int64
	for _, tpl := range t.all {
		switch {
		case tpl.made == nil && !tpl.refused:
		case now.Sub(tpl.used) > templateForget && !(tpl.made != nil && tpl.maker.restored), tpl.made != nil && now.After(tpl.maker.UsableUntil()), t.outdated(tpl):
			remove(tpl)
		case tpl.made != nil:
			bytes += tpl.made.MemoryBytes()
		}
	}
	for len(t.all) > t.w.opts.TemplatesMax || bytes > t.w.opts.TemplatesMemory {
		var oldest *template
		for _, tpl := range t.all {
			if (tpl.made != nil || tpl.refused) && (oldest == nil || tpl.used.Before(oldest.used)) {
				oldest = tpl
			}
		}
		if oldest == nil {
			break
		}
		if oldest.made != nil {
			bytes -= oldest.made.MemoryBytes()
		}
		remove(oldest)
	}
	return out
}

// outdated reports whether a later generation of the version has a template.
func (t *templates) outdated(tpl *template) bool {
	for key := range t.all {
		if later := key.generation > tpl.key.generation; later {
			key.generation, key.artifact = tpl.key.generation, tpl.key.artifact
			if key == tpl.key {
				return true
			}
		}
	}
	return false
}

// reject gives up a template whose copy did not come to life: the version does without.
func (t *templates) reject(tpl *template, why error) {
	t.mu.Lock()
	made := tpl.made
	tpl.made, tpl.refused = nil, true
	t.mu.Unlock()
	if made == nil {
		return
	}
	t.w.log.Warn("a function's template is given up", "function", tpl.key.function.QualifiedARN(tpl.key.version), "why", why)
	t.discard(tpl, made)
}

// renew gives a template up, and has it made again where a version's owner asked for it and its
// credentials have become too old.
func (t *templates) renew(tpl *template) {
	if made := t.give(tpl); made && tpl.maker.restored && time.Now().After(tpl.maker.UsableUntil()) {
		t.want(tpl.maker)
	}
}

// give gives a template up that is no longer in the registry. It tells whether there was one.
func (t *templates) give(tpl *template) bool {
	t.mu.Lock()
	made := tpl.made
	tpl.made = nil
	t.mu.Unlock()
	if made != nil {
		t.discard(tpl, made)
	}
	return made != nil
}

func (t *templates) discard(tpl *template, made sandbox.Template) {
	t.mu.Lock()
	parked := tpl.parked
	tpl.parked = nil
	t.parked -= len(parked)
	t.mu.Unlock()
	for _, c := range parked {
		c.destroy(t.w)
	}
	if err := made.Close(); err != nil {
		t.w.log.Error("a template was not removed; the next start reaps it", "function", tpl.key.function.ARN(), "error", err)
	}
	tpl.maker.releaseCode()
}

// close gives everything up. run has ended.
func (t *templates) close() {
	t.mu.Lock()
	t.closed = true
	all := t.all
	t.all = map[templateKey]*template{}
	t.mu.Unlock()
	for _, tpl := range all {
		t.give(tpl)
	}
}

// unlogged takes a template's own output, which belongs to no environment of the user's.
type unlogged struct{}

func (unlogged) Append(context.Context, telemetry.LogStreamID, ...telemetry.LogEvent) error {
	return nil
}
func (unlogged) Flush(context.Context) error { return nil }

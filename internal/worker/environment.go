package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/runtimeapi/telemetryapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// credentialsMargin is how much longer than an invoke's timeout its credentials live.
const credentialsMargin = time.Minute

// afterBytesMax is how long an answer may be whose sending the end of its invoke waits for: with
// its headers it fits into any socket's buffer, so that no slow client holds an environment.
const afterBytesMax = 8 << 10

// execWrapperVariable names a program that starts the runtime in its place. Source: Lambda
// developer guide, "Modifying the runtime environment", wrapper scripts.
const execWrapperVariable = "AWS_LAMBDA_EXEC_WRAPPER"

// Environment is one execution environment: a sandbox, a runtime in it, and
// (unless InitFailed) a finished INIT. It runs one invoke at a time.
type Environment struct {
	worker      *Worker
	fn          *record.Function
	tenant      string
	isolation   record.Isolation
	provisioned bool
	log         *envLog
	runtime     Runtime
	credentials TemporaryCredentials
	codeDir     string
	layerDirs   []string
	extensions  []string // names of the external ones
	extended    bool     // it has extensions, external or internal ones
	releaseCode func()

	// credentialsHeld is until when the credentials of the template are good that the
	// environment was made from; zero without one.
	credentialsHeld time.Time
	restored        bool // from a snapshot, by SnapStart

	// turn is held from an invoke's START line to its REPORT line, and while
	// freezing: whoever has it has the environment.
	turn sync.Mutex
	// slowExtensions: the last invoke's were not through at once.
	slowExtensions bool
	initTook       time.Duration // for the first REPORT, then 0
	startTook      time.Duration // what the environment has cost, and another one would
	restore        restoreTook   // as well
	initFailed     bool
	initFailure    initOutcome
	frozen         bool
	paused         *telemetryapi.Hub // with frozen; nil where nobody has subscribed
	usage          sandbox.Usage
	usageRead      time.Time

	// idleSince is 0 while an invoke has the environment; unix nanoseconds.
	idleSince atomic.Int64

	mu        sync.Mutex
	proc      *process // nil when destroyed or between two INITs
	destroyed bool
}

// Invocation is one invoke as the front hands it over.
type Invocation struct {
	RequestID       aws.RequestID
	FunctionARN     string // as invoked, with its qualifier
	Payload         []byte
	ContentType     string
	ClientContext   string // decoded JSON
	CognitoIdentity string
	TraceID         string
	// WantTail asks for the last 4 KiB of the log.
	WantTail bool
	// Stream, where set, takes an answer that the function streams, while it runs.
	Stream runtimeapi.Stream
	// After, where set, does what it is given once a short answer is on its way.
	After func(work func())
	// Began, where set, is called when the environment takes the invoke.
	Began func()
}

// Result is what came of an invoke.
type Result struct {
	// Payload is the answer or the error; of what was streamed, only the error that ended it.
	Payload     []byte
	ContentType string
	// FunctionError is "" or "Unhandled". Source: recorded answers know no other.
	FunctionError string
	LogTail       []byte
	// Reusable is false when the environment must be destroyed.
	Reusable bool
	// Undelivered: the environment was dead before it saw the invoke, which can
	// be given to another one. Nothing was logged.
	Undelivered bool
	// NotReady: the runtime still works on what it has answered already. The
	// environment is not free before Settle returns. Nothing was logged.
	NotReady bool
	// Unsettled: there is an answer, and extensions still work on the invoke. The environment is
	// not free before Settle returns.
	Unsettled bool
	// Settled is whoever's who hands the result on: where it is set, the invoke counts until it is closed.
	Settled  <-chan struct{}
	Duration time.Duration
}

const functionErrorUnhandled = "Unhandled"

// InitFailed reports whether INIT failed; the first invoke runs it again.
func (e *Environment) InitFailed() bool { return e.initFailed }

// UsableUntil is the time after which the environment must take no more invokes,
// because its credentials could expire during one.
func (e *Environment) UsableUntil() time.Time {
	until := e.credentials.Expires.Add(-e.timeout() - credentialsMargin)
	if !e.credentialsHeld.IsZero() && e.credentialsHeld.Before(until) {
		return e.credentialsHeld
	}
	return until
}

func (e *Environment) timeout() time.Duration { return time.Duration(e.fn.TimeoutS) * time.Second }

// start gathers what the environment needs and runs the INIT phase.
func (e *Environment) start(ctx context.Context) error {
	w := e.worker
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	began := time.Now()
	var err error
	if e.runtime, err = w.runtimeOf(ctx, e.fn); err != nil {
		return err
	}
	e.runtime.Isolation = e.isolation
	if err := e.gather(ctx); err != nil {
		e.Destroy()
		return err
	}
	if e.extensions, err = e.externalExtensions(); err != nil {
		e.Destroy()
		return err
	}
	o, err := e.init(ctx, phaseInit, w.opts.InitTimeout)
	if err != nil {
		e.Destroy()
		return err
	}
	if o.status != StatusSuccess {
		e.initFailed, e.initFailure = true, o
		e.dropProcess()
	} else if !e.restored {
		e.initTook = o.took
		w.templates.want(e)
	}
	e.startTook = time.Since(began)
	e.idleSince.Store(time.Now().UnixNano())
	return nil
}

func runtimeWant(fn *record.Function) RuntimeWant {
	return RuntimeWant{Identifier: fn.Runtime, Architecture: fn.Architecture, MemoryMiB: fn.MemoryMiB, VersionARN: fn.HeldRuntime(), ExecWrapper: fn.Environment[execWrapperVariable],
		JavaOptions: strings.TrimSpace(fn.Environment["JAVA_TOOL_OPTIONS"] + " " + fn.Environment["JDK_JAVA_OPTIONS"])}
}

// gather gets the code and the credentials.
func (e *Environment) gather(ctx context.Context) error {
	if e.fn.Image != nil {
		if err := e.gatherImage(); err != nil {
			return err
		}
		return e.renewCredentials(ctx)
	}
	var err error
	var held []func()
	e.releaseCode = func() {
		for _, release := range held {
			release()
		}
	}
	dir := func(digest artifact.Digest) (string, error) {
		held = append(held, e.worker.opts.Code.Hold(digest))
		return e.worker.opts.Code.Dir(ctx, digest)
	}
	if e.codeDir, err = dir(artifact.Digest(e.fn.Artifact)); err != nil {
		return fmt.Errorf("code %s: %w", e.fn.Artifact, err)
	}
	e.layerDirs = nil
	for _, l := range e.fn.Layers {
		at, err := dir(artifact.Digest(l.Artifact))
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.ARN, err)
		}
		e.layerDirs = append(e.layerDirs, at)
	}
	return e.renewCredentials(ctx)
}

func (e *Environment) renewCredentials(ctx context.Context) error {
	var err error
	e.credentials, err = e.worker.opts.Credentials.IssueForFunction(ctx, e.fn.Role, e.fn.ID.ARN(), e.worker.opts.CredentialsTTL)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRole, e.fn.Role, err)
	}
	return nil
}

func (e *Environment) initialization() string {
	switch {
	case e.restored:
		return initializationSnapStart
	case e.provisioned:
		return initializationProvisioned
	}
	return initializationOnDemand
}

// init starts a process and waits for the end of its INIT.
func (e *Environment) init(ctx context.Context, phase string, limit time.Duration) (initOutcome, error) {
	began := time.Now()
	var tpl *template
	if e.fn.Restores() && e.fn.SnapStart.Optimized {
		if tpl = e.worker.templates.restorable(ctx, e); tpl != nil {
			return e.restoreFrom(ctx, tpl, time.Now())
		}
		began = time.Now()
	} else {
		tpl = e.worker.templates.of(e)
	}
	e.log.initStart(e.runtime, phase)
	if tpl != nil {
		if o, ok := e.initFrom(ctx, tpl, began, limit); ok {
			e.log.initDone(o.took, phase, o.status, o.errorType)
			return o, nil
		}
	}
	argv, ok := e.command()
	if len(e.extensions) > runtimeapi.ExtensionsMax {
		o := e.tooManyExtensions()
		e.log.initDone(o.took, phase, o.status, o.errorType)
		return o, nil
	}
	if !ok {
		o := e.noBootstrap(argv)
		e.log.initDone(o.took, phase, o.status, o.errorType)
		return o, nil
	}
	p, err := e.launch(ctx, argv)
	if o, refused := notExecuted(err, time.Since(began)); refused {
		e.log.initDone(o.took, phase, o.status, o.errorType)
		return o, nil
	}
	if err != nil {
		return initOutcome{}, err
	}
	if !e.adopt(p) {
		return initOutcome{}, sandbox.ErrDestroyed
	}
	o := p.waitReady(began, limit)
	e.endBoost(p)
	if o.status != StatusSuccess || p.extended() {
		p.drain()
	}
	e.extended = p.extended()
	e.log.extensions(p.session.Extensions())
	e.log.initDone(o.took, phase, o.status, o.errorType)
	return o, nil
}

// adopt makes p the environment's process, unless the environment is gone.
func (e *Environment) adopt(p *process) bool {
	e.mu.Lock()
	gone := e.destroyed
	if !gone {
		e.proc = p
	}
	e.mu.Unlock()
	if gone {
		p.close(e.worker)
	}
	return !gone
}

// Invoke runs one invoke to its end: the payload's answer, the handler's error,
// a timeout or a crash, each told as AWS tells it.
func (e *Environment) Invoke(in *Invocation) Result {
	e.idleSince.Store(0)
	e.turn.Lock()
	p := e.process()
	if p == nil && !e.initFailed || p != nil && p.gone() || !e.thaw(p) {
		e.turn.Unlock()
		return Result{Undelivered: true}
	}
	if p != nil && !p.ready(graceFor(e.startTook)) {
		e.turn.Unlock()
		return Result{NotReady: true}
	}
	if in.Began != nil {
		in.Began()
	}
	run := &invokeRun{env: e, in: in, began: time.Now(), trace: parseTrace(in.TraceID), init: e.initTook, restore: e.restore}
	e.initTook, e.restore = 0, restoreTook{}
	if e.initFailed {
		if p = run.initAgain(); p == nil {
			return run.finishInline()
		}
	}
	run.proc = p
	e.log.start(in.RequestID, &run.trace, in.WantTail)
	run.invoke()
	if p.extended() {
		return run.finishExtended()
	}
	e.idleSince.Store(time.Now().UnixNano())
	if in.WantTail || run.failure != nil {
		return run.finishInline()
	}
	res := run.result()
	if in.After != nil && len(res.Payload) <= afterBytesMax {
		in.After(func() { run.finish() })
	} else {
		go run.finish()
	}
	return res
}

// Settle waits until the runtime is done with an invoke that it has answered, at most for
// the function's timeout. It reports whether the environment can take another.
func (e *Environment) Settle() bool {
	p := e.process()
	if p == nil {
		return false
	}
	if p.extended() { // the last invoke goes on until its REPORT
		e.turn.Lock()
		over := p.gone() || p.timedOut.Load()
		e.turn.Unlock()
		if over {
			return false
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, e.timeout())
	defer cancel()
	return p.session.WaitNext(ctx) == nil
}

// Destroy removes the environment; an invoke in it ends as if the runtime had exited.
func (e *Environment) Destroy() {
	idle := e.idleSince.Load() != 0
	if idle {
		e.turn.Lock() // the last invoke's REPORT comes first
		defer e.turn.Unlock()
	}
	e.mu.Lock()
	if e.destroyed {
		e.mu.Unlock()
		return
	}
	e.destroyed = true
	p := e.proc
	e.proc = nil
	release := e.releaseCode
	e.mu.Unlock()
	if p != nil {
		if p.extended() && (!idle || e.thaw(p)) {
			p.shutDown(p.reason())
		}
		p.close(e.worker)
	}
	if release != nil {
		release()
	}
	e.worker.forget(e)
}

func (e *Environment) process() *process {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.proc
}

// dropProcess removes the process of a failed INIT; the environment lives on.
func (e *Environment) dropProcess() {
	e.mu.Lock()
	p := e.proc
	e.proc = nil
	e.mu.Unlock()
	if p != nil {
		p.shutDown(p.reason())
		p.close(e.worker)
	}
}

func (e *Environment) quietFor(d time.Duration) bool {
	since := e.idleSince.Load()
	return since != 0 && time.Since(time.Unix(0, since)) >= d
}

// freeze stops the processes if nobody has the environment.
func (e *Environment) freeze(ctx context.Context) {
	if !e.turn.TryLock() {
		return
	}
	defer e.turn.Unlock()
	p := e.process()
	if p == nil || e.frozen || p.exited.Load() || !e.quietFor(quietBeforeFreeze) {
		return
	}
	if p.session.WaitNext(alreadyOver) != nil && !e.quietFor(busyBeforeFreeze) {
		return // on its way to its next invoke: stopped there, it would not be ready when that comes
	}
	var hub *telemetryapi.Hub
	if p.extended() {
		hub = p.log.pauseTelemetry()
	}
	err := p.box.Freeze(ctx)
	if hub != nil && err != nil {
		hub.Resume()
	}
	switch {
	case err == nil:
		e.frozen, e.paused = true, hub
	case errors.Is(err, sandbox.ErrUnsupported), errors.Is(err, sandbox.ErrDestroyed), ctx.Err() != nil:
	default:
		e.worker.log.Warn("an idle environment was not frozen", "sandbox", p.box.ID(), "error", err)
	}
}

// thaw needs turn. It reports whether the processes run.
func (e *Environment) thaw(p *process) bool {
	if !e.frozen {
		return true
	}
	if err := p.box.Thaw(context.Background()); err != nil {
		e.worker.log.Warn("an environment was not thawed and is given up", "sandbox", p.box.ID(), "error", err)
		return false
	}
	e.frozen = false
	if e.paused != nil {
		e.paused.Resume()
		e.paused = nil
	}
	return true
}

// readUsage reads the kernel's counters, at most every usageEvery unless now. Needs turn.
func (e *Environment) readUsage(p *process, now bool) (cpu time.Duration) {
	if p == nil || !now && time.Since(e.usageRead) < usageEvery {
		return 0
	}
	u, err := p.box.Usage(context.Background())
	if err != nil {
		return 0 // it is being destroyed; the last figures stand
	}
	cpu = max(0, u.CPU-e.usage.CPU)
	e.usage, e.usageRead = u, time.Now()
	return cpu
}

func toRuntime(in *Invocation, deadline time.Time, tenant string) *runtimeapi.Invocation {
	return &runtimeapi.Invocation{
		RequestID:       in.RequestID,
		Deadline:        deadline,
		FunctionARN:     in.FunctionARN,
		TraceID:         in.TraceID,
		ClientContext:   in.ClientContext,
		CognitoIdentity: in.CognitoIdentity,
		TenantID:        tenant,
		ContentType:     in.ContentType,
		Payload:         in.Payload,
		Stream:          in.Stream,
		Hold:            true, // until the answer is on its way
	}
}

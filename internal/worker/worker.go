// Package worker owns one host: it parks sandboxes ahead of need, makes them into
// execution environments, runs invokes in them, writes their log lines, meters
// them, freezes them in between and destroys them. It must never import control,
// assignment or frontend: a worker does as it is told and knows neither API
// shapes nor why an environment was wanted, so that many hosts can serve one
// front.
package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// Bounds and times of a worker.
const (
	// InitTimeout bounds the INIT phase. Source: Lambda developer guide,
	// "Execution environment lifecycle": "limited to 10 seconds".
	InitTimeout = 10 * time.Second
	// startTimeout bounds everything before INIT: code, credentials, sandbox.
	startTimeout = 30 * time.Second
	// destroyTimeout bounds the removal of one sandbox.
	destroyTimeout = 30 * time.Second
	// quietBeforeFreeze is how long an environment stays thawed after an invoke,
	// so that a busy one is never frozen.
	quietBeforeFreeze = 100 * time.Millisecond
	// busyBeforeFreeze is how long one stays thawed whose runtime has answered and does not
	// ask for more.
	busyBeforeFreeze = 10 * time.Second
	// initsPerCore bounds INIT phases that run at once: they are work for the
	// processor, and too many at once would all meet InitTimeout.
	initsPerCore = 32
	// credentialsTTLDefault is how long the credentials in an environment live.
	credentialsTTLDefault = 6 * time.Hour
	// usageEvery bounds how often the kernel's counters of one environment are
	// read: they cost as much as a short invoke.
	usageEvery = 50 * time.Millisecond
)

// Kinds of refusal; match with errors.Is.
var (
	// ErrClosed means that the worker takes no more work.
	ErrClosed = errors.New("worker: closed")
	// ErrRuntime means that this host has not the function's runtime.
	ErrRuntime = errors.New("worker: no such runtime here")
	// ErrIsolation means that this host cannot isolate as the environment must be.
	ErrIsolation = errors.New("worker: no such isolation here")
	// ErrRole means that no credentials of the function's role can be had.
	ErrRole = errors.New("worker: the function's role gives no credentials")
)

// Code gives the unpacked deployment packages: *artifact.Store.
type Code interface {
	// Hold keeps a package from being swept until release is called.
	Hold(digest artifact.Digest) (release func())
	// Dir is the directory of a package's files.
	Dir(ctx context.Context, digest artifact.Digest) (string, error)
}

// Runtimes gives what a runtime identifier needs to run on this host.
type Runtimes interface {
	Runtime(ctx context.Context, want RuntimeWant) (Runtime, error)
}

// RuntimeWant says which runtime, and what of a function its command line depends on.
type RuntimeWant struct {
	Identifier   string // AWS's, e.g. "python3.13"
	Architecture string
	// MemoryMiB is the function's memory: some interpreters must be told how much
	// their heap may take. 0 leaves it to them.
	MemoryMiB int
	// VersionARN is the one build that will do, "" for whatever is there.
	VersionARN string
	// ExecWrapper is the function's AWS_LAMBDA_EXEC_WRAPPER: a program that is started in
	// the runtime's place, with its command line.
	ExecWrapper string
	// JavaOptions are the function's JAVA_TOOL_OPTIONS and JDK_JAVA_OPTIONS, for Java.
	JavaOptions string
}

// Runtime is one language's interpreter and its client, ready to start.
type Runtime struct {
	// Key is equal for all runtimes whose sandboxes can be parked together.
	Key    string
	Rootfs sandbox.Rootfs
	// Mounts come at Start, e.g. the runtime client at /var/runtime.
	Mounts []sandbox.Mount
	// Isolation is the environment's; the worker fills it in.
	Isolation record.Isolation
	Argv      []string // empty: the code brings its own bootstrap
	// Waits: with waitVariable in its environment it can be started before its function is
	// known, and waits in runtimeapi.GateStart.
	Waits bool
	// Copies: with templateVariable in its environment it waits in runtimeapi.GateRestore
	// after INIT, and can be copied there where the driver does that.
	Copies bool
	// Threads: the language has threads of its own, and a copy has them, too.
	Threads bool
	Env     []string // NAME=value, added to what AWS documents
	Dir     string   // "" is /var/task
	// Version and VersionARN are what INIT_START prints, e.g. "python:3.13.v1".
	Version    string
	VersionARN string
	// Notice is a line for the function's log, "" for none, e.g. that a near version runs.
	Notice string
}

// Session is the Runtime API of one sandbox, served on its listener:
// *runtimeapi.Session. When it ends, calls that wait return an error.
type Session interface {
	// Ready returns nil when the runtime asks for its first invocation, or
	// *runtimeapi.InitError when it told that it cannot initialise.
	Ready(ctx context.Context) error
	// Invoke hands over an invocation and returns what the runtime answered.
	Invoke(ctx context.Context, inv *runtimeapi.Invocation) (*runtimeapi.Outcome, error)
	// Release lets the runtime go on after what Invoke returned.
	Release()
	// WaitNext returns nil when the runtime waits for an invocation: it is done
	// with the last one, not only with its answer.
	WaitNext(ctx context.Context) error
	// WaitRuntime is WaitNext without what extensions still do.
	WaitRuntime(ctx context.Context) error
	// SetTelemetry says who answers subscriptions to telemetry.
	SetTelemetry(runtimeapi.Telemetry)
	// Drain reads what a runtime that ended had still sent, and closes.
	Drain(ctx context.Context) error
	// WaitGate returns nil when the runtime waits at the gate, at this moment.
	WaitGate(ctx context.Context, at runtimeapi.Gate) error
	// OpenGate answers it, now or when it comes.
	OpenGate(at runtimeapi.Gate, body []byte) error
	Close() error
	extensionSession
}

// Credentials issues temporary credentials of a function's role.
type Credentials interface {
	IssueForFunction(ctx context.Context, roleARN, functionARN string, ttl time.Duration) (TemporaryCredentials, error)
}

// TemporaryCredentials is what an SDK inside an environment signs with.
type TemporaryCredentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expires         time.Time
}

// Meter is told what each invoke consumed.
type Meter interface {
	Invoked(Metered)
}

// Options are a worker's doors and bounds.
type Options struct {
	Driver sandbox.Driver // of every isolation, where Drivers is nil
	// Drivers gives the driver of an isolation that is wanted; the text of its error says
	// what this host lacks. "" is that of whoever names none.
	Drivers     func(context.Context, record.Isolation) (sandbox.Driver, error)
	Code        Code
	Runtimes    Runtimes
	Images      Images // nil: no function has one
	Credentials Credentials
	Keys        Keys // nil: no function has variables that are sealed
	Logs        telemetry.LogSink
	// RuntimeAPI serves the Runtime API on a sandbox's listener; nil is runtimeapi.Serve.
	RuntimeAPI func(net.Listener, runtimeapi.Options) Session
	// Endpoint serves lambdad's own API on a sandbox's listener until it is
	// closed. nil serves nothing.
	Endpoint func(net.Listener)
	Meter    Meter // nil: nobody is told

	Network sandbox.Network
	// Extender is the path of what starts external extensions in sandboxes (lambdad-init); "" refuses functions that
	// have some.
	Extender       string
	Strict         bool // refuse to start where a limit cannot be enforced
	CredentialsTTL time.Duration
	InitTimeout    time.Duration
	ParkedMax      int // parked sandboxes on this host; 0 is parkedMaxDefault
	// StartedMax bounds runtimes that wait for a function; 0 is StartedMaxDefault, and a
	// negative number is none.
	StartedMax int
	// Templates says when function versions get templates; "" is TemplatesAuto.
	Templates TemplatesMode
	// SnapshotLost is told that a version with SnapStart starts on demand, because its snapshot
	// could not be made again. May be nil.
	SnapshotLost func(fn *record.Function, why error)
	// TemplatesMax and TemplatesMemory bound them, on this host; 0 are the defaults.
	TemplatesMax    int
	TemplatesMemory int64
	Log             *slog.Logger
}

// Worker is one host.
type Worker struct {
	opts      Options
	log       *slog.Logger
	lots      *lots
	templates *templates
	inits     chan struct{} // a token for each INIT that runs

	mu     sync.Mutex
	envs   map[*Environment]struct{}
	closed bool

	stop    context.CancelFunc
	running context.Context
	work    sync.WaitGroup
}

// New makes a worker and begins its background work. The caller has called
// Driver.Reap before.
func New(opts Options) (*Worker, error) {
	if opts.Driver == nil && opts.Drivers == nil || opts.Code == nil || opts.Runtimes == nil || opts.Credentials == nil || opts.Logs == nil {
		return nil, errors.New("worker: a door is missing in the options")
	}
	if opts.Drivers == nil {
		only := opts.Driver
		opts.Drivers = func(context.Context, record.Isolation) (sandbox.Driver, error) { return only, nil }
	}
	if opts.RuntimeAPI == nil {
		opts.RuntimeAPI = func(l net.Listener, o runtimeapi.Options) Session { return runtimeapi.Serve(l, o) }
	}
	if opts.CredentialsTTL == 0 {
		opts.CredentialsTTL = credentialsTTLDefault
	}
	if opts.InitTimeout == 0 {
		opts.InitTimeout = InitTimeout
	}
	if opts.ParkedMax == 0 {
		opts.ParkedMax = parkedMaxDefault
	}
	if opts.SnapshotLost == nil {
		opts.SnapshotLost = func(*record.Function, error) {}
	}
	if opts.TemplatesMax == 0 {
		opts.TemplatesMax = templatesMaxDefault
	}
	if opts.TemplatesMemory == 0 {
		opts.TemplatesMemory = templatesMemoryDefault
	}
	if opts.StartedMax == 0 {
		opts.StartedMax = StartedMaxDefault
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &Worker{
		opts:    opts,
		log:     opts.Log,
		inits:   make(chan struct{}, initsPerCore*runtime.NumCPU()),
		envs:    map[*Environment]struct{}{},
		stop:    cancel,
		running: ctx,
	}
	w.lots = newLots(lotsOptions{
		park: func(ctx context.Context, rt Runtime, started bool) (*parkedBox, error) {
			if started {
				return w.parkStarted(ctx, rt)
			}
			return w.park(ctx, rt)
		},
		destroy: w.destroyParked,
		busy:    func() bool { return len(w.inits) >= runtime.NumCPU() },
		max:     opts.ParkedMax, startedMax: max(0, opts.StartedMax), startedMemory: startedMemoryDefault,
		log: w.log,
	})
	w.templates = newTemplates(w)
	w.work.Go(func() { w.lots.run(ctx) })
	w.work.Go(func() { w.templates.run(ctx) })
	w.work.Go(func() { w.templates.makeAll(ctx) })
	w.work.Go(func() { w.freezeIdle(ctx) })
	return w, nil
}

// StartSpec says which environment is wanted.
type StartSpec struct {
	Function  *record.Function
	TenantID  string
	Isolation record.Isolation // "" is the host's usual one
	// Provisioned: it is kept ready by configuration, not made for an invoke. Its INIT is
	// no part of an invoke's bill.
	Provisioned bool
}

// Prepare parks sandboxes, and starts a runtime, ahead of a function's first invoke.
func (w *Worker) Prepare(ctx context.Context, fn *record.Function, isolation record.Isolation) error {
	fn, err := w.opened(fn)
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	rt, err := w.runtimeOf(ctx, fn)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", fn.ID.Name, err)
	}
	rt.Isolation = isolation
	w.lots.want(rt, false)
	if w.ahead(fn, rt) {
		w.lots.want(rt, true)
	}
	return nil
}

// Start makes an execution environment and runs its INIT phase. An INIT that fails or
// times out is no error: the environment is returned with InitFailed, and its first
// invoke runs INIT again, as AWS does. An error means that the host could not do it.
func (w *Worker) Start(ctx context.Context, spec StartSpec) (*Environment, error) {
	e, err := w.newEnvironment(spec)
	if err != nil {
		return nil, err
	}
	select {
	case w.inits <- struct{}{}:
	case <-ctx.Done():
		w.forget(e)
		return nil, fmt.Errorf("start %s: %w", e.fn.ID.ARN(), ctx.Err())
	}
	defer func() {
		<-w.inits
		w.lots.nudge()
	}()
	if err := e.start(ctx); err != nil {
		w.forget(e)
		return nil, fmt.Errorf("start %s: %w", e.fn.ID.QualifiedARN(e.fn.Version), err)
	}
	return e, nil
}

// Environments tells how many environments live on this worker.
func (w *Worker) Environments() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.envs)
}

// Close destroys every environment and parked sandbox. Running invokes end with
// their environment; whoever wants them to finish waits before.
func (w *Worker) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	envs := make([]*Environment, 0, len(w.envs))
	for e := range w.envs {
		envs = append(envs, e)
	}
	w.mu.Unlock()
	var gone sync.WaitGroup
	for _, e := range envs {
		gone.Go(e.Destroy)
	}
	gone.Wait()
	w.stop()
	w.work.Wait()
	w.templates.close()
	w.lots.close()
	return nil
}

func (w *Worker) newEnvironment(spec StartSpec) (*Environment, error) {
	now := time.Now()
	fn, err := w.opened(spec.Function)
	if err != nil {
		return nil, err
	}
	e := &Environment{worker: w, fn: fn, tenant: spec.TenantID, isolation: spec.Isolation, provisioned: spec.Provisioned}
	e.log = newEnvLog(w.opts.Logs, w.log, logStreamOf(spec.Function, now), spec.Function)
	e.log.initialization = e.initialization()
	e.log.tenant = e.tenant
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrClosed
	}
	w.envs[e] = struct{}{}
	return e, nil
}

func (w *Worker) forget(e *Environment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.envs, e)
}

func (w *Worker) park(ctx context.Context, rt Runtime) (*parkedBox, error) {
	driver, err := w.opts.Drivers(ctx, rt.Isolation)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrIsolation, rt.Isolation, err)
	}
	b, err := driver.Park(ctx, sandbox.ParkSpec{ID: newSandboxID(), Rootfs: rt.Rootfs, Network: w.opts.Network})
	if err != nil {
		return nil, fmt.Errorf("park: %w", err)
	}
	return &parkedBox{Sandbox: b}, nil
}

func (w *Worker) destroySandbox(b sandbox.Sandbox) {
	ctx, cancel := context.WithTimeout(context.Background(), destroyTimeout)
	defer cancel()
	if err := b.Destroy(ctx); err != nil {
		w.log.Error("a sandbox was not removed; the next start reaps it", "sandbox", b.ID(), "error", err)
	}
}

// freezeIdle stops the processes of environments that have been quiet.
func (w *Worker) freezeIdle(ctx context.Context) {
	tick := time.NewTicker(quietBeforeFreeze / 2)
	defer tick.Stop()
	var envs []*Environment
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		envs = envs[:0]
		w.mu.Lock()
		for e := range w.envs {
			if e.quietFor(quietBeforeFreeze) {
				envs = append(envs, e)
			}
		}
		w.mu.Unlock()
		for _, e := range envs {
			e.freeze(ctx)
		}
	}
}

func newSandboxID() sandbox.ID { return sandbox.ID("sb-" + randomHex(16)) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = io.ReadFull(rand.Reader, b) // never fails: crypto/rand aborts the process instead
	return hex.EncodeToString(b)
}

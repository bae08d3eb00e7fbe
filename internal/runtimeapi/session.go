// Package runtimeapi owns what the code inside a sandbox speaks to: the Runtime
// API 2018-06-01, the Extensions API 2020-01-01, the Telemetry API 2022-07-01 and the Logs API 2020-08-15, served on
// the sandbox's own listener, and in runtimeapi/client the runtime clients that
// are mounted at /var/runtime. It must never import sandbox or worker: it gets a
// net.Listener and answers; who started the program is not its business.
package runtimeapi

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Payload bounds. Source: Lambda quotas, "Invocation payload"; the exact figure
// is what AWS's own errors print.
const (
	ResponseBytesMax       = 6291556
	ResponseStreamBytesMax = 200 << 20
)

// LogLineJoin stands for a newline inside one log event. Output is split into
// events at newlines; AWS's runtimes send events in frames on a descriptor of
// their own instead, so that an event can have many lines. The runtime clients
// write this sequence in a newline's place, and whoever makes events of the
// output puts the newline back. No text has it by chance; where it is not put
// back, the carriage return is what AWS's clients themselves write to a plain
// standard output.
const LogLineJoin = "\x1e\r"

var (
	// ErrClosed means that the session was closed, or that an invocation was
	// given up, which makes it useless for another.
	ErrClosed = errors.New("runtimeapi: session closed")
	// ErrBusy means that an invocation is in hand already.
	ErrBusy = errors.New("runtimeapi: an invocation is in hand")
)

// Invocation is what one GET .../invocation/next delivers. Empty strings leave
// their header out.
type Invocation struct {
	RequestID       aws.RequestID
	Deadline        time.Time
	FunctionARN     string // as invoked, with its qualifier
	TraceID         string // X-Amzn-Trace-Id's value
	ClientContext   string // decoded JSON
	CognitoIdentity string // JSON
	TenantID        string
	ContentType     string // "" means application/json
	Payload         []byte // not copied, not changed
	// Stream, where set, takes an answer that the runtime streams.
	Stream Stream
	// Hold leaves a response unacknowledged until Release. Whoever hands responses on does
	// that first: what the runtime does next would compete with it for the cores.
	Hold bool

	streaming *streaming // made by Invoke where Stream is set
}

// Outcome is what the runtime answered for one invocation.
type Outcome struct {
	// Payload is the response's or the error's body, as sent.
	Payload     []byte
	ContentType string
	// ErrorType is "" for a response, else the validated
	// Lambda-Runtime-Function-Error-Type (Function.Unknown or Runtime.Unknown when
	// it sent a bad one).
	ErrorType string
	// Streaming says that the runtime chose the streaming response mode.
	Streaming bool
	// Streamed counts the bytes that the invocation's Stream was given. Payload is then
	// empty, or what the trailer told of an error in the midst of the answer.
	Streamed int64
	// FirstByte and Done are when the answer began and was complete.
	FirstByte, Done time.Time
}

// InitError is what POST .../init/error told: the runtime could not initialise; or
// what POST .../restore/error told: it could not be restored.
type InitError struct {
	ErrorType string
	Payload   []byte // the JSON body as sent: errorMessage, errorType, stackTrace
}

func (e *InitError) Error() string { return "runtimeapi: init error " + e.ErrorType }

// phase is where the runtime stands. The names are those that AWS's published
// runtime interface code prints in InvalidStateTransition.
type phase int

const (
	phaseStarted       phase = iota // INIT
	phaseInitError                  // told that INIT failed
	phaseReady                      // has an invocation
	phaseResponse                   // is sending a response
	phaseErrorResponse              // is sending an error
	phaseResponseSent               // has answered; waits in next, or will call it
	phaseRestoreReady               // INIT has ended; waits in restore/next, or will ask again
	phaseRestoring                  // has its answer of restore/next; runs its hooks
	phaseRestoreError               // told that restoring failed
)

func (p phase) String() string {
	switch p {
	case phaseStarted:
		return "Started"
	case phaseInitError:
		return "InitError"
	case phaseReady:
		return "Ready"
	case phaseResponse:
		return "InvocationResponse"
	case phaseErrorResponse:
		return "InvocationErrorResponse"
	case phaseRestoreReady:
		return "RestoreReady"
	case phaseRestoring:
		return "Restoring"
	case phaseRestoreError:
		return "RestoreError"
	default:
		return "ResponseSent"
	}
}

// Session serves the Runtime API to one sandbox. The listener is the identity:
// whoever connects to it is that sandbox.
type Session struct {
	listener net.Listener
	opts     Options

	mu       sync.Mutex
	phase    phase
	parked   *conn         // its GET next waits for an invocation
	call     *Invocation   // handed to Invoke and not answered yet
	answerID aws.RequestID // of the latest invocation that was delivered
	owed     *conn         // has sent a response that is not acknowledged yet
	initErr  *InitError
	failing  bool // an init error's body is being read
	conns    map[*conn]struct{}
	dead     bool
	idle     chan struct{} // made by WaitNext; closed when a GET next parks
	gates    [gateCount]gate

	function   Function    // what extensions are told when they register
	extensions *extensions // nil without any
	telemetry  Telemetry   // answers subscriptions
	processes  chan net.Conn
	shut       bool // takes no connection any more

	settled     chan struct{} // closed when INIT ended either way
	settledOnce sync.Once
	done        chan *Outcome // of the invocation in hand
	closed      chan struct{}
	goroutines  sync.WaitGroup
	draining    atomic.Bool
	acceptEnded chan struct{}

	refused atomic.Int64 // requests so far
	flood   sync.Mutex   // makes refusals beyond patienceMax take turns
}

// Options of a session. The zero value is what AWS does.
type Options struct {
	// ResponseBytesMax replaces the package's bound where it is not 0.
	ResponseBytesMax int
	// StreamBytesMax replaces ResponseStreamBytesMax where it is not 0.
	StreamBytesMax int
	// Gates are served only where they are wanted: restore/next exists under SnapStart
	// only, as on AWS.
	Gates Gates
	// Function is whose session it is, where that is known: see SetFunction.
	Function Function
	// External are the names of the extensions that are started as processes: at most
	// ExtensionsMax, each once.
	External []string

	headTime time.Duration // replaces headTimeMax in tests
	// They replace StreamBurstBytes and StreamBytesPerSecond in tests.
	streamBurst, streamPerSecond int
}

// Serve starts to accept on l. It returns at once; Close ends it and closes l.
func Serve(l net.Listener, opts Options) *Session {
	if opts.ResponseBytesMax == 0 {
		opts.ResponseBytesMax = ResponseBytesMax
	}
	if opts.StreamBytesMax == 0 {
		opts.StreamBytesMax = ResponseStreamBytesMax
	}
	if opts.headTime == 0 {
		opts.headTime = headTimeMax
	}
	if opts.streamBurst == 0 {
		opts.streamBurst, opts.streamPerSecond = StreamBurstBytes, StreamBytesPerSecond
	}
	s := &Session{
		listener: l,
		opts:     opts,
		conns:    make(map[*conn]struct{}),
		settled:  make(chan struct{}),
		done:     make(chan *Outcome, 1),
		closed:   make(chan struct{}),

		acceptEnded: make(chan struct{}),

		function: opts.Function,
	}
	if len(opts.External) > 0 {
		s.extensions = newExtensions(opts.External)
		s.processes = make(chan net.Conn, 1)
	}
	s.gates[GateStart].served = opts.Gates.Start
	s.gates[GateRestore].served = opts.Gates.Restore
	s.goroutines.Add(1)
	go s.accept()
	return s
}

// Ready returns nil when the runtime made its first GET next, and every extension its
// first GET event/next: INIT has ended well. It returns an *InitError if the runtime posted one, ErrClosed, or ctx's
// error.
func (s *Session) Ready(ctx context.Context) error {
	select {
	case <-s.settled:
	default:
		select {
		case <-s.settled:
		case <-s.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.initErr != nil:
		return s.initErr
	case s.dead:
		return ErrClosed
	}
	return nil
}

// Invoke hands inv to the runtime, at once if its GET next waits or else when it
// comes, and returns what it answers. If ctx ends first, the session is useless
// for another: the runtime still believes that it has this one.
func (s *Session) Invoke(ctx context.Context, inv *Invocation) (*Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if inv.Stream != nil {
		inv.streaming = newStreaming()
	}
	s.mu.Lock()
	switch {
	case s.dead || s.initErr != nil:
		s.mu.Unlock()
		return nil, ErrClosed
	case s.call != nil:
		s.mu.Unlock()
		return nil, ErrBusy
	}
	s.call = inv
	c := s.parked
	if c != nil {
		s.take()
	}
	var events []delivery
	if s.extensions != nil {
		events = s.extensions.releaseInvocation(inv)
	}
	s.mu.Unlock()
	deliverAll(events)
	if c != nil {
		// Written by this goroutine: one switch less than waking the connection's.
		c.deliver(ctx, inv)
	}
	if inv.Stream != nil {
		o := inv.streaming.outcome(s, inv.Stream, ctx.Done())
		switch {
		case o != nil:
			return o, nil
		case ctx.Err() != nil:
			s.kill()
			return nil, ctx.Err()
		}
		return nil, ErrClosed
	}
	select {
	case o := <-s.done:
		return o, nil
	case <-ctx.Done():
		s.kill()
		return nil, ctx.Err()
	case <-s.closed:
		select {
		case o := <-s.done: // it was answered and then ended
			return o, nil
		default:
			return nil, ErrClosed
		}
	}
}

// Release acknowledges the response to an invocation with Hold, so that the runtime goes on.
// It does nothing where nothing is owed.
func (s *Session) Release() {
	s.mu.Lock()
	c := s.owed
	s.owed = nil
	s.mu.Unlock()
	if c != nil {
		c.acknowledge()
	}
}

// WaitNext returns when the runtime waits for an invocation, and every extension that had the
// last one for an event: nothing of it is running in the foreground any more.
func (s *Session) WaitNext(ctx context.Context) error { return s.waitNext(ctx, true) }

// WaitRuntime is WaitNext for the runtime alone: extensions may still be at work.
func (s *Session) WaitRuntime(ctx context.Context) error { return s.waitNext(ctx, false) }

func (s *Session) waitNext(ctx context.Context, all bool) error {
	for {
		s.mu.Lock()
		if s.parked != nil && s.call == nil && (!all || s.extensions == nil || s.extensions.done()) {
			s.mu.Unlock()
			return nil
		}
		if s.dead || s.initErr != nil {
			s.mu.Unlock()
			return ErrClosed
		}
		if s.idle == nil {
			s.idle = make(chan struct{})
		}
		idle := s.idle
		s.mu.Unlock()
		select {
		case <-idle:
		case <-s.closed:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends the session, its listener and its connections, and returns when
// their goroutines have ended. It is idempotent.
func (s *Session) Close() error {
	s.kill()
	err := s.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	s.mu.Lock()
	s.shut = true
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.goroutines.Wait()
	select {
	case nc := <-s.processes: // nobody took it
		nc.Close()
	default:
	}
	return err
}

func (s *Session) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dead {
		s.dead = true
		close(s.closed)
	}
}

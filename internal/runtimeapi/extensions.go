package runtimeapi

import (
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// ExtensionsMax is how many extensions, external and internal ones together, a session
// takes. Source: Lambda quotas, "Extensions": 10 per function.
const ExtensionsMax = 10

// Function is what extensions are told when they register.
type Function struct {
	Name, Version, Handler string
	Account                aws.AccountID
}

// Types of a fault that an extension made. Source: AWS's published runtime interface code.
const (
	ExtensionInitError   = "Extension.InitError"
	ExtensionExitError   = "Extension.ExitError"
	ExtensionCrash       = "Extension.Crash"
	ExtensionLaunchError = "Extension.LaunchError"
)

// extensionState is where an extension stands. The names are those that AWS's published
// runtime interface code prints, in InvalidExtensionState and in the log.
type extensionState int

const (
	extensionStarted     extensionState = iota // its process runs; external ones only
	extensionRegistered                        // has its identifier
	extensionReady                             // waits in event/next
	extensionRunning                           // works on an event
	extensionInitError                         // told that it could not initialise
	extensionExitError                         // told that it will exit
	extensionLaunchError                       // could not be started
)

func (s extensionState) String() string {
	switch s {
	case extensionStarted:
		return "Started"
	case extensionRegistered:
		return "Registered"
	case extensionReady:
		return "Ready"
	case extensionRunning:
		return "Running"
	case extensionInitError:
		return "InitError"
	case extensionExitError:
		return "ExitError"
	default:
		return "LaunchError"
	}
}

// extension is one extension of a session. The session's lock guards it.
type extension struct {
	name      string
	id        aws.RequestID // "" before it has registered
	external  bool          // a process of its own
	invoke    bool          // gets INVOKE
	shutdown  bool          // gets SHUTDOWN
	state     extensionState
	errorType string // what it told, or why it could not be started

	parked *conn  // its GET event/next waits
	due    []byte // an event that it must still be given
}

// extensions are those of one session. A session without any has none of this.
type extensions struct {
	all []*extension
	// fault is the type of the first fault that one of them made. Source: AWS's published
	// runtime interface code, whose first fatal error names how an environment ended.
	fault string
	// registered is closed when every external one has registered.
	registered chan struct{}
	shutDown   bool
}

// ExtensionInfo is what the log tells of an extension.
type ExtensionInfo struct {
	Name, State, ErrorType string
	Events                 []string
	External               bool
}

func newExtensions(external []string) *extensions {
	x := &extensions{registered: make(chan struct{})}
	for _, name := range external {
		x.all = append(x.all, &extension{name: name, external: true})
	}
	return x
}

func (x *extensions) byName(name string) *extension {
	for _, e := range x.all {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (x *extensions) byID(id []byte) *extension {
	for _, e := range x.all {
		if e.id != "" && string(e.id) == string(id) {
			return e
		}
	}
	return nil
}

// allRegistered reports whether no external extension is still to register.
func (x *extensions) allRegistered() bool {
	for _, e := range x.all {
		if e.state == extensionStarted {
			return false
		}
	}
	return true
}

// initialised reports whether INIT has ended for all of them.
func (x *extensions) initialised() bool {
	for _, e := range x.all {
		if e.state != extensionReady && e.state != extensionRunning {
			return false
		}
	}
	return true
}

// done reports whether all that had the last INVOKE are through with it.
func (x *extensions) done() bool {
	for _, e := range x.all {
		if e.invoke && e.state != extensionReady {
			return false
		}
	}
	return true
}

// unpark forgets a connection whose peer has gone.
func (x *extensions) unpark(c *conn) {
	for _, e := range x.all {
		if e.parked == c {
			e.parked = nil
		}
	}
}

// fail notes the first fault.
func (x *extensions) fail(fault string) {
	if x.fault == "" {
		x.fault = fault
	}
}

// SetFunction says whose session it is, where Options did not: extensions are told when they
// register.
func (s *Session) SetFunction(f Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.function = f
}

// Extensions tells of the session's extensions; nil without any.
func (s *Session) Extensions() []ExtensionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extensions == nil {
		return nil
	}
	var out []ExtensionInfo
	for _, e := range s.extensions.all {
		info := ExtensionInfo{Name: e.name, State: e.state.String(), ErrorType: e.errorType, External: e.external}
		if e.invoke {
			info.Events = append(info.Events, eventInvoke)
		}
		if e.shutdown {
			info.Events = append(info.Events, eventShutdown)
		}
		out = append(out, info)
	}
	return out
}

// ExtensionFault is the type of the first fault that an extension made, "" without one.
func (s *Session) ExtensionFault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extensions == nil {
		return ""
	}
	return s.extensions.fault
}

// ExtensionFailed notes what the session cannot see: an external extension could not be
// started, or ended. errorType is the extension's own, for the log; it may be empty.
func (s *Session) ExtensionFailed(name, fault, errorType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extensions == nil {
		return
	}
	s.extensions.fail(fault)
	if e := s.extensions.byName(name); e != nil && fault == ExtensionLaunchError {
		e.state, e.errorType = extensionLaunchError, errorType
	}
}

// extensionNamed finds the extension that an identifier belongs to, and its name. It is for other
// APIs that extensions call.
func (s *Session) extensionNamed(id []byte) (name string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extensions == nil {
		return "", false
	}
	e := s.extensions.byID(id)
	if e == nil {
		return "", false
	}
	return e.name, true
}

// register makes a registration. refusal is the answer of one that is refused.
func (s *Session) register(name string, invoke, shutdown bool) (id aws.RequestID, f Function, refusal []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extensions != nil {
		if e := s.extensions.byName(name); e != nil && e.external {
			if e.state != extensionStarted {
				return "", f, invalidExtensionState(e.state.String(), extensionRegistered.String(), name)
			}
			s.admit(e, invoke, shutdown)
			if s.extensions.allRegistered() {
				close(s.extensions.registered)
			}
			return e.id, s.function, nil
		}
	}
	// Internal ones: those that no program was started for.
	if shutdown {
		return "", f, extensionRefusal(errorInvalidEventType, eventShutdown+": ShutdownEventNotSupportedForInternalExtension")
	}
	switch {
	case s.phase != phaseStarted || s.dead:
		return "", f, registrationClosed
	case s.extensions == nil:
		s.extensions = newExtensions(nil)
	case len(s.extensions.all) >= ExtensionsMax:
		return "", f, tooManyExtensions
	case s.extensions.byName(name) != nil:
		return "", f, extensionRegisteredAlready
	}
	e := &extension{name: name}
	s.admit(e, invoke, false)
	s.extensions.all = append(s.extensions.all, e)
	return e.id, s.function, nil
}

func (s *Session) admit(e *extension, invoke, shutdown bool) {
	e.id, e.invoke, e.shutdown, e.state = aws.NewRequestID(), invoke, shutdown, extensionRegistered
}

// nextEvent is GET event/next. It returns an event to write now, or nil if c is parked until
// there is one, or the answer that refuses it.
func (s *Session) nextEvent(c *conn, id []byte) (event, refusal []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *extension
	if s.extensions != nil {
		e = s.extensions.byID(id)
	}
	if e == nil {
		return nil, extensionRefusal(errorUnknownIdentifier, "Unknown extension "+string(id))
	}
	switch {
	case e.state == extensionRegistered, e.state == extensionRunning:
	case e.state == extensionReady && e.parked == nil: // it lost its connection
	default:
		return nil, invalidExtensionState(e.state.String(), extensionReady.String(), string(id))
	}
	e.state = extensionReady
	s.settle()
	if e.due != nil {
		event, e.due = e.due, nil
		e.state = extensionRunning
		return event, nil
	}
	e.parked = c
	s.wakeIdle()
	return nil, nil
}

// extensionError is POST init/error and exit/error. It returns the answer.
func (s *Session) extensionError(id []byte, errorType string, to extensionState) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e *extension
	if s.extensions != nil {
		e = s.extensions.byID(id)
	}
	if e == nil {
		return extensionRefusal(errorUnknownIdentifier, "Unknown Lambda-Extension-Identifier")
	}
	if e.state == to {
		return statusAccepted // only the first one counts
	}
	fault, toName := ExtensionInitError, to.String()
	ok := e.state == extensionRegistered
	if to == extensionExitError {
		fault, toName = ExtensionExitError, "Exited"
		ok = e.state == extensionRegistered || e.state == extensionReady || e.state == extensionRunning
	}
	if !ok {
		return invalidExtensionState(e.state.String(), toName, string(id))
	}
	e.state, e.errorType = to, errorType
	s.extensions.fail(fault)
	return statusAccepted
}

// settle closes settled when INIT has ended well: the runtime asks for invocations, and all
// extensions for events. The caller holds s.mu.
func (s *Session) settle() {
	if s.phase == phaseStarted || s.phase == phaseRestoreReady || s.extensions != nil && !s.extensions.initialised() {
		return
	}
	s.settledOnce.Do(func() { close(s.settled) })
}

// wakeIdle wakes who waits for the end of an invocation. The caller holds s.mu.
func (s *Session) wakeIdle() {
	if s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// delivery is an event for an extension that waits.
type delivery struct {
	c     *conn
	event []byte
}

// release hands an event to the extensions that want it. Those that wait get theirs from the
// caller, who holds s.mu, afterwards; the others when they ask.
func (x *extensions) release(event []byte, wants func(*extension) bool) []delivery {
	var now []delivery
	for _, e := range x.all {
		if !wants(e) {
			continue
		}
		whole := withIdentifier(event)
		if e.parked == nil {
			e.due = whole
			continue
		}
		now = append(now, delivery{e.parked, whole})
		e.parked, e.state = nil, extensionRunning
	}
	return now
}

func (x *extensions) releaseInvocation(inv *Invocation) []delivery {
	return x.release(invokeEvent(inv), func(e *extension) bool { return e.invoke })
}

// Shutdown tells the external extensions that want to know that the environment ends at
// deadline. It returns their names. The session takes no further invocation.
func (s *Session) Shutdown(reason string, deadline time.Time) []string {
	s.mu.Lock()
	if s.extensions == nil || s.extensions.shutDown {
		s.mu.Unlock()
		return nil
	}
	s.extensions.shutDown = true
	var names []string
	now := s.extensions.release(shutdownEvent(reason, deadline), func(e *extension) bool {
		if e.shutdown && e.state != extensionInitError && e.state != extensionExitError {
			names = append(names, e.name)
			return true
		}
		return false
	})
	s.mu.Unlock()
	deliverAll(now)
	return names
}

func deliverAll(now []delivery) {
	for _, d := range now {
		d.c.deliverEvent(d.event)
	}
}

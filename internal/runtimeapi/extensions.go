package runtimeapi

import (
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

package runtimeapi

import (
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

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

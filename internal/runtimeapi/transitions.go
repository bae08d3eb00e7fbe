package runtimeapi

import (
	"github.com/lambdad/lambdad/internal/aws"
)

// take marks the invocation in hand as delivered to the parked connection. The
// caller holds s.mu and writes it afterwards.
func (s *Session) take() {
	s.parked = nil
	s.phase = phaseReady
	s.answerID = s.call.RequestID
}

// next is GET invocation/next. It returns the invocation to write now, or nil if
// c is parked until Invoke comes; ok is false if the runtime may not ask now,
// and then from is where it stands.
func (s *Session) next(c *conn) (inv *Invocation, from phase, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.phase {
	case phaseInitError, phaseResponse, phaseErrorResponse, phaseRestoreReady, phaseRestoreError:
		return nil, s.phase, false
	case phaseReady:
		// It asks again before it has answered: AWS delivers the same one again,
		// which mends a connection lost on the way.
		return s.call, s.phase, true
	}
	if s.phase == phaseStarted || s.phase == phaseRestoring {
		s.phase = phaseResponseSent
		s.forgetGates()
	}
	s.settle()
	if s.call != nil {
		inv = s.call
		s.take()
		return inv, s.phase, true
	}
	if s.parked != nil && s.parked != c {
		s.parked.nc.Close() // the runtime asked again on another connection: the newest counts
	}
	s.parked = c
	s.wakeIdle()
	return nil, s.phase, true
}

// unpark forgets c if it is parked: its peer has gone.
func (s *Session) unpark(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unparkLocked(c)
}

func (s *Session) unparkLocked(c *conn) {
	if s.parked == c {
		s.parked = nil
	}
	if s.owed == c {
		s.owed = nil
	}
	for i := range s.gates {
		if s.gates[i].waiting == c {
			s.gates[i].waiting = nil
		}
	}
	if s.extensions != nil {
		s.extensions.unpark(c)
	}
}

// refusal says why an answer is not taken.
type refusal int

const (
	accepted refusal = iota
	refusedID
	refusedTransition
)

// beginAnswer claims the right to answer the invocation id. Only one answer is
// taken; its body is read after the claim, so that a second sender is refused
// even while the first is slow.
func (s *Session) beginAnswer(id []byte, to phase) (from phase, r refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The id is checked first, as AWS does: a forged id changes no state. An id is
	// known from its delivery until the next one's.
	if s.answerID == "" || aws.RequestID(id) != s.answerID {
		return s.phase, refusedID
	}
	if s.phase != phaseReady || s.dead {
		return s.phase, refusedTransition
	}
	s.phase = to
	return phaseReady, accepted
}

// hold leaves the acknowledgement of c's response to Release, if the invocation wants that.
func (s *Session) hold(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == nil || !s.call.Hold || s.dead {
		return false
	}
	s.owed = c
	return true
}

// finishAnswer gives the outcome to Invoke.
func (s *Session) finishAnswer(o *Outcome) {
	s.mu.Lock()
	s.phase = phaseResponseSent
	s.call = nil
	s.mu.Unlock()
	select {
	case s.done <- o:
	default: // nobody waits: Invoke gave it up
	}
}

// abortAnswer takes back a claim whose body never arrived whole.
func (s *Session) abortAnswer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseResponse || s.phase == phaseErrorResponse {
		s.phase = phaseReady
	}
}

// beginInitError claims the right to report that INIT failed: one report is
// taken, and only that one's body is read.
func (s *Session) beginInitError(in phase) (from phase, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != in || s.failing {
		return s.phase, false
	}
	s.failing = true
	return in, true
}

// finishInitError ends INIT with e, or takes back the claim if e is nil.
func (s *Session) finishInitError(e *InitError, in, to phase) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = false
	if e == nil || s.phase != in {
		return // never whole, or the runtime called next meanwhile: INIT had ended well
	}
	s.phase = to
	s.initErr = e
	s.forgetGates()
	s.settledOnce.Do(func() { close(s.settled) })
	s.wakeIdle()
}

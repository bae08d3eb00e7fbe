package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Gate is a request in which a program waits to be told who it is: it was
// started before it had an owner, or it is a copy of another program.
type Gate int

const (
	// GateStart is where a runtime waits that was started before its function was
	// known. The route is lambdad's own.
	GateStart Gate = iota
	// GateRestore is where a runtime waits after INIT, to be copied, and where each
	// copy asks for what is its own. Source: Lambda developer guide, SnapStart,
	// custom runtimes: GET /runtime/restore/next.
	GateRestore
	gateCount
)

// gateBodyMax bounds what passes through a gate: a whole environment. Source:
// Lambda quotas, "Environment variables" 4 KB, and credentials and the reserved ones.
const gateBodyMax = 64 << 10

var (
	// ErrGatePassed means that the runtime does not wait at this gate and never will: it
	// went on without asking, or was let through before.
	ErrGatePassed = errors.New("runtimeapi: the runtime is not at this gate")
	// ErrNoGate means that the session does not serve this gate.
	ErrNoGate = errors.New("runtimeapi: no such gate in this session")
)

// gate is one gate of a session.
type gate struct {
	served  bool
	waiting *conn         // the request that waits there
	body    []byte        // what the gate was opened with; nil while closed
	arrived chan struct{} // made by WaitGate; closed when a request waits
}

// Gates is which gates a session serves.
type Gates struct {
	Start   bool
	Restore bool
}

// WaitGate returns nil when the runtime waits at the gate: at this moment, since a runtime
// that loses its connection must ask again. It returns an *InitError if the runtime
// posted one instead, ErrGatePassed if it went on without the gate, ErrClosed, or ctx's error.
func (s *Session) WaitGate(ctx context.Context, at Gate) error {
	if at < 0 || at >= gateCount {
		return ErrNoGate
	}
	g := &s.gates[at]
	for {
		s.mu.Lock()
		arrived, err := s.atGate(g)
		s.mu.Unlock()
		if arrived == nil {
			return err
		}
		select {
		case <-arrived:
		case <-s.settled:
		case <-s.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// atGate gives the answer of WaitGate, or what to wait for. The caller holds s.mu.
func (s *Session) atGate(g *gate) (wait <-chan struct{}, err error) {
	switch {
	case !g.served:
		return nil, ErrNoGate
	case s.initErr != nil:
		return nil, s.initErr
	case s.dead:
		return nil, ErrClosed
	case g.waiting != nil:
		return nil, nil
	case g.body != nil, s.phase != phaseStarted && s.phase != phaseRestoreReady:
		return nil, ErrGatePassed
	}
	if g.arrived == nil {
		g.arrived = make(chan struct{})
	}
	return g.arrived, nil
}

// OpenGate answers the runtime that waits at the gate, or will, with the JSON document body.
// A gate is opened once; the same answer is given again to a runtime that lost it.
func (s *Session) OpenGate(at Gate, body []byte) error {
	if at < 0 || at >= gateCount {
		return ErrNoGate
	}
	if len(body) == 0 || len(body) > gateBodyMax {
		return fmt.Errorf("runtimeapi: %d bytes cannot pass a gate", len(body))
	}
	s.mu.Lock()
	g := &s.gates[at]
	switch {
	case !g.served:
		s.mu.Unlock()
		return ErrNoGate
	case s.dead || s.initErr != nil:
		s.mu.Unlock()
		return ErrClosed
	case g.body != nil, s.phase != phaseStarted && s.phase != phaseRestoreReady:
		s.mu.Unlock()
		return ErrGatePassed
	}
	g.body = body
	c := g.waiting
	if c != nil {
		g.waiting = nil
		s.passGate(at)
	}
	s.mu.Unlock()
	if c != nil {
		c.pass(body)
	}
	return nil
}

// passGate notes that an answer goes out. The caller holds s.mu.
func (s *Session) passGate(at Gate) {
	if at == GateRestore {
		s.phase = phaseRestoring
	}
}

// reachGate is a request at a gate. It returns the body to write now, or nil if c
// waits; ok is false if the runtime may not ask now.
func (s *Session) reachGate(c *conn, at Gate) (body []byte, from phase, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.gates[at]
	switch {
	case s.failing:
		return nil, s.phase, false
	case s.phase == phaseStarted:
	case at == GateRestore && (s.phase == phaseRestoreReady || s.phase == phaseRestoring):
	default:
		return nil, s.phase, false
	}
	if at == GateRestore && s.phase == phaseStarted {
		s.phase = phaseRestoreReady
	}
	if g.body != nil {
		s.passGate(at)
		return g.body, s.phase, true
	}
	if g.waiting != nil && g.waiting != c {
		g.waiting.nc.Close() // it asked again on another connection: the newest counts
	}
	g.waiting = c
	if g.arrived != nil {
		close(g.arrived)
		g.arrived = nil
	}
	return nil, s.phase, true
}

// forgetGates drops what passed the gates: it holds credentials, and a runtime
// that asks for invocations needs it no more. The caller holds s.mu.
func (s *Session) forgetGates() {
	for i := range s.gates {
		g := &s.gates[i]
		if g.body != nil {
			g.body = passed
		}
	}
}

// passed stands for a body that was given and is kept no more.
var passed = []byte("{}")

// gate is GET at a gate.
func (c *conn) gate(at Gate) bool {
	if !c.discardBody(refusedTimeMax) {
		return false
	}
	// Set before anything can answer: out belongs to the writer from now on.
	c.waiting = true
	body, from, ok := c.s.reachGate(c, at)
	if body == nil && ok {
		return true
	}
	c.waiting = false
	if !ok {
		return c.refuse(invalidTransition(from, at.String()))
	}
	return c.writeGate(body) == nil
}

// String names the state that a request at the gate asks for.
func (g Gate) String() string {
	if g == GateRestore {
		return phaseRestoreReady.String()
	}
	return "Waiting"
}

// pass answers a request that waits at a gate.
func (c *conn) pass(body []byte) {
	defer func() { c.answered <- struct{}{} }()
	if err := c.writeGate(body); err != nil || c.head.close {
		c.nc.Close()
	}
}

func (c *conn) writeGate(body []byte) error {
	b := append(c.out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	if c.head.close {
		b = append(b, "\r\nConnection: close"...)
	} else if c.head.minor == 0 {
		b = append(b, "\r\nConnection: keep-alive"...)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, body...)
	if err := c.nc.SetWriteDeadline(time.Now().Add(deliverTimeMax)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	clear(b) // it held credentials
	c.out = b
	if err != nil {
		return err
	}
	return c.nc.SetWriteDeadline(time.Time{})
}

package runtimeapi

import (
	"context"
	"net"
	"time"
)

// pathProcesses is lambdad's own: what starts the extensions and the runtime speaks to the worker
// there. The request has no answer: the connection is the worker's from then on.
const pathProcesses = "/2018-06-01/lambdad/processes"

// lastEventMax is how long the end of an answer may be behind its last byte.
const lastEventMax = 100 * time.Millisecond

// Processes waits for the connection of the program that starts the external extensions and
// the runtime. The caller closes it. There is one in the life of a session with
// Options.External, and none otherwise.
func (s *Session) Processes(ctx context.Context) (net.Conn, error) {
	select {
	case nc := <-s.processes:
		return nc, nil
	case <-s.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hand gives the connection away.
func (c *conn) hand() bool {
	c.handed = true
	select {
	case c.s.processes <- c.nc:
	default: // there was one
		c.handed = false
	}
	return false
}

// Registered waits until every external extension has registered: the runtime is started then.
// Source: AWS's published runtime interface code.
func (s *Session) Registered(ctx context.Context) error {
	s.mu.Lock()
	x := s.extensions
	s.mu.Unlock()
	if x == nil {
		return nil
	}
	select {
	case <-x.registered:
		return nil
	case <-s.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Interrupt ends the invocation in hand, and takes no other. Extensions can still be told that
// the environment ends.
func (s *Session) Interrupt() { s.kill() }

// lastEvent waits for the end of an answer that its reader already has: an extension goes on when
// its session takes no invocations any more.
func (c *conn) lastEvent() bool {
	c.s.mu.Lock()
	goesOn := c.extension && !c.s.shut
	c.s.mu.Unlock()
	if !goesOn {
		return false
	}
	select {
	case <-c.answered:
		return true
	case <-time.After(lastEventMax):
		return false
	}
}

// drainRuntime is Drain for a session whose extensions live on when the runtime has ended.
func (s *Session) drainRuntime(ctx context.Context) error {
	t := time.NewTicker(drainPoll)
	defer t.Stop()
	for range drainPollsMin {
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	for s.runtimeConnections() > 0 {
		select {
		case <-t.C:
			continue
		case <-s.closed:
		case <-ctx.Done():
		}
		break
	}
	s.kill()
	return nil
}

// runtimeConnections counts the connections that no extension has used.
func (s *Session) runtimeConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range s.conns {
		if !c.extension {
			n++
		}
	}
	return n
}

package runtimeapi

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Bounds of a sandbox's connections. A program can only hurt itself with them,
// but the memory and goroutines are the worker's.
const (
	connsMax       = 32 // further ones are closed at once; an extension has two or three
	readBufferMin  = 4 << 10
	headTimeMax    = 10 * time.Second     // from a head's first byte to its last
	bodyTimeMax    = 16 * time.Minute     // the longest invocation, and some
	refusedTimeMax = 10 * time.Second     // for a body that nobody wants
	discardMax     = 8 * ResponseBytesMax // of a refused body; beyond it the connection is closed
	deliverTimeMax = 30 * time.Second     // to write an invocation
	// acknowledgeTimeMax is for a few bytes to a peer that waits for them: only one that does not read what it is
	// sent can take longer.
	acknowledgeTimeMax = time.Second
	copyMax            = 8 << 10               // a payload up to here is sent with its head in one write
	acceptPause        = 10 * time.Millisecond // after a passing error, e.g. no descriptors left
	// A runtime has one connection, or a few, and is hardly ever refused. Whoever goes on and on beyond
	// patienceMax is served one at a time with floodPause between: the cores that answer are those that other
	// functions' invokes need.
	patienceMax = 32
	floodPause  = time.Millisecond
)

// conn is one connection of the runtime.
type conn struct {
	s  *Session
	nc net.Conn

	// buf[r:w] is read and not consumed. Only the connection's goroutine uses these.
	buf   []byte
	r, w  int
	timed bool // a read deadline is set

	head      head
	chunkRest int64 // of a chunk whose size is read already; only until it is discarded

	// waiting is set while a GET next of this connection is parked, or its response is
	// not acknowledged; whoever writes the answer then sends to answered. Between the
	// two out belongs to the writer, else to the connection's goroutine.
	waiting  bool
	answered chan struct{}
	out      []byte
	// extension is set, under the session's lock, when an extension has used this connection.
	extension bool
	handed    bool // the connection is somebody else's
}

func (s *Session) accept() {
	defer s.goroutines.Done()
	defer close(s.acceptEnded)
	for accepted := 0; ; accepted++ {
		nc, err := s.listener.Accept()
		if err == nil {
			s.begin(nc)
			if accepted > patienceMax {
				time.Sleep(floodPause)
			}
			continue
		}
		if s.draining.Load() || errors.Is(err, net.ErrClosed) || !isTemporary(err) {
			return
		}
		select {
		case <-time.After(acceptPause):
		case <-s.closed:
			return
		}
	}
}

// begin serves a connection, unless there are too many.
func (s *Session) begin(nc net.Conn) {
	c := &conn{s: s, nc: nc, answered: make(chan struct{}, 1)}
	s.mu.Lock()
	// Extensions are still served when the runtime is not: they are told that the environment ends.
	if s.dead && (s.extensions == nil || s.shut) || len(s.conns) >= connsMax {
		s.mu.Unlock()
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.goroutines.Add(1)
	s.mu.Unlock()
	go c.serve()
}

func (c *conn) serve() {
	defer c.s.goroutines.Done()
	defer func() {
		if !c.handed {
			c.nc.Close()
		}
		c.s.mu.Lock()
		c.s.unparkLocked(c)
		delete(c.s.conns, c)
		c.s.mu.Unlock()
	}()
	for {
		n, err := c.readHead()
		if c.waiting {
			// The peer sent more (or left) before it was answered.
			if err != nil {
				c.s.unpark(c)
				return
			}
			select {
			case <-c.answered:
			case <-c.s.closed:
				if !c.lastEvent() {
					return
				}
			}
			c.waiting = false
			if c.head.close {
				return
			}
		}
		if err == nil {
			err = c.head.parse(c.buf[c.r : c.r+n])
			c.r += n
		}
		if err != nil {
			c.refuseHead(err)
			return
		}
		switch ok := c.route(); {
		case c.waiting: // out and head belong to whoever answers
		case !ok || c.head.close:
			return
		default:
			c.shrink()
		}
	}
}

// readHead returns the length of the next head, buffered at c.r.
func (c *conn) readHead() (int, error) {
	for scanned := 0; ; {
		// Empty lines before a request line are skipped: RFC 9112 section 2.2.
		for scanned == 0 && c.r < c.w && (c.buf[c.r] == '\r' || c.buf[c.r] == '\n') {
			c.r++
		}
		if n := headEnd(c.buf[c.r:c.w], max(0, scanned-3)); n >= 0 {
			return n, c.untime()
		}
		scanned = c.w - c.r
		if scanned >= headBytesMax {
			return 0, errHeadTooLarge
		}
		if scanned > 0 {
			if err := c.time(c.s.opts.headTime); err != nil {
				return 0, err
			}
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
}

// fill reads more into the buffer, growing it as needed. Its callers bound
// what may be buffered.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.buf) {
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		} else {
			grown := make([]byte, max(readBufferMin, 2*len(c.buf)))
			copy(grown, c.buf)
			c.buf = grown
		}
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// time sets a read deadline if none is set; untime takes it away. A request that
// comes whole in one read never sets one.
func (c *conn) time(d time.Duration) error {
	if c.timed {
		return nil
	}
	c.timed = true
	return c.nc.SetReadDeadline(time.Now().Add(d))
}

func (c *conn) untime() error {
	if !c.timed {
		return nil
	}
	c.timed = false
	return c.nc.SetReadDeadline(time.Time{})
}

// shrink gives a buffer back that one large head has grown: connections of idle
// environments stay open for long.
func (c *conn) shrink() {
	if len(c.buf) > 16*readBufferMin && c.r == c.w {
		c.buf, c.r, c.w = nil, 0, 0
	}
	if cap(c.out) > 16*readBufferMin {
		c.out = nil
	}
}

// deliver writes inv as the answer of this connection's GET next. When it fails,
// the runtime will ask again, or has gone and Close ends the wait.
func (c *conn) deliver(ctx context.Context, inv *Invocation) {
	defer func() { c.answered <- struct{}{} }()
	err := c.deliverBy(ctx, inv)
	if err != nil || c.head.close {
		c.nc.Close()
	}
}

func (c *conn) deliverBy(ctx context.Context, inv *Invocation) error {
	deadline := time.Now().Add(deliverTimeMax)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.nc.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if len(inv.Payload) > copyMax && ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { c.nc.SetWriteDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	if err := c.writeInvocation(inv); err != nil {
		return err
	}
	return c.nc.SetWriteDeadline(time.Time{})
}

// acknowledge answers the response that this connection has sent.
func (c *conn) acknowledge() {
	defer func() { c.answered <- struct{}{} }()
	if c.nc.SetWriteDeadline(time.Now().Add(acknowledgeTimeMax)) != nil || !c.write(statusAccepted) || c.head.close {
		c.nc.Close()
		return
	}
	_ = c.nc.SetWriteDeadline(time.Time{}) // fails only once it is closed
}

// isTemporary reports whether accepting may work again soon: descriptors or
// buffers ran out, or the peer gave up in the queue.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

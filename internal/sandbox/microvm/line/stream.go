package line

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Port is where a stream leads.
type Port uint16

// Output is the program's stdout and stderr; other ports of a stream that the guest opens are those that
// it listens on. A stream that the host opens leads to a port that the program listens on.
const Output Port = 1

// Dialled is the first byte of a stream that the host opened: it leads to the program. Another is an errno.
const Dialled = 0

// Addr is a stream's address.
func (Port) Network() string  { return "line" }
func (p Port) String() string { return "line" }

// Stream is a net.Conn over the line.
type Stream struct {
	line *Line
	id   uint32
	port Port

	mu       sync.Mutex
	wake     sync.Cond
	buffer   []byte
	owed     int // read here, and not yet given back as credit
	credit   int
	theirEnd bool
	ourEnd   bool
	closed   bool // by this end
	err      error
	read     deadline
	write    deadline
}

type deadline struct {
	timer  *time.Timer
	passed bool
}

func newStream(l *Line, id uint32, port Port) *Stream {
	s := &Stream{line: l, id: id, port: port, credit: Window}
	s.wake.L = &s.mu
	return s
}

// Port tells where the stream leads.
func (s *Stream) Port() Port { return s.port }

// Read implements net.Conn.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	for len(s.buffer) == 0 && !s.theirEnd && s.err == nil && !s.closed && !s.read.passed && len(p) > 0 {
		s.wake.Wait()
	}
	switch {
	case s.read.passed:
		s.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	case s.closed:
		s.mu.Unlock()
		return 0, net.ErrClosed
	case len(s.buffer) == 0 && s.theirEnd:
		s.mu.Unlock()
		return 0, io.EOF
	case len(s.buffer) == 0 && s.err != nil:
		defer s.mu.Unlock()
		return 0, s.err
	}
	n := copy(p, s.buffer)
	s.buffer = s.buffer[n:]
	if len(s.buffer) == 0 {
		s.buffer = nil
	}
	s.owed += n
	give := 0
	if s.owed >= Window/2 && !s.theirEnd && s.err == nil {
		give, s.owed = s.owed, 0
	}
	s.mu.Unlock()
	if give > 0 {
		// A line that broke tells the next call.
		_ = s.line.post(s.id, kindCredit, binary.BigEndian.AppendUint32(nil, uint32(give)))
	}
	return n, nil
}

// Write implements net.Conn.
func (s *Stream) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		s.mu.Lock()
		for s.credit == 0 && s.err == nil && !s.ourEnd && !s.write.passed {
			s.wake.Wait()
		}
		var err error
		switch {
		case s.err != nil:
			err = s.err
		case s.ourEnd:
			err = net.ErrClosed
		case s.write.passed:
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			s.mu.Unlock()
			return written, err
		}
		n := min(len(p), s.credit, PayloadMax)
		s.credit -= n
		s.mu.Unlock()
		if err := s.line.post(s.id, kindData, p[:n]); err != nil {
			return written, err
		}
		written += n
		p = p[n:]
	}
	return written, nil
}

// CloseWrite tells the peer that no more comes.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	if s.ourEnd || s.err != nil {
		s.mu.Unlock()
		return nil
	}
	s.ourEnd = true
	both := s.theirEnd
	s.wake.Broadcast()
	s.mu.Unlock()
	err := s.line.post(s.id, kindEnd, nil)
	if both {
		s.line.forget(s)
	}
	return err
}

// Close implements net.Conn. What was written still arrives; the peer can write no more.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.closed = true
	if s.err != nil {
		s.wake.Broadcast()
		s.mu.Unlock()
		return nil
	}
	s.err = net.ErrClosed
	ended, both := s.ourEnd, s.ourEnd && s.theirEnd
	s.wake.Broadcast()
	s.stopTimers()
	s.mu.Unlock()
	s.line.forget(s)
	if both {
		return nil
	}
	// Order holds: the end comes after the data, and the reset after the end.
	if !ended {
		_ = s.line.post(s.id, kindEnd, nil)
	}
	_ = s.line.post(s.id, kindReset, nil) // a broken line has forgotten it anyway
	return nil
}

func (s *Stream) stopTimers() {
	for _, d := range []*deadline{&s.read, &s.write} {
		if d.timer != nil {
			d.timer.Stop()
		}
	}
}

func (s *Stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.stopTimers()
	s.wake.Broadcast()
}

func (s *Stream) takeData(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.buffer)+len(p) > Window || s.theirEnd {
		return errors.New("line: data beyond the window")
	}
	if s.err == nil {
		s.buffer = append(s.buffer, p...)
		s.wake.Broadcast()
	}
	return nil
}

func (s *Stream) takeCredit(n uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > Window || s.credit+int(n) > Window {
		return errors.New("line: too much credit")
	}
	s.credit += int(n)
	s.wake.Broadcast()
	return nil
}

func (s *Stream) takeEnd() {
	s.mu.Lock()
	s.theirEnd = true
	both := s.ourEnd
	s.wake.Broadcast()
	s.mu.Unlock()
	if both {
		s.line.forget(s)
	}
}

// LocalAddr implements net.Conn.
func (s *Stream) LocalAddr() net.Addr { return s.port }

// RemoteAddr implements net.Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.port }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.set(&s.read, t) }

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.set(&s.write, t) }

func (s *Stream) set(d *deadline, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if t.IsZero() {
		return nil
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		s.wake.Broadcast()
		return nil
	}
	var own *time.Timer
	own = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.timer == own { // not one that was replaced meanwhile
			d.passed = true
			s.wake.Broadcast()
		}
	})
	d.timer = own
	return nil
}

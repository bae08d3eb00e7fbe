// Package line owns the one serial line between the host and a virtual machine:
// frames, the streams that share it, and the control messages. Both ends use it,
// so it must never import the driver, the guest, or anything of the host.
//
// Neither end trusts the other. A stream's sender has only as much credit as
// its receiver has room, so what a peer can make the other hold is bounded; a
// frame that breaks a rule ends the whole line.
package line

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// Bounds of a line.
const (
	PayloadMax = 32 << 10
	// Window is what the receiver of a stream holds at most.
	Window = 64 << 10
	// StreamsMax is how many streams are open at once; one more is reset.
	StreamsMax = 512
	// MessageMax is the longest control message, in parts.
	MessageMax = 1 << 20
	// queueMax bounds what waits to be written: the windows of all streams, and messages.
	queueMax = StreamsMax*Window + 4*MessageMax
	header   = 8
)

// kinds of frames.
const (
	kindOpen    = 'o' // payload: where the stream leads, 2 bytes
	kindData    = 'd'
	kindCredit  = 'c' // payload: how many bytes more, 4 bytes
	kindEnd     = 'e' // no more data comes
	kindReset   = 'r'
	kindPart    = 'p' // of a control message
	kindMessage = 'm' // its last part
)

// ErrBroken is what streams return once the line has ended.
var ErrBroken = errors.New("line: broken")

// Line is one end.
type Line struct {
	conn io.ReadWriteCloser

	mu      sync.Mutex
	wake    sync.Cond // the queue, or whether it is held, has changed
	queue   [][]byte
	queued  int
	writing bool
	held    bool
	err     error
	streams map[uint32]*Stream
	next    uint32
	message []byte

	half     uint32 // of the streams' numbers, for those that this end opens
	opened   func(*Stream)
	received func([]byte)
}

// hostHalf is the host's half of the numbers: each end numbers what it opens by itself.
const hostHalf = 1 << 31

// Options of a line: what to do with what comes. Both are called by Serve in turn
// and must not wait for the line.
type Options struct {
	Opened  func(*Stream)
	Message func([]byte)
	Host    bool // this is the host's end
}

// New makes an end; Serve must run.
func New(conn io.ReadWriteCloser, options Options) *Line {
	l := &Line{conn: conn, streams: map[uint32]*Stream{}, opened: options.Opened, received: options.Message}
	if options.Host {
		l.half = hostHalf
	}
	l.wake.L = &l.mu
	return l
}

// Serve reads until the line ends, and returns why.
func (l *Line) Serve() error {
	go l.write()
	err := l.read()
	l.fail(err)
	return errors.Join(err, l.conn.Close())
}

// Close ends the line.
func (l *Line) Close() error {
	l.fail(ErrBroken)
	return l.conn.Close()
}

func (l *Line) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			l.err = ErrBroken
		}
	}
	streams := l.streams
	l.streams = map[uint32]*Stream{}
	l.wake.Broadcast()
	l.mu.Unlock()
	for _, s := range streams {
		s.fail(ErrBroken)
	}
}

// Reset forgets all streams and what waits to be written, and lets go of a held
// line: a copied machine's peer is another.
func (l *Line) Reset() {
	l.mu.Lock()
	streams := l.streams
	l.streams = map[uint32]*Stream{}
	l.queue, l.queued, l.held = nil, 0, false
	l.wake.Broadcast()
	l.mu.Unlock()
	for _, s := range streams {
		s.fail(ErrBroken)
	}
}

// SendAndHold writes a message, whole, and then nothing more until Reset; what
// others want to write meanwhile waits.
func (l *Line) SendAndHold(message []byte) error {
	if len(message) > PayloadMax {
		return errors.New("line: too long to be the last")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 || l.writing {
		if l.err != nil {
			return l.err
		}
		l.wake.Wait()
	}
	if l.err != nil {
		return l.err
	}
	l.held = true
	_, err := l.conn.Write(frame(0, kindMessage, message))
	return err
}

// Send writes a control message.
func (l *Line) Send(message []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enqueueMessage(message)
}

func (l *Line) enqueueMessage(message []byte) error {
	if len(message) > MessageMax {
		return fmt.Errorf("line: a message of %d bytes, more than %d", len(message), MessageMax)
	}
	for len(message) > PayloadMax {
		if err := l.enqueue(0, kindPart, message[:PayloadMax]); err != nil {
			return err
		}
		message = message[PayloadMax:]
	}
	return l.enqueue(0, kindMessage, message)
}

// enqueue is called with the lock held; the payload is copied.
func (l *Line) enqueue(stream uint32, kind byte, payload []byte) error {
	if l.err != nil {
		return l.err
	}
	if l.queued+header+len(payload) > queueMax {
		return errors.New("line: the peer does not read")
	}
	f := frame(stream, kind, payload)
	l.queue = append(l.queue, f)
	l.queued += len(f)
	l.wake.Broadcast()
	return nil
}

func frame(stream uint32, kind byte, payload []byte) []byte {
	f := make([]byte, header, header+len(payload))
	binary.BigEndian.PutUint32(f, stream)
	binary.BigEndian.PutUint32(f[4:], uint32(len(payload)))
	f[4] = kind
	return append(f, payload...)
}

func (l *Line) post(stream uint32, kind byte, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enqueue(stream, kind, payload)
}

func (l *Line) write() {
	for {
		l.mu.Lock()
		for (len(l.queue) == 0 || l.held) && l.err == nil {
			l.wake.Wait()
		}
		if l.err != nil {
			l.mu.Unlock()
			return
		}
		batch := net.Buffers(l.queue)
		l.queue, l.queued, l.writing = nil, 0, true
		l.mu.Unlock()
		err := writeAll(l.conn, batch)
		l.mu.Lock()
		l.writing = false
		l.wake.Broadcast()
		l.mu.Unlock()
		if err != nil {
			l.fail(err)
			return
		}
	}
}

func writeAll(w io.Writer, frames net.Buffers) error {
	var joined []byte
	for i, f := range frames {
		joined = append(joined, f...)
		if len(joined) < PayloadMax && i < len(frames)-1 {
			continue
		}
		if _, err := w.Write(joined); err != nil {
			return err
		}
		joined = joined[:0]
	}
	return nil
}

func (l *Line) read() error {
	var head [header]byte
	payload := make([]byte, PayloadMax)
	for {
		if _, err := io.ReadFull(l.conn, head[:]); err != nil {
			return err
		}
		kind := head[4]
		n := binary.BigEndian.Uint32(head[4:]) & 0xffffff
		if n > PayloadMax {
			return fmt.Errorf("line: a frame of %d bytes", n)
		}
		if _, err := io.ReadFull(l.conn, payload[:n]); err != nil {
			return err
		}
		if err := l.take(binary.BigEndian.Uint32(head[:]), kind, payload[:n]); err != nil {
			return err
		}
	}
}

func (l *Line) take(id uint32, kind byte, payload []byte) error {
	switch kind {
	case kindPart, kindMessage:
		if id != 0 || len(l.message)+len(payload) > MessageMax {
			return errors.New("line: a message that is too long")
		}
		l.message = append(l.message, payload...)
		if kind == kindMessage {
			message := l.message
			l.message = nil
			l.received(message)
		}
		return nil
	case kindOpen:
		return l.takeOpen(id, payload)
	}
	l.mu.Lock()
	s := l.streams[id]
	l.mu.Unlock()
	if s == nil { // it was reset here while this was on its way
		return nil
	}
	switch kind {
	case kindData:
		return s.takeData(payload)
	case kindCredit:
		if len(payload) != 4 {
			return errors.New("line: no credit")
		}
		return s.takeCredit(binary.BigEndian.Uint32(payload))
	case kindEnd:
		s.takeEnd()
		return nil
	case kindReset:
		l.forget(s)
		s.fail(syscall.ECONNRESET)
		return nil
	}
	return fmt.Errorf("line: a frame of kind %q", kind)
}

func (l *Line) takeOpen(id uint32, payload []byte) error {
	if len(payload) != 2 || l.opened == nil || id == 0 || id&hostHalf == l.half {
		return errors.New("line: a stream that cannot be")
	}
	l.mu.Lock()
	if l.streams[id] != nil {
		l.mu.Unlock()
		return errors.New("line: a stream twice")
	}
	if len(l.streams) >= StreamsMax {
		err := l.enqueue(id, kindReset, nil)
		l.mu.Unlock()
		return err
	}
	s := newStream(l, id, Port(binary.BigEndian.Uint16(payload)))
	l.streams[id] = s
	l.mu.Unlock()
	l.opened(s)
	return nil
}

// Open makes a stream to a port of the peer.
func (l *Line) Open(to Port) (*Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) >= StreamsMax {
		return nil, errors.New("line: too many streams")
	}
	l.next = max(1, (l.next+1)&^hostHalf)
	s := newStream(l, l.half|l.next, to)
	if l.streams[s.id] != nil {
		return nil, errors.New("line: the streams' numbers are used up")
	}
	if err := l.enqueue(s.id, kindOpen, binary.BigEndian.AppendUint16(nil, uint16(to))); err != nil {
		return nil, err
	}
	l.streams[s.id] = s
	return s, nil
}

func (l *Line) forget(s *Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[s.id] == s {
		delete(l.streams, s.id)
	}
}

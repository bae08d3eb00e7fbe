package microvm

import (
	"net"
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// listener gives out the streams that a guest opens to one of its ports.
type listener struct {
	port    line.Port
	streams chan *line.Stream
	closed  chan struct{}
	once    sync.Once
}

// backlogMax is how many streams wait to be accepted; one more is closed.
const backlogMax = 128

func newListener(port line.Port) *listener {
	return &listener{port: port, streams: make(chan *line.Stream, backlogMax), closed: make(chan struct{})}
}

func (l *listener) deliver(s *line.Stream) {
	select {
	case <-l.closed:
		s.Close()
		return
	default:
	}
	select {
	case l.streams <- s:
	default:
		s.Close()
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case s := <-l.streams:
		return s, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.closed)
		err = nil
	})
	for {
		select {
		case s := <-l.streams:
			s.Close()
		default:
			return err
		}
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(l.port)}
}

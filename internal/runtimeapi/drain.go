package runtimeapi

import (
	"context"
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	drainPoll = time.Millisecond
	// drainPollsMin is how long a connection may take that was there when the runtime ended.
	drainPollsMin = 5
	backlogWait   = 100 * time.Millisecond // for a connection that was there and went
)

// Drain waits until every connection has ended and been read to its end, or ctx
// has, and closes the session. Call it when the program has ended: what it sent
// with its last breath (an init error, a response before exit) still counts. With external extensions
// it is the runtime that has ended, and the session is closed for invocations only.
func (s *Session) Drain(ctx context.Context) error {
	if s.processes != nil {
		return s.drainRuntime(ctx)
	}
	s.takeBacklog()
	t := time.NewTicker(drainPoll)
	defer t.Stop()
	for s.connections() > 0 {
		select {
		case <-t.C:
		case <-s.closed:
			return s.Close()
		case <-ctx.Done():
			return s.Close()
		}
	}
	return s.Close()
}

func (s *Session) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// takeBacklog accepts what was connected and not accepted yet: such a connection
// holds bytes, too. It does so in the accepting goroutine's place, since only
// then is an empty backlog proof.
func (s *Session) takeBacklog() {
	l, ok := s.listener.(interface {
		SetDeadline(time.Time) error
		syscall.Conn
	})
	if !ok {
		return
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	s.draining.Store(true)
	if l.SetDeadline(time.Unix(1, 0)) != nil {
		return
	}
	<-s.acceptEnded
	for range connsMax {
		pending := false
		err := raw.Control(func(fd uintptr) {
			n, err := 0, error(unix.EINTR)
			for errors.Is(err, unix.EINTR) {
				n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			}
			pending = err == nil && n > 0
		})
		if err != nil || !pending || l.SetDeadline(time.Now().Add(backlogWait)) != nil {
			return
		}
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.begin(nc)
	}
}

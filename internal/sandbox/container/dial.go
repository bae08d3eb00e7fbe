package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// wanted are the sockets that process 1 was asked for. One that comes when nobody waits any more
// is closed.
type wanted struct {
	serial  int32
	waiting map[int32]chan reply
	over    bool // process 1 has ended
}

// Dial implements sandbox.Dialer: process 1 makes a socket in the sandbox's network, and it is
// connected here.
func (b *box) Dial(ctx context.Context, port int) (net.Conn, error) {
	if err := b.Alive(); err != nil {
		return nil, err
	}
	serial, answer := b.want()
	defer b.unwant(serial, answer)
	if err := b.send(pid1.Socket{Serial: serial}.Encode(), nil); err != nil {
		return nil, b.Told("dial", err)
	}
	select {
	case r, ok := <-answer:
		switch {
		case !ok:
			return nil, b.Told("dial", errors.New("process 1 has ended"))
		case r.Code != 0:
			return nil, errors.Join(fmt.Errorf("container: dial: %w", syscall.Errno(r.Code)), closeAll(r.fds))
		case len(r.fds) != 1:
			return nil, errors.Join(errors.New("container: dial: process 1 sent no socket"), closeAll(r.fds))
		}
		conn, err := isolate.Connect(ctx, r.fds[0], port)
		if err != nil {
			return nil, fmt.Errorf("container: dial: %w", err)
		}
		return conn, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("container: dial: %w", ctx.Err())
	}
}

func (b *box) want() (int32, chan reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := make(chan reply, 1)
	if b.wanted.over {
		close(answer)
		return 0, answer
	}
	if b.wanted.waiting == nil {
		b.wanted.waiting = map[int32]chan reply{}
	}
	b.wanted.serial++
	b.wanted.waiting[b.wanted.serial] = answer
	return b.wanted.serial, answer
}

// unwant gives up waiting; what has come already is closed.
func (b *box) unwant(serial int32, answer chan reply) {
	b.mu.Lock()
	delete(b.wanted.waiting, serial)
	b.mu.Unlock()
	select {
	case r := <-answer:
		_ = closeAll(r.fds)
	default:
	}
}

// provided passes a socket on to whoever waits for it.
func (b *box) provided(r reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := b.wanted.waiting[r.Serial()]
	delete(b.wanted.waiting, r.Serial())
	if answer == nil {
		_ = closeAll(r.fds)
		return
	}
	answer <- r
}

// provideNone ends the waiting: process 1 has ended.
func (b *box) provideNone() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, answer := range b.wanted.waiting {
		close(answer)
	}
	b.wanted.waiting, b.wanted.over = nil, true
}

func closeAll(fds []int) error {
	var errs []error
	for _, fd := range fds {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

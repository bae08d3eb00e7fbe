package microvm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

var _ sandbox.Dialer = (*box)(nil)

// Dial implements sandbox.Dialer: the guest connects, and the line carries it.
func (b *box) Dial(ctx context.Context, port int) (net.Conn, error) {
	l, err := b.alive()
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, errors.New("microvm: dial: no machine yet")
	}
	s, err := l.line.Open(line.Port(port))
	if err != nil {
		return nil, b.Told("dial", err)
	}
	stop := context.AfterFunc(ctx, func() { s.SetReadDeadline(time.Unix(1, 0)) })
	var answer [1]byte
	_, err = s.Read(answer[:])
	switch {
	case !stop():
		err = ctx.Err()
	case err == nil && answer[0] != line.Dialled:
		err = syscall.Errno(answer[0])
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("microvm: dial: %w", err)
	}
	return s, nil
}

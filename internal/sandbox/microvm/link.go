package microvm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// link is a machine and the line to it.
type link struct {
	machine machine
	line    *line.Line
	replies chan line.Reply
	memory  *os.File // its own, if it has one

	calls    sync.Mutex // one at a time
	freezing sync.Mutex
}

// guestEvents is told what a guest does by itself.
type guestEvents struct {
	opened func(*line.Stream)
	exited func(line.Exit)
}

func newLink(m machine, events guestEvents) *link {
	l := &link{machine: m, replies: make(chan line.Reply, 2)}
	l.line = line.New(m.serial(), line.Options{
		Host: true,
		Opened: func(s *line.Stream) {
			if events.opened == nil {
				s.Close()
				return
			}
			events.opened(s)
		},
		Message: func(p []byte) {
			r, err := line.DecodeReply(p)
			if err != nil {
				m.kill()
				return
			}
			if r.Exited != nil {
				if events.exited != nil {
					events.exited(*r.Exited)
				}
				return
			}
			select {
			case l.replies <- r:
			default: // nobody asked so much: the guest is not ours any more
				m.kill()
			}
		},
	})
	go func() {
		// A line that breaks is the end of the machine, and the other way round.
		_ = l.line.Serve()
		m.kill()
	}()
	return l
}

// await takes the next reply.
func (l *link) await(ctx context.Context) (line.Reply, error) {
	select {
	case r := <-l.replies:
		return r, nil
	case <-l.machine.ended():
		return line.Reply{}, fmt.Errorf("microvm: %w\n%s", errMachineEnded, l.machine.said())
	case <-ctx.Done():
		return line.Reply{}, fmt.Errorf("microvm: the guest does not answer: %w\n%s", ctx.Err(), l.machine.said())
	}
}

// call asks the guest. If it does not answer in time its machine is ended: a
// late answer would be taken for another's.
func (l *link) call(ctx context.Context, r line.Request) (line.Reply, error) {
	return l.ask(ctx, line.Encode(r))
}

func (l *link) ask(ctx context.Context, message []byte) (line.Reply, error) {
	l.calls.Lock()
	defer l.calls.Unlock()
	if err := l.line.Send(message); err != nil {
		return line.Reply{}, fmt.Errorf("microvm: %w", err)
	}
	reply, err := l.await(ctx)
	if err != nil {
		l.machine.kill()
		return reply, err
	}
	if reply.Error != "" {
		return reply, &guestError{reply}
	}
	return reply, nil
}

// guestError is what the guest could not do.
type guestError struct{ reply line.Reply }

func (e *guestError) Error() string { return "microvm: guest: " + e.reply.Error }
func (e *guestError) Unwrap() error {
	if e.reply.Errno != 0 {
		return syscall.Errno(e.reply.Errno)
	}
	return nil
}

// refused turns the guest's refusal of a program into the contract's error.
func refused(err error, path string) error {
	var g *guestError
	if errors.As(err, &g) && g.reply.Exec {
		return &sandbox.ExecError{Path: path, Err: syscall.Errno(g.reply.Errno)}
	}
	return err
}

// end kills the machine and waits until nothing is left of it.
func (l *link) end() {
	l.machine.kill()
	<-l.machine.ended()
	// The line's reader ends with the machine.
	_ = l.line.Close()
	_ = closeFile(l.memory)
}

// renew makes a copied guest its own. A program in it gets these limits.
func (l *link) renew(ctx context.Context, program *line.Limits) error {
	r := line.Renew{Now: time.Now()}
	if program != nil {
		r.Again, r.Limits = true, *program
	}
	if _, err := rand.Read(r.Entropy[:]); err != nil {
		return fmt.Errorf("microvm: %w", err)
	}
	_, err := l.ask(ctx, r.Encode())
	return err
}

// bootOnce boots a machine and waits until its guest is ready.
func bootOnce(ctx context.Context, m monitor, c config, events guestEvents) (*link, error) {
	machine, err := m.boot(ctx, c)
	if err != nil {
		return nil, errors.Join(err, closeFile(c.memory))
	}
	l := newLink(machine, events)
	l.memory = c.memory
	r, err := l.await(ctx)
	if err == nil && !r.Ready {
		err = fmt.Errorf("microvm: the guest said %+v", r)
	}
	if err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

// Bounds of a machine's ways, of time in which it could run. Without virtualisation they take seconds.
const (
	bootMax   = 30 * time.Second
	bootTries = 4
	resumeMax = 15 * time.Second
	saveMax   = 30 * time.Second
)

// watched tries again where a machine hangs: the first watchdog's bite is early.
func watched[T any](ctx context.Context, limit time.Duration, tries int, try func(context.Context) (T, error)) (T, error) {
	var errs []error
	for range tries {
		attempt, cancel := watch(ctx, limit, nil)
		v, err := try(attempt)
		cancel()
		if err == nil {
			return v, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	var none T
	return none, errors.Join(errs...)
}

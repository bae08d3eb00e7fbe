package isolate

import (
	"context"
	"fmt"
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Life is what every sandbox has: a name, and an end that comes once.
type Life struct {
	driver string
	id     sandbox.ID
	mu     *sync.Mutex
	ending chan struct{} // non-nil once Destroy began; closed when it ended
	err    error
}

// NewLife begins one. The mutex is the one that guards the sandbox's state, so that
// whoever holds it knows that the end does not begin meanwhile.
func NewLife(driver string, id sandbox.ID, mu *sync.Mutex) Life {
	return Life{driver: driver, id: id, mu: mu}
}

// ID implements sandbox.Sandbox.
func (l *Life) ID() sandbox.ID { return l.id }

// Over tells whether Destroy began. The caller holds the mutex.
func (l *Life) Over() bool { return l.ending != nil }

// Alive returns ErrDestroyed once Destroy began.
func (l *Life) Alive() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Over() {
		return fmt.Errorf("%s: %s: %w", l.driver, l.id, sandbox.ErrDestroyed)
	}
	return nil
}

// Told names the sandbox in an error. One that happened because Destroy came in between
// is ErrDestroyed.
func (l *Life) Told(step string, err error) error {
	if err == nil {
		return nil
	}
	if gone := l.Alive(); gone != nil {
		return gone
	}
	return fmt.Errorf("%s: %s %s: %w", l.driver, step, l.id, err)
}

// End takes the sandbox apart, once. Whoever calls second waits for the first. takeApart gets
// no context: a sandbox half destroyed is what nobody wants.
func (l *Life) End(ctx context.Context, takeApart func() error) error {
	l.mu.Lock()
	if ending := l.ending; ending != nil {
		l.mu.Unlock()
		select {
		case <-ending:
			return l.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ending := make(chan struct{})
	l.ending = ending
	l.mu.Unlock()
	if err := takeApart(); err != nil {
		l.err = fmt.Errorf("%s: destroy %s: %w", l.driver, l.id, err)
	}
	close(ending)
	return l.err
}

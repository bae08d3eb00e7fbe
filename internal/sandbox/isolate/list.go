package isolate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
)

// idForm is what can safely name a directory.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// List is the sandboxes of one driver, B being its kind, and bounds how many are made
// at once.
type List[B sandbox.Sandbox] struct {
	making chan struct{} // a token for each sandbox being made

	mu     sync.Mutex
	all    map[sandbox.ID]B
	closed bool
}

// NewList makes so many sandboxes at once for each processor: making one is mostly work
// of a processor, and more at a time only make all of them slower.
func NewList[B sandbox.Sandbox](perCPU int) *List[B] {
	return &List[B]{making: make(chan struct{}, perCPU*runtime.NumCPU()), all: map[sandbox.ID]B{}}
}

// Making waits until one more sandbox may be made; the caller calls made when it is, or
// when it failed.
func (l *List[B]) Making(ctx context.Context) (made func(), err error) {
	select {
	case l.making <- struct{}{}:
		return func() { <-l.making }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Add takes an id, which must be free and able to name a file.
func (l *List[B]) Add(id sandbox.ID, b B) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, exists := l.all[id]
	switch {
	case !idForm.MatchString(string(id)):
		return fmt.Errorf("%q cannot name a sandbox", id)
	case l.closed:
		return fmt.Errorf("driver closed: %w", sandbox.ErrDestroyed)
	case exists:
		return fmt.Errorf("sandbox %q exists", id)
	}
	l.all[id] = b
	return nil
}

// Remove forgets a sandbox that is gone.
func (l *List[B]) Remove(id sandbox.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, id)
}

// Has tells whether a sandbox of that name is there.
func (l *List[B]) Has(id sandbox.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, there := l.all[id]
	return there
}

// Close destroys all sandboxes and admits no more. Only the first call does; it tells so.
func (l *List[B]) Close() (first bool, err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false, nil
	}
	l.closed = true
	boxes := make([]B, 0, len(l.all))
	for _, b := range l.all {
		boxes = append(boxes, b)
	}
	l.mu.Unlock()
	// Whoever holds a token is still making a sandbox, and will see that the driver is closed.
	for range cap(l.making) {
		l.making <- struct{}{}
	}
	for range cap(l.making) { // and who waited for one learns it too
		<-l.making
	}
	errs := make([]error, len(boxes))
	var wait sync.WaitGroup
	for i, b := range boxes {
		wait.Go(func() { errs[i] = b.Destroy(context.Background()) })
	}
	wait.Wait()
	return true, errors.Join(errs...)
}

// Reap ends what is in the control groups that an earlier process of this node left
// behind, and removes them: all but those whose names are alive.
func Reap(ctx context.Context, groups *cgroup.Parent, alive func(id string) bool) (reaped int, err error) {
	orphans, err := groups.Orphans()
	if err != nil {
		return 0, fmt.Errorf("reap: %w", err)
	}
	var errs []error
	for id, group := range orphans {
		if alive(id) {
			continue
		}
		err := group.Kill(ctx)
		if err == nil {
			err = group.Remove()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reap %s: %w", id, err))
			continue
		}
		reaped++
	}
	return reaped, errors.Join(errs...)
}

// Abandon removes the control groups of a driver that could not be opened, unless an
// earlier process of this node has left sandboxes in them, which only Reap may end.
func Abandon(groups *cgroup.Parent) error {
	if groups == nil {
		return nil
	}
	if orphans, err := groups.Orphans(); err != nil || len(orphans) > 0 {
		return nil
	}
	return groups.Remove()
}

package lambda

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

const (
	// settleParallel writers share the store's flushes.
	settleParallel = 8
	// settleRetry is how long a function waits after the store refused to settle it.
	settleRetry = time.Second
)

// The reason codes of a function that cannot run here. Source: the model's StateReasonCode.
const (
	codeInvalidRuntime       = "InvalidRuntime"
	codeInvalidConfiguration = "InvalidConfiguration"
)

// settler is the line of resources that wait to become what they were asked to be: functions
// Active or Failed, say. A resource is in it once, so it is never longer than their list.
type settler[K comparable] struct {
	after time.Duration

	mu      sync.Mutex
	line    []waiting[K] // in the order of due
	waiting map[K]bool
	wake    chan struct{} // holds a token while the line may have grown
}

type waiting[K comparable] struct {
	key K
	due time.Time
}

func newSettler[K comparable](after time.Duration) *settler[K] {
	return &settler[K]{after: after, waiting: map[K]bool{}, wake: make(chan struct{}, 1)}
}

// add puts a resource at the end of the line.
func (s *settler[K]) add(key K, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[key] {
		return
	}
	s.waiting[key] = true
	s.line = append(s.line, waiting[K]{key, due})
	s.ring()
}

// run settles what is due until ctx ends; what settle could not do waits again.
func (s *settler[K]) run(ctx context.Context, settle func(context.Context, K) error, failed func(K, error)) {
	for {
		key, wait, ok := s.take(time.Now())
		if ok {
			if err := settle(ctx, key); err != nil && ctx.Err() == nil {
				failed(key, err)
				s.add(key, time.Now().Add(settleRetry))
			}
			continue
		}
		var due <-chan time.Time
		if wait >= 0 {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-due:
		}
	}
}

func (s *settler[K]) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns the first resource that is due, or how long to wait for it; a
// negative wait means that the line is empty.
func (s *settler[K]) take(now time.Time) (key K, wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.line) == 0 {
		return key, -1, false
	}
	first := s.line[0]
	if wait := first.due.Sub(now); wait > 0 {
		return key, wait, false
	}
	s.line = s.line[1:]
	delete(s.waiting, first.key)
	if len(s.line) > 0 {
		s.ring()
	}
	return first.key, 0, true
}

// noticeChange is called by the view for every change on any node: each node
// settles everything, and the first write wins.
func (c *Control) noticeChange(ch record.Change) {
	f := ch.After
	if f == nil {
		return
	}
	// A function that failed for want of a runtime is tried again when the process starts,
	// because the runtime may have been added since.
	again := ch.Before == nil && f.State == record.StateFailed && f.StateReasonCode == codeInvalidRuntime
	if unsettled(f) || again || f.Environment != nil {
		line := c.settler
		if f.Image != nil {
			line = c.pulls // so that no other function waits for an image
		}
		line.add(record.Name{ID: ch.ID, Qualifier: ch.Version}, time.Now().Add(c.settler.after))
	}
}

func unsettled(f *record.Function) bool {
	return f.State == record.StatePending || f.Update == record.UpdateInProgress
}

func (c *Control) settleLoop(ctx context.Context, line *settler[record.Name]) {
	line.run(ctx, c.settle, func(n record.Name, err error) {
		c.log.Warn("a function could not be settled and waits again", "function", n.ARN(), "error", err)
	})
}

// settle ends what a create or an update began. A function that is gone, or that
// another node settled first, is none of our business any more.
func (c *Control) settle(ctx context.Context, n record.Name) error {
	for range commitAttemptsMax {
		stored, err := c.table.Get(ctx, n.ID, n.Qualifier)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		f := stored.Clone()
		plain := f.Environment != nil
		if err := c.seal(f); err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if !c.settleFunction(ctx, f) && !plain {
			return nil
		}
		write, err := record.PutFunction(f, store.IfRevision(stored.Revision))
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		_, err = c.table.Commit(ctx, write)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("settle: %w", err)
		}
	}
	return fmt.Errorf("settle: %d attempts lost to other writers", commitAttemptsMax)
}

// settleFunction decides what a function becomes, and reports whether that is news.
func (c *Control) settleFunction(ctx context.Context, f *record.Function) bool {
	before := f.Clone()
	reason, code := "", ""
	if f.Image != nil {
		reason, code = c.settleImage(ctx, f)
	} else if err := c.resolveRuntime(ctx, f); err != nil {
		reason, code = err.Error(), codeInvalidRuntime
		if errors.Is(err, runtimes.ErrWrongArchitecture) {
			code = codeInvalidConfiguration
		}
	}
	// An update that fails leaves the function's state as it was; a create that
	// fails makes it Failed.
	switch {
	case code == "" && f.AwaitsSnapshot():
		// Whoever makes the snapshot says what becomes of the version.
	case code == "":
		f.State, f.StateReason, f.StateReasonCode = record.StateActive, "", ""
		f.Update, f.UpdateReason, f.UpdateReasonCode = record.UpdateSuccessful, "", ""
	case f.Update == record.UpdateInProgress && f.State == record.StateActive:
		f.Update, f.UpdateReason, f.UpdateReasonCode = record.UpdateFailed, reason, code
	default:
		f.State, f.StateReason, f.StateReasonCode = record.StateFailed, reason, code
		f.Update, f.UpdateReason, f.UpdateReasonCode = record.UpdateFailed, reason, code
	}
	if f.State == before.State && f.StateReason == before.StateReason && f.Update == before.Update && f.UpdateReason == before.UpdateReason {
		return false
	}
	// A published version keeps its revision when it becomes Active (AWS; $LATEST does not).
	if f.Version == record.Latest {
		revise(f)
	}
	return true
}

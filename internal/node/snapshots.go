package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/worker"
)

const (
	// snapshotsAtOnce bounds INIT phases that nobody waits for.
	snapshotsAtOnce = 2
	// snapshotAttempts is how often a host that fails is asked before the version is given up.
	snapshotAttempts = 3
	snapshotRetry    = time.Second
	// snapshotWriteMax bounds a write that an environment's start waits for.
	snapshotWriteMax = 2 * time.Second
	// snapshotsRemade bounds the versions whose snapshot is made again when lambdad starts. That of any
	// other is made when its first environment is wanted.
	snapshotsRemade = 64
)

// The StateReasonCode of versions whose snapshot was not made. Source: Lambda API,
// FunctionConfiguration.
const (
	codeInternalError     = "InternalError"
	codeInitTimeout       = "FunctionError.InitTimeout"
	codeRuntimeInitError  = "FunctionError.RuntimeInitError"
	codeInvalidEntryPoint = "FunctionError.InvalidEntryPoint"
	codeResourceExhausted = "FunctionError.InitResourceExhausted"
	codeFunctionError     = "FunctionError"
)

// snapshotter makes the snapshots of published versions that ask for them, and writes down
// what came of each: it stands between the records and the worker, which know nothing of each other.
type snapshotter struct {
	functions *record.Functions
	table     *record.Table
	// make runs a version's INIT and makes its snapshot.
	make func(context.Context, *record.Function) (record.SnapshotOutcome, error)
	// again makes it again for one that had it, without a log: nobody waits for that.
	again func(context.Context, *record.Function) error
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	waiting map[record.Name]bool // as many as there are such versions
	remade  int
}

func newSnapshotter(functions *record.Functions, table *record.Table, log *slog.Logger, make_ func(context.Context, *record.Function) (record.SnapshotOutcome, error), again func(context.Context, *record.Function) error) *snapshotter {
	return &snapshotter{functions: functions, table: table, make: make_, again: again, log: log, wake: make(chan struct{}, snapshotsAtOnce), waiting: map[record.Name]bool{}}
}

// functionChanged is for record.Functions.Subscribe; it does not wait.
func (s *snapshotter) functionChanged(c record.Change) {
	if c.After == nil {
		return
	}
	// A version that was Active before lambdad started had its snapshot in an earlier process.
	again := c.Before == nil && hadSnapshot(c.After)
	if !again && !c.After.AwaitsSnapshot() {
		return
	}
	s.mu.Lock()
	if again {
		s.remade++
	}
	if !again || s.remade <= snapshotsRemade {
		s.waiting[record.Name{ID: c.ID, Qualifier: c.Version}] = true
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func hadSnapshot(f *record.Function) bool { return f.Snapshotted() && f.State == record.StateActive }

// run makes snapshots until ctx ends.
func (s *snapshotter) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for range snapshotsAtOnce {
		all.Go(func() {
			for {
				if n, ok := s.next(); ok {
					s.serve(ctx, n)
					continue
				}
				select {
				case <-ctx.Done():
					return
				case <-s.wake:
				}
			}
		})
	}
	<-ctx.Done()
	return nil
}

func (s *snapshotter) next() (record.Name, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.waiting {
		delete(s.waiting, n)
		if len(s.waiting) > 0 {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
		return n, true
	}
	return record.Name{}, false
}

func (s *snapshotter) serve(ctx context.Context, n record.Name) {
	for attempt := 1; ; attempt++ {
		fn, ok := s.functions.Function(n.ID, n.Qualifier)
		if !ok || ctx.Err() != nil {
			return
		}
		if !fn.AwaitsSnapshot() {
			if hadSnapshot(fn) {
				s.remake(ctx, fn)
			}
			return
		}
		outcome, err := s.make(ctx, fn)
		if err == nil || attempt == snapshotAttempts {
			if err != nil {
				s.log.Error("the snapshot of a version could not be made", "function", n.ARN(), "error", err)
				outcome = record.SnapshotOutcome{ReasonCode: codeInternalError, Reason: "The snapshot could not be made; the operator finds the reason in lambdad's log."}
			}
			if err = s.table.EndSnapshot(ctx, n.ID, n.Qualifier, outcome); err == nil {
				return
			}
			attempt--
			s.log.Warn("what came of a snapshot was not written and is tried again", "function", n.ARN(), "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(snapshotRetry):
		}
	}
}

// remake makes the snapshot of an Active version again, and writes down whether it is there: also
// one that could not be made before may be possible now.
func (s *snapshotter) remake(ctx context.Context, fn *record.Function) {
	there := fn.Clone()
	there.SnapStart.Optimized = true
	why := s.again(ctx, there)
	if ctx.Err() != nil {
		return
	}
	if why != nil {
		s.log.Warn("a version with SnapStart starts on demand: its snapshot could not be made again", "function", fn.ID.QualifiedARN(fn.Version), "why", why)
	}
	s.keep(ctx, fn, why == nil)
}

// lost is told by the worker that a version's environments start without its snapshot.
func (s *snapshotter) lost(fn *record.Function, why error) {
	s.log.Warn("a version with SnapStart starts on demand: its snapshot could not be made again", "function", fn.ID.QualifiedARN(fn.Version), "why", why)
	s.keep(context.Background(), fn, false)
}

// keep writes down whether a version has its snapshot.
func (s *snapshotter) keep(ctx context.Context, fn *record.Function, there bool) {
	if current, ok := s.functions.Function(fn.ID, fn.Version); !ok || current.SnapStart.Optimized == there {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotWriteMax)
	defer cancel()
	if err := s.table.KeepSnapshot(ctx, fn.ID, fn.Version, there); err != nil {
		s.log.Warn("whether a version has its snapshot was not written", "function", fn.ID.QualifiedARN(fn.Version), "error", err)
	}
}

// makeSnapshot runs a version's INIT and makes what later environments start from, where the
// runtime and the isolation allow that. Where they do not the version is Active without it.
func (n *node) makeSnapshot(ctx context.Context, fn *record.Function) (record.SnapshotOutcome, error) {
	o, err := n.worker.Snapshot(ctx, worker.StartSpec{Function: fn, Isolation: n.isolation.of(fn)})
	switch {
	case err != nil:
		return record.SnapshotOutcome{}, err
	case o.InitFailed:
		return snapshotFailure(o.Status, o.ErrorType), nil
	case o.Without != nil:
		n.log.Warn("a version asks for SnapStart and starts on demand: no snapshot could be made", "function", fn.ID.QualifiedARN(fn.Version), "why", o.Without)
		return record.SnapshotOutcome{Without: true}, nil
	}
	return record.SnapshotOutcome{}, nil
}

func snapshotFailure(status, errorType string) record.SnapshotOutcome {
	switch {
	case status == worker.StatusTimeout:
		return record.SnapshotOutcome{ReasonCode: codeInitTimeout, Reason: "The function's initialization took longer than it may."}
	case errorType == "Runtime.InvalidEntrypoint":
		return record.SnapshotOutcome{ReasonCode: codeInvalidEntryPoint, Reason: "The function's entry point could not be started."}
	case errorType == "Runtime.OutOfMemory":
		return record.SnapshotOutcome{ReasonCode: codeResourceExhausted, Reason: "The function's initialization needed more memory than it has."}
	case status == worker.StatusError:
		return record.SnapshotOutcome{ReasonCode: codeRuntimeInitError, Reason: "The function's initialization failed with " + errorType + "."}
	default:
		return record.SnapshotOutcome{ReasonCode: codeFunctionError, Reason: "The function's initialization failed with " + errorType + "."}
	}
}

func (n *node) remakeSnapshot(ctx context.Context, fn *record.Function) error {
	return n.worker.Remake(ctx, worker.StartSpec{Function: fn, Isolation: n.isolation.of(fn)})
}

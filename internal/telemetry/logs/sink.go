package logs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/telemetry"
)

// Bounds of what waits to be written: full, Append waits for the next batch, so a flood slows its own
// function. It takes no memory from the others, and, as a full stream makes no batch come earlier, only
// so much of the store: streamPendingBytesMax in FlushEvery.
const (
	streamPendingBytesMax = 512 << 10
	pendingBytesMax       = 64 << 20
	// eventOverheadBytes is counted for each event beside its message.
	eventOverheadBytes = 64
)

const (
	// retryAfter is how long the writer waits when the store refused.
	retryAfter = 200 * time.Millisecond
	// commitBytesMax and commitStreamsMax are how much one commit takes.
	commitBytesMax   = 4 << 20
	commitStreamsMax = 64
	// streamEventsMax of one stream go into one commit: even if each took a
	// chunk of its own, for every subscription, the commit would be within the store's bound.
	streamEventsMax = (store.CommitWritesMax - 1) / (1 + SubscriptionsMax)
	// idleStreamsMax is how many streams the writer remembers between batches.
	idleStreamsMax = 4096
)

// sink is the queue between Append and the store.
type sink struct {
	logs  *Logs
	every time.Duration
	wake  chan struct{} // something waits
	now   chan struct{} // somebody waits for it to be durable

	mu       sync.Mutex
	closed   bool
	pending  map[telemetry.LogStreamID]*pendingStream
	bytes    int
	appended uint64        // events ever appended
	durable  uint64        // of them, the first so many are durable
	progress chan struct{} // closed when durable or bytes move

	known map[telemetry.LogStreamID]knownStream // used by run only
}

type pendingStream struct {
	events []Event
	bytes  int
}

// knownStream is a stream as the writer left it.
type knownStream struct {
	group    Group
	stream   Stream
	revision store.Revision
	written  int // events of the batch on its way
}

// drop forgets the first n events and returns their size.
func (p *pendingStream) drop(n int) (bytes int) {
	for _, e := range p.events[:n] {
		bytes += len(e.Message) + eventOverheadBytes
	}
	p.events = p.events[n:]
	p.bytes -= bytes
	return bytes
}

func newSink(l *Logs, every time.Duration) *sink {
	return &sink{
		logs:     l,
		every:    every,
		wake:     make(chan struct{}, 1),
		now:      make(chan struct{}, 1),
		pending:  make(map[telemetry.LogStreamID]*pendingStream),
		progress: make(chan struct{}),
		known:    make(map[telemetry.LogStreamID]knownStream),
	}
}

func (s *sink) add(ctx context.Context, id telemetry.LogStreamID, e Event) error {
	size := len(e.Message) + eventOverheadBytes
	s.mu.Lock()
	for {
		if s.closed {
			s.mu.Unlock()
			return ErrClosed
		}
		p := s.pending[id]
		if s.bytes+size <= pendingBytesMax && (p == nil || p.bytes+size <= streamPendingBytesMax) {
			break
		}
		progress := s.progress
		s.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("log queue is full: %w", ctx.Err())
		}
		s.mu.Lock()
	}
	p := s.pending[id]
	if p == nil {
		p = &pendingStream{}
		s.pending[id] = p
	}
	p.events = append(p.events, e)
	p.bytes += size
	s.bytes += size
	s.appended++
	s.mu.Unlock()
	signal(s.wake)
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *sink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.moved()
}

// moved tells those who wait; the caller holds s.mu.
func (s *sink) moved() {
	close(s.progress)
	s.progress = make(chan struct{})
}

// run writes what waits, at most once every s.every unless somebody needs it now.
func (s *sink) run(ctx context.Context) {
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-s.now:
		case <-time.After(s.every):
		}
		s.mu.Lock()
		taken, upTo := s.pending, s.appended
		s.pending = make(map[telemetry.LogStreamID]*pendingStream)
		s.mu.Unlock()
		for len(taken) > 0 {
			err := s.writeSome(ctx, taken)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				if !waiting { // told once, not at every attempt: the disk that is full may be this log's own
					s.logs.log.Error("function logs wait for the store", "error", err)
				}
				waiting = true
				select {
				case <-ctx.Done():
					return
				case <-time.After(retryAfter):
				}
				continue
			}
			if waiting {
				s.logs.log.Info("function logs are written again")
			}
			waiting = false
		}
		s.mu.Lock()
		s.durable = upTo
		s.moved()
		s.mu.Unlock()
	}
}

// writeSome writes a commit's worth of streams and takes them out of taken.
func (s *sink) writeSome(ctx context.Context, taken map[telemetry.LogStreamID]*pendingStream) error {
	var writes []store.Write
	after := make(map[telemetry.LogStreamID]knownStream)
	bytes := 0
	for id, p := range taken {
		k, err := s.open(ctx, id)
		if err != nil {
			return err
		}
		events := p.events[:min(len(p.events), streamEventsMax)]
		batch, st, err := s.logs.batch(ctx, Scope{Account: id.Account, Region: id.Region}, k.group, k.stream, k.revision, events)
		if err != nil {
			return err
		}
		if len(after) > 0 && (bytes+p.bytes > commitBytesMax || len(writes)+len(batch) > store.CommitWritesMax) {
			break
		}
		writes = append(writes, batch...)
		bytes += p.bytes
		k.stream, k.written = st, len(events)
		after[id] = k
		if len(after) >= commitStreamsMax {
			break
		}
	}
	revision, err := s.logs.store.Commit(ctx, writes...)
	if errors.Is(err, store.ErrConflict) {
		// Somebody else wrote or deleted one of them: look at them again.
		for id := range after {
			delete(s.known, id)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("write log events: %w", err)
	}
	s.logs.written(writes)
	s.mu.Lock()
	for id, k := range after {
		if s.bytes -= taken[id].drop(k.written); len(taken[id].events) == 0 {
			delete(taken, id)
		}
		k.revision = revision
		s.known[id] = k
	}
	s.moved()
	s.mu.Unlock()
	for id := range s.known {
		if len(s.known) <= idleStreamsMax {
			break
		}
		delete(s.known, id)
	}
	return nil
}

// open finds the stream, and makes it and its group if need be.
func (s *sink) open(ctx context.Context, id telemetry.LogStreamID) (knownStream, error) {
	if k, ok := s.known[id]; ok {
		return k, nil
	}
	scope := Scope{Account: id.Account, Region: id.Region}
	for range conflictRetriesMax {
		g, err := s.logs.Group(ctx, scope, id.Group)
		if errors.Is(err, ErrGroupNotFound) {
			err = s.logs.CreateGroup(ctx, scope, Group{Name: id.Group, Class: ClassStandard})
			if err == nil || errors.Is(err, ErrGroupExists) {
				continue
			}
		}
		if err != nil {
			return knownStream{}, err
		}
		st, r, err := s.logs.stream(ctx, g, id.Stream)
		if errors.Is(err, ErrStreamNotFound) {
			err = s.logs.CreateStream(ctx, scope, id.Group, id.Stream)
			if err == nil || errors.Is(err, ErrStreamExists) || errors.Is(err, ErrGroupNotFound) {
				continue
			}
		}
		if err != nil {
			return knownStream{}, err
		}
		k := knownStream{group: g, stream: st, revision: r}
		s.known[id] = k
		return k, nil
	}
	return knownStream{}, fmt.Errorf("log stream %s %s: %w", id.Group, id.Stream, ErrBusy)
}

// ClassStandard is the class of groups that nobody asked otherwise for.
const ClassStandard = "STANDARD"

// Package notify owns how a store tells others that something happened: Hub
// hands committed changes to watches, Bells ring the Ready channels of queues.
// The implementations of store share it. It must never import one of them, nor
// any room but store: it moves changes and knows nothing of where they rest.
package notify

import (
	"context"
	"strings"
	"sync"

	"github.com/lambdad/lambdad/internal/store"
)

// A watch that is further behind than either bound has its channel closed, as
// the contract of store.Records.Watch says.
const (
	BehindChangesMax = 1 << 14
	BehindBytesMax   = 64 << 20
)

// watchChannelSize lets a consumer take a burst without a switch a change.
const watchChannelSize = 64

// Hub hands each published change to the watches whose prefix it has.
type Hub struct {
	running sync.WaitGroup

	mu      sync.Mutex
	watches map[*Watch]struct{}
	closed  bool
}

// NewHub makes a hub without watches.
func NewHub() *Hub { return &Hub{watches: make(map[*Watch]struct{})} }

// Watch is one subscription, from Join until Run returns.
type Watch struct {
	hub    *Hub
	prefix string
	out    chan store.Change
	wake   chan struct{}
	ended  chan struct{} // closed when the watch fell behind or the hub closed

	// guarded by hub.mu
	pending      []store.Change
	pendingBytes int
	over         bool
}

// Join makes a watch that gets every change published after the call; the
// caller must hold whatever lock orders its Publish calls, so that it knows
// which revision that is, and must then call Run or Abandon. ok is false after Close.
func (h *Hub) Join(prefix string) (w *Watch, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false
	}
	w = &Watch{
		hub:    h,
		prefix: prefix,
		out:    make(chan store.Change, watchChannelSize),
		wake:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
	}
	h.watches[w] = struct{}{}
	h.running.Add(1)
	return w, true
}

// Publish hands changes, in commit order, to the watches. It never blocks on a
// consumer.
func (h *Hub) Publish(changes []store.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches {
		w.offer(changes)
	}
}

// Close ends all watches and returns when none runs any more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for w := range h.watches {
		w.end()
	}
	h.mu.Unlock()
	h.running.Wait()
}

// Changes is the channel that Run sends to and closes.
func (w *Watch) Changes() <-chan store.Change { return w.out }

// Abandon ends a watch whose Run will not be called.
func (w *Watch) Abandon() {
	w.leave()
	w.hub.running.Done()
}

// Run sends what replay yields (older than the Join, any prefix) and then what
// is published, until ctx ends, the consumer falls too far behind, replay
// fails or the hub closes; then it closes the channel. replay stops when yield
// returns false.
func (w *Watch) Run(ctx context.Context, replay func(yield func(store.Change) bool) error) {
	defer w.hub.running.Done()
	defer close(w.out)
	defer w.leave()
	if replay != nil {
		going := true
		err := replay(func(c store.Change) bool {
			going = w.send(ctx, c)
			return going
		})
		if err != nil || !going {
			return
		}
	}
	for {
		for _, c := range w.take() {
			if !w.send(ctx, c) {
				return
			}
		}
		select {
		case <-w.wake:
		case <-w.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (w *Watch) send(ctx context.Context, c store.Change) bool {
	if !strings.HasPrefix(c.Record.Key, w.prefix) {
		return true
	}
	select {
	case w.out <- c:
		return true
	case <-w.ended:
	case <-ctx.Done():
	}
	return false
}

// offer queues the matching changes; the caller holds hub.mu.
func (w *Watch) offer(changes []store.Change) {
	if w.over {
		return
	}
	matched := false
	for _, c := range changes {
		if !strings.HasPrefix(c.Record.Key, w.prefix) {
			continue
		}
		matched = true
		w.pending = append(w.pending, c)
		w.pendingBytes += len(c.Record.Key) + len(c.Record.Value)
	}
	if len(w.pending) > BehindChangesMax || w.pendingBytes > BehindBytesMax {
		w.end()
		return
	}
	if matched {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// end stops the watch; the caller holds hub.mu.
func (w *Watch) end() {
	if !w.over {
		w.over = true
		w.pending = nil
		close(w.ended)
	}
}

func (w *Watch) take() []store.Change {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	batch := w.pending
	w.pending, w.pendingBytes = nil, 0
	return batch
}

func (w *Watch) leave() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	delete(w.hub.watches, w)
}

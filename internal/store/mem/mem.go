// Package mem owns the store in memory: the whole contract of package store but
// for its life after the process. Tests of every room use it; nothing in
// production does. It must never import a room but store, so that it stays as
// plain as the contract itself.
package mem

import (
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/notify"
)

// logCommitsMax bounds the change log that watches replay from.
const logCommitsMax = 1 << 14

// Options changes what New does by default.
type Options struct {
	// Now is the clock of queues; nil is time.Now.
	Now func() time.Time
	// LogCommitsMax is how many commits a watch can go back; 0 is the default.
	LogCommitsMax int
}

// Store holds records and queues in memory.
type Store struct {
	now    func() time.Time
	logMax int
	hub    *notify.Hub
	bells  *notify.Bells

	mu       sync.Mutex
	closed   bool
	records  map[string]store.Record
	keys     []string // sorted
	revision store.Revision
	log      []commit
	queues   map[string]*queue
}

var _ store.Store = (*Store)(nil)

// New makes an empty store with the real clock.
func New() *Store { return NewWith(Options{}) }

// NewWith makes an empty store.
func NewWith(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LogCommitsMax <= 0 {
		o.LogCommitsMax = logCommitsMax
	}
	return &Store{
		now:     o.Now,
		logMax:  o.LogCommitsMax,
		hub:     notify.NewHub(),
		bells:   notify.NewBells(),
		records: make(map[string]store.Record),
		queues:  make(map[string]*queue),
	}
}

// Close ends watches; later calls return store.ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	s.bells.Close()
	s.hub.Close()
	return nil
}

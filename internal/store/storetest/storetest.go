// Package storetest owns the suite that every implementation of package store
// passes, so that rooms above can change the store and notice nothing. It must
// never import an implementation: each calls the suite from its own test.
package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

// Clock is the hand-moved clock of queues.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts at a fixed instant.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now is what the implementation is given as its clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Subject tells the suite how to make the implementation under test.
type Subject struct {
	// Open makes an empty store with the clock, and closes it when the test ends.
	Open func(t *testing.T, clock *Clock) store.Store
	// OpenShortLog makes one whose change log holds at most 8 commits, so that
	// watches from the beginning are compacted away.
	OpenShortLog func(t *testing.T, clock *Clock) store.Store
	// Reopen closes a store that Open made and opens it again on the same data.
	// nil: the implementation does not outlive its process.
	Reopen func(t *testing.T, s store.Store) store.Store
}

type env struct {
	*testing.T
	ctx   context.Context
	clock *Clock
	s     store.Store
	sub   Subject
}

// patience is how long a test waits for what must come; it never waits so
// long for what must not come.
const patience = 20 * time.Second

// Run runs the whole suite.
func Run(t *testing.T, sub Subject) {
	for _, group := range []struct {
		name  string
		tests map[string]func(e *env)
	}{
		{"Records", recordTests},
		{"Watch", watchTests},
		{"Queues", queueTests},
		{"Life", lifeTests},
	} {
		for name, test := range group.tests {
			t.Run(group.name+"/"+name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
				defer cancel()
				clock := NewClock()
				test(&env{T: t, ctx: ctx, clock: clock, s: sub.Open(t, clock), sub: sub})
			})
		}
	}
}

func put(key, value string) store.Write {
	return store.Write{Kind: store.WritePut, Key: key, Value: []byte(value)}
}

func del(key string) store.Write { return store.Write{Kind: store.WriteDelete, Key: key} }

func (e *env) commit(writes ...store.Write) store.Revision {
	e.Helper()
	r, err := e.s.Commit(e.ctx, writes...)
	if err != nil {
		e.Fatalf("Commit: %v", err)
	}
	return r
}

func (e *env) get(key string) store.Record {
	e.Helper()
	r, err := e.s.Get(e.ctx, key)
	if err != nil {
		e.Fatalf("Get %q: %v", key, err)
	}
	return r
}

func (e *env) revision() store.Revision {
	e.Helper()
	r, err := e.s.Revision(e.ctx)
	if err != nil {
		e.Fatalf("Revision: %v", err)
	}
	return r
}

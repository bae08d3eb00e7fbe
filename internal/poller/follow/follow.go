// Package follow owns the life of the loops that read event sources: one a mapping, begun when the
// mapping is to be read and ended when it is not. What a loop does is the poller's own; this package must
// never import one.
package follow

import (
	"context"
	"sync"

	"github.com/lambdad/lambdad/internal/record"
)

// Loop reads the source of one mapping.
type Loop interface {
	// Run reads until End or until polling ends, and then until what it began has ended, at most
	// until life does.
	Run(polling, life context.Context)
	// Change tells of a newer mapping; End that nothing is to be read any more.
	Change(*record.Mapping)
	End()
}

// Follower follows mappings.
type Follower struct {
	Mappings *record.View[record.Scoped, record.Mapping]
	// Wanted tells whether a mapping is of this poller's kind.
	Wanted func(*record.Mapping) bool
	Begin  func(record.Scoped, *record.Mapping) Loop
	// Gone is told of a mapping that is not there any more, after its loop has ended; it may be nil.
	Gone func(record.Scoped)

	mu      sync.Mutex
	changed map[record.Scoped]bool
	wake    chan struct{}
}

// Run follows until polling ends; then it waits for the loops, but not longer than life.
func (f *Follower) Run(polling, life context.Context) error {
	f.changed, f.wake = map[record.Scoped]bool{}, make(chan struct{}, 1)
	cancel := f.Mappings.Subscribe(func(c record.ViewChange[record.Scoped, record.Mapping]) { f.notice(c.Key) })
	defer cancel()
	f.Mappings.Each(func(key record.Scoped, _ *record.Mapping) bool { f.notice(key); return true })
	type running struct {
		key  record.Scoped
		loop Loop
	}
	var all sync.WaitGroup
	loops := map[record.Scoped]Loop{}
	ended := make(chan running)
	follow := func(key record.Scoped) {
		m, there := f.Mappings.Get(key)
		wanted := there && f.Wanted(m) && m.Polls()
		switch l := loops[key]; {
		case l != nil && wanted:
			l.Change(m)
		case l != nil:
			l.End()
		case wanted:
			l = f.Begin(key, m)
			loops[key] = l
			all.Go(func() {
				l.Run(polling, life)
				select {
				case ended <- running{key, l}:
				case <-polling.Done():
				case <-life.Done():
				}
			})
		case !there && f.Gone != nil:
			f.Gone(key)
		}
	}
	for {
		for _, key := range f.take() {
			follow(key)
		}
		select {
		case <-f.wake:
		case l := <-ended: // it may be wanted again meanwhile
			delete(loops, l.key)
			follow(l.key)
		case <-polling.Done():
			done := make(chan struct{})
			go func() { all.Wait(); close(done) }()
			select {
			case <-done:
				return polling.Err()
			case <-life.Done():
				return life.Err()
			}
		}
	}
}

func (f *Follower) notice(key record.Scoped) {
	f.mu.Lock()
	f.changed[key] = true
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Follower) take() []record.Scoped {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []record.Scoped
	for key := range f.changed {
		out = append(out, key)
	}
	clear(f.changed)
	return out
}

package notify

import (
	"sync"
	"time"
)

// Bells are the Ready channels of a store's queues: one token each, rung at
// once or when a message becomes due.
type Bells struct {
	mu     sync.Mutex
	queues map[string]*bell
	closed bool
}

type bell struct {
	tokens chan struct{}
	timer  *time.Timer // nil: none set
	at     time.Time   // when timer rings
}

// NewBells makes bells for any number of queues.
func NewBells() *Bells { return &Bells{queues: make(map[string]*bell)} }

// Channel is what store.Queues.Ready returns.
func (b *Bells) Channel(queue string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.of(queue).tokens
}

// RingIn rings after d (at once if d is not positive). Of several rings to come only the
// earliest is kept: whoever answers it leases, and that sets the next one.
func (b *Bells) RingIn(queue string, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	l := b.of(queue)
	if d <= 0 {
		l.ring()
		return
	}
	at := time.Now().Add(d)
	if l.timer != nil {
		if !at.Before(l.at) {
			return
		}
		l.timer.Stop()
	}
	l.at = at
	var mine *time.Timer
	mine = time.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if l.timer == mine {
			l.timer = nil
		}
		l.ring()
	})
	l.timer = mine
}

// Close stops all timers.
func (b *Bells) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, l := range b.queues {
		if l.timer != nil {
			l.timer.Stop()
			l.timer = nil
		}
	}
}

func (b *Bells) of(queue string) *bell {
	l := b.queues[queue]
	if l == nil {
		l = &bell{tokens: make(chan struct{}, 1)}
		l.ring() // there may be messages from before this process
		b.queues[queue] = l
	}
	return l
}

func (l *bell) ring() {
	select {
	case l.tokens <- struct{}{}:
	default:
	}
}

package telemetryapi

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/telemetry/platform"
)

// timing bounds a delivery's tries.
type timing struct {
	dial, attempt time.Duration
}

var defaultTiming = timing{
	dial:    time.Second,
	attempt: 5 * time.Second, // from the first byte sent to the last one answered
}

// subscriber is one subscription and its delivery.
type subscriber struct {
	Subscription
	hub  *Hub
	name string
	wake chan struct{} // holds one: something has changed

	mu      sync.Mutex
	core    core
	conn    net.Conn // the one that is used; nil between
	reused  bool     // it has carried a batch already
	idle    chan struct{}
	awaited bool // somebody waits on idle
	ended   bool
}

func newSubscriber(h *Hub, name string, s Subscription) *subscriber {
	n := &subscriber{Subscription: s, hub: h, name: name, wake: make(chan struct{}, 1), idle: make(chan struct{})}
	n.core = core{limits: s.Buffering, platform: slices.Contains(s.Types, types[0]), schema: s.Schema}
	return n
}

// same reports whether another request asks for the same.
func (s *subscriber) same(other Subscription) bool {
	mine := slices.Sorted(slices.Values(s.Types))
	return slices.Equal(mine, slices.Sorted(slices.Values(other.Types))) &&
		s.Schema == other.Schema && s.Buffering == other.Buffering && s.Destination == other.Destination
}

func (s *subscriber) event(at time.Time, r platform.Record) {
	if !s.core.platform { // never changes
		return
	}
	if event, ok := platform.Event(s.Schema, at, r); ok {
		s.add(event)
	}
}

func (s *subscriber) add(event []byte) {
	s.mu.Lock()
	s.core.add(time.Now(), event)
	s.mu.Unlock()
	s.rouse()
}

func (s *subscriber) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) flush() {
	s.mu.Lock()
	s.core.hurry = true
	s.mu.Unlock()
	s.rouse()
}

// await returns when nothing is left to deliver.
func (s *subscriber) await(ctx context.Context) {
	s.mu.Lock()
	if s.core.empty() || s.ended {
		s.mu.Unlock()
		return
	}
	if !s.awaited {
		s.awaited, s.idle = true, make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

func (s *subscriber) pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.paused = true
	s.limit()
}

func (s *subscriber) resume() {
	s.mu.Lock()
	s.core.thawed()
	s.limit()
	s.mu.Unlock()
	s.rouse()
}

// limit sets the end of what is on its way. Needs the lock.
func (s *subscriber) limit() {
	if s.conn == nil {
		return
	}
	var until time.Time // while frozen, none
	if !s.core.paused {
		until = time.Now().Add(s.hub.opts.tries.attempt)
	}
	// An error says that the connection is closed, which the one who uses it finds out.
	_ = s.conn.SetDeadline(until)
}

// hangUp ends what is on its way.
func (s *subscriber) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}

// run delivers until the hub is closed.
func (s *subscriber) run() {
	defer s.end()
	timer := time.NewTimer(never)
	defer timer.Stop()
	for {
		s.mu.Lock()
		batch, wait := s.core.next(time.Now())
		dropped := s.core.toldDrops
		s.core.toldDrops = platform.LogsDropped{}
		if s.awaited && s.core.empty() {
			s.awaited = false
			close(s.idle)
		}
		s.mu.Unlock()
		if dropped.DroppedRecords > 0 && s.hub.opts.Dropped != nil {
			s.hub.opts.Dropped(dropped)
		}
		if batch != nil {
			ok := s.deliver(batch)
			s.mu.Lock()
			s.core.sent(time.Now(), ok)
			s.mu.Unlock()
			if s.hub.ctx.Err() != nil {
				return
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.hub.ctx.Done():
			return
		}
	}
}

func (s *subscriber) end() {
	s.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.awaited {
		s.awaited = false
		close(s.idle)
	}
}

// deliver tries once; and once more if the connection was an old one that had broken meanwhile.
func (s *subscriber) deliver(batch [][]byte) bool {
	for {
		conn, reused, err := s.connect()
		if err != nil {
			return false
		}
		keep, err := s.send(conn, batch)
		if err != nil || !keep {
			s.drop()
		}
		if err == nil {
			return true
		}
		if !reused || s.hub.ctx.Err() != nil {
			return false
		}
	}
}

// connect returns the connection, or a new one.
func (s *subscriber) connect() (conn net.Conn, reused bool, err error) {
	s.mu.Lock()
	conn = s.conn
	s.mu.Unlock()
	if conn == nil {
		ctx, cancel := context.WithTimeout(s.hub.ctx, s.hub.opts.tries.dial)
		defer cancel()
		if conn, err = s.hub.opts.Dial(ctx, s.Destination.Port); err != nil {
			return nil, false, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reused = s.conn != nil
	s.conn = conn
	s.limit()
	if err := s.hub.ctx.Err(); err != nil { // closed meanwhile, by who did not see this connection
		conn.Close()
		return nil, false, err
	}
	return conn, reused, nil
}

// drop gives the connection up.
func (s *subscriber) drop() {
	s.mu.Lock()
	conn := s.conn
	s.conn = nil
	s.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

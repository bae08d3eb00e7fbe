package streampoller

import (
	"encoding/json"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// stateBytesMax ends a tumbling window early. Source: Lambda developer guide, "Implementing stateful
// Kinesis Data Streams processing": 1 MB.
const stateBytesMax = 1_000_000

var emptyState = json.RawMessage("{}")

// finalBatch opens a tumbling window where there is none, and forms the last invoke of one that is over:
// a later record is there, or the stream had nothing more after its end, or the shard has ended.
func (c *Core) finalBatch(now time.Time, s *shard, l *lane) *Batch {
	some := len(l.waiting) > 0
	if s.window == nil {
		if c.config.Tumbling > 0 && some {
			start := windowStart(l.waiting[0].record.Arrived, c.config.Tumbling)
			s.window = &Window{StreamWindow: record.StreamWindow{Start: start, End: start.Add(c.config.Tumbling), State: emptyState}}
		}
		return nil
	}
	over := s.window.Early || c.config.Tumbling == 0 || some && !s.holds(l.waiting[0].record) ||
		!some && (s.closed || s.empty && !s.readAt.Before(s.window.End))
	if !over || l != s.lanes[0] {
		return nil
	}
	b := c.newBatch(s)
	b.Window = &Window{StreamWindow: s.window.StreamWindow, Final: true, Early: s.window.Early}
	return b
}

// windowStart is the beginning of the window that a time falls into. Windows follow each other since
// the epoch.
func windowStart(t time.Time, length time.Duration) time.Time {
	n := t.UnixNano()
	return time.Unix(0, n-n%int64(length)).UTC()
}

// holds tells whether a record belongs to the open window. One that comes late does.
func (s *shard) holds(r Record) bool { return r.Arrived.Before(s.window.End) }

// keepState takes what the function made of a window's records.
func (c *Core) keepState(s *shard, b *Batch, e Invoked) {
	if b.Window == nil || b.Window.Final || s.window == nil {
		return
	}
	s.window.State, s.window.Early = e.State, len(e.State) > stateBytesMax
}

// keepWindow has the window saved with the place that it goes with.
func (s *shard) keepWindow() {
	s.place.Window = nil
	if s.window != nil {
		w := s.window.StreamWindow
		s.place.Window = &w
	}
}

func (s *shard) closeWindow() {
	s.window, s.place.Window, s.dirty = nil, nil, true
}

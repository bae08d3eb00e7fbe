package logs

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"time"
)

// readAhead is how many chunks a reader fetches at once.
const readAhead = 4

// span is what a reader is asked for: after, exclusive, to end, exclusive.
type span struct {
	after   Position
	atAfter bool // include an event exactly at after
	end     int64
}

func (s span) has(p Position) bool {
	c := p.Compare(s.after)
	return (c > 0 || c == 0 && s.atAfter) && p.Time < s.end
}

// reader yields the events of one stream in order. It holds in memory the chunks
// that overlap where it stands, and the few it fetched ahead.
type reader struct {
	logs   *Logs
	ctx    context.Context
	prefix string
	span   span

	lastKey string // of the last chunk fetched
	more    bool
	ahead   []*chunk
	open    chunkHeap
	scanned *int // bytes of chunks decoded, counted up
}

func (l *Logs) newReader(ctx context.Context, group Group, stream Stream, s span) *reader {
	return l.countingReader(ctx, group, stream, s, new(int))
}

func (l *Logs) countingReader(ctx context.Context, group Group, stream Stream, s span, scanned *int) *reader {
	return &reader{
		logs:    l,
		ctx:     ctx,
		prefix:  streamChunks(group.ID, stream.ID),
		span:    s,
		lastKey: chunkKeyBefore(group.ID, stream.ID, s.after.Time-stream.Span),
		more:    true,
		scanned: scanned,
	}
}

// next returns the next event; ok is false at the end.
func (r *reader) next() (e Event, ok bool, err error) {
	for {
		// All chunks that begin before the earliest open event must be open.
		for {
			if len(r.ahead) == 0 && r.more {
				if err := r.fetch(); err != nil {
					return Event{}, false, err
				}
			}
			if len(r.ahead) == 0 || len(r.open) > 0 && r.ahead[0].first > r.open[0].events[0].Time {
				break
			}
			heap.Push(&r.open, r.ahead[0])
			r.ahead = r.ahead[1:]
		}
		if len(r.open) == 0 {
			return Event{}, false, nil
		}
		c := r.open[0]
		e, c.events = c.events[0], c.events[1:]
		if len(c.events) == 0 {
			heap.Pop(&r.open)
		} else {
			heap.Fix(&r.open, 0)
		}
		if e.Time >= r.span.end {
			r.open, r.ahead, r.more = nil, nil, false
			return Event{}, false, nil
		}
		if r.span.has(e.At) {
			return e, true, nil
		}
	}
}

func (r *reader) fetch() error {
	page, more, err := r.logs.store.List(r.ctx, r.prefix, r.lastKey, readAhead)
	if err != nil {
		return fmt.Errorf("read log events: %w", err)
	}
	r.more = more
	for _, record := range page {
		r.lastKey = record.Key
		c, err := decodeChunk(record)
		if err != nil {
			return err
		}
		*r.scanned += len(record.Value)
		if c.first >= r.span.end {
			r.more = false
			break
		}
		if len(c.events) > 0 {
			r.ahead = append(r.ahead, c)
		}
	}
	return nil
}

// chunkHeap orders open chunks by their next event.
type chunkHeap []*chunk

func (h chunkHeap) Len() int           { return len(h) }
func (h chunkHeap) Less(i, j int) bool { return h[i].events[0].At.Compare(h[j].events[0].At) < 0 }
func (h chunkHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *chunkHeap) Push(x any)        { *h = append(*h, x.(*chunk)) }
func (h *chunkHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return c
}

// expiry is the time before which the group's events are expired.
func (l *Logs) expiry(g Group) int64 {
	if g.RetentionDays == 0 {
		return 0
	}
	return l.now().Add(-time.Duration(g.RetentionDays) * 24 * time.Hour).UnixMilli()
}

func endOrForever(end int64) int64 {
	if end <= 0 {
		return math.MaxInt64
	}
	return end
}

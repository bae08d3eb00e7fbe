package logs

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// scanBytesMax is how much one search reads before it answers what it has found
// and where to go on, even if that is nothing yet.
const scanBytesMax = 16 << 20

// searchStreamsMax bounds the streams that one search reads side by side.
const searchStreamsMax = 10_000

// Search asks for events of many streams of a group, in order of time.
type Search struct {
	Streams []string // only these; each must exist
	Prefix  string   // only streams with it
	Start   int64    // first time included
	End     int64    // first time not included; 0: no end
	Match   func(message string) bool
	Token   string
	Limit   int
}

// Found is an event with its stream.
type Found struct {
	Stream string
	Event
}

// ID is the event's id, unique in its group and the same in every search.
func (f Found) ID() string { return f.At.String() }

// searchToken is the last event looked at.
type searchToken struct {
	Position string
	Stream   string // id
}

// Search reads a page, and the token of the next one, "" at the end.
// ErrGroupNotFound, ErrStreamNotFound, ErrBadToken.
func (l *Logs) Search(ctx context.Context, s Scope, group string, q Search) (found []Found, next string, err error) {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return nil, "", err
	}
	start, end := max(q.Start, l.expiry(g), 0), endOrForever(q.End)
	after, afterStream, err := q.position()
	if err != nil {
		return nil, "", err
	}
	if b := beforeTime(start); after.Compare(b) < 0 {
		after, afterStream = b, ""
	}
	streams, err := l.searched(ctx, g, q, after.Time, end)
	if err != nil {
		return nil, "", err
	}
	m := &merge{logs: l, ctx: ctx, group: g, waiting: streams,
		span: span{after: after, atAfter: true, end: end}, afterStream: afterStream}
	bytes := 0
	var last *source
	for {
		src, e, ok, err := m.next()
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return found, "", nil
		}
		if last == nil {
			m.scanned = 0 // what lay before the token is not this page's: each page gets on
		}
		matched := q.Match == nil || q.Match(e.Message)
		if matched {
			bytes += len(e.Message)
		}
		if last != nil && (len(found) >= q.Limit || matched && bytes > pageBytesMax || m.scanned > scanBytesMax) {
			return found, encodeSearchToken(m.lastAt, last.stream.ID), nil
		}
		m.lastAt, last = e.At, src
		if matched {
			found = append(found, Found{Stream: src.stream.Name, Event: e})
		}
	}
}

func (q Search) position() (Position, string, error) {
	if q.Token == "" {
		return Position{}, "", nil
	}
	var t searchToken
	b, err := base64.RawURLEncoding.DecodeString(q.Token)
	if err != nil || json.Unmarshal(b, &t) != nil {
		return Position{}, "", ErrBadToken
	}
	p, ok := parsePosition(t.Position)
	if !ok || t.Stream == "" {
		return Position{}, "", ErrBadToken
	}
	return p, t.Stream, nil
}

func encodeSearchToken(p Position, stream string) string {
	b, _ := json.Marshal(searchToken{p.String(), stream}) // two strings always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

// searched lists the streams that can hold events of the time, by their first.
func (l *Logs) searched(ctx context.Context, g Group, q Search, start, end int64) ([]Stream, error) {
	var streams []Stream
	add := func(st Stream) bool {
		if st.Events && st.Last >= start && st.First < end {
			streams = append(streams, st)
		}
		return len(streams) < searchStreamsMax
	}
	if len(q.Streams) > 0 {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(q.Streams))) {
			st, _, err := l.stream(ctx, g, name)
			if err != nil {
				return nil, err
			}
			add(st)
		}
	} else if err := l.eachStream(ctx, g, q.Prefix, add); err != nil {
		return nil, fmt.Errorf("search %q: %w", g.Name, err)
	}
	slices.SortFunc(streams, func(a, b Stream) int {
		return cmp.Or(cmp.Compare(a.First, b.First), strings.Compare(a.ID, b.ID))
	})
	return streams, nil
}

// merge reads streams side by side, each from when its first event can come.
type merge struct {
	logs        *Logs
	ctx         context.Context
	group       Group
	waiting     []Stream
	span        span
	afterStream string
	lastAt      Position

	open    sourceHeap
	scanned int // bytes of chunks decoded
}

// source is one stream being read, with its next event.
type source struct {
	stream Stream
	reader *reader
	next   Event
}

// next returns the earliest event of all streams that is behind the token's.
func (m *merge) next() (*source, Event, bool, error) {
	for {
		if err := m.openDue(); err != nil {
			return nil, Event{}, false, err
		}
		if len(m.open) == 0 {
			return nil, Event{}, false, nil
		}
		src := m.open[0]
		e := src.next
		ok, err := src.advance()
		if err != nil {
			return nil, Event{}, false, err
		}
		if ok {
			heap.Fix(&m.open, 0)
		} else {
			heap.Pop(&m.open)
		}
		if m.afterStream != "" && e.At == m.span.after && src.stream.ID <= m.afterStream {
			continue // the token's own event, or one that stands before it
		}
		return src, e, true, nil
	}
}

// openDue opens the streams whose first event may come before the next open one.
func (m *merge) openDue() error {
	for len(m.waiting) > 0 && (len(m.open) == 0 || m.waiting[0].First <= m.open[0].next.Time) {
		st := m.waiting[0]
		m.waiting = m.waiting[1:]
		src := &source{stream: st, reader: m.logs.countingReader(m.ctx, m.group, st, m.span, &m.scanned)}
		ok, err := src.advance()
		if err != nil {
			return err
		}
		if ok {
			heap.Push(&m.open, src)
		}
	}
	return nil
}

func (s *source) advance() (ok bool, err error) {
	s.next, ok, err = s.reader.next()
	return ok, err
}

// sourceHeap orders streams by their next event, then by id.
type sourceHeap []*source

func (h sourceHeap) Len() int { return len(h) }
func (h sourceHeap) Less(i, j int) bool {
	return cmp.Or(h[i].next.At.Compare(h[j].next.At), strings.Compare(h[i].stream.ID, h[j].stream.ID)) < 0
}
func (h sourceHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *sourceHeap) Push(x any)   { *h = append(*h, x.(*source)) }
func (h *sourceHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}

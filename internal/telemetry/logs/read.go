package logs

import (
	"context"
	"strings"
)

// pageBytesMax bounds the messages of one page, as the service bounds its answers.
const pageBytesMax = 1 << 20

// EventsQuery asks for events of one stream.
type EventsQuery struct {
	Start int64 // first time included
	End   int64 // first time not included; 0: no end
	// Token is one of an earlier page, and tells the direction then.
	Token    string
	FromHead bool // without a token: from the earliest, else the latest
	Limit    int
}

// EventsPage is events in order of time, and the ways on in both directions. At
// the end of a direction its token stays the same.
type EventsPage struct {
	Events   []Event
	Forward  string
	Backward string
}

// Events reads one stream. ErrGroupNotFound, ErrStreamNotFound, ErrBadToken.
func (l *Logs) Events(ctx context.Context, s Scope, group, stream string, q EventsQuery) (EventsPage, error) {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return EventsPage{}, err
	}
	st, _, err := l.stream(ctx, g, stream)
	if err != nil {
		return EventsPage{}, err
	}
	start, end := max(q.Start, l.expiry(g), 0), endOrForever(q.End)
	forward := q.FromHead
	at := beforeTime(start)
	if !forward {
		at = afterTime(min(end-1, max(st.Last, 0)))
	}
	if q.Token != "" {
		direction, position, ok := parseToken(q.Token)
		if !ok {
			return EventsPage{}, ErrBadToken
		}
		forward, at = direction == 'f', position
	}
	var events []Event
	if forward {
		events, err = l.forward(ctx, g, st, at, start, end, q.Limit)
	} else {
		events, err = l.backward(ctx, g, st, at, start, end, q.Limit)
	}
	if err != nil {
		return EventsPage{}, err
	}
	first, last := at, at
	if len(events) > 0 {
		first, last = events[0].At, events[len(events)-1].At
	}
	return EventsPage{Events: events, Forward: token('f', last), Backward: token('b', first)}, nil
}

// token has the form of the service's own: f/POSITION/s.
func token(direction byte, p Position) string { return string(direction) + "/" + p.String() + "/s" }

func parseToken(t string) (direction byte, p Position, ok bool) {
	digits, ok := strings.CutSuffix(t, "/s")
	if !ok || len(digits) < 2 || digits[1] != '/' || digits[0] != 'f' && digits[0] != 'b' {
		return 0, Position{}, false
	}
	p, ok = parsePosition(digits[2:])
	return digits[0], p, ok
}

// forward reads the first events after a position.
func (l *Logs) forward(ctx context.Context, g Group, st Stream, after Position, start, end int64, limit int) ([]Event, error) {
	if after.Compare(beforeTime(start)) < 0 {
		after = beforeTime(start)
	}
	r := l.newReader(ctx, g, st, span{after: after, end: end})
	var events []Event
	bytes := 0
	for len(events) < limit {
		e, ok, err := r.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if bytes += len(e.Message); bytes > pageBytesMax && len(events) > 0 {
			break
		}
		events = append(events, e)
	}
	return events, nil
}

// Looking back goes in stretches of time that grow until one holds enough,
// because the store lists forwards only.
const (
	backFirstMillis = 60_000
	backGrowth      = 8
)

// backward reads the last events before a position.
func (l *Logs) backward(ctx context.Context, g Group, st Stream, before Position, start, end int64, limit int) ([]Event, error) {
	if !st.Events {
		return nil, nil
	}
	start = max(start, st.First)
	end = min(end, before.Time+1)
	for back := int64(backFirstMillis); ; back *= backGrowth {
		from := max(start, end-back)
		events, cut, err := l.tail(ctx, g, st, before, from, end, limit)
		if err != nil || cut || from == start || len(events) >= limit {
			return events, err
		}
	}
}

// tail keeps the last events from a time on, and tells whether earlier ones were
// dropped for their bytes.
func (l *Logs) tail(ctx context.Context, g Group, st Stream, before Position, from, end int64, limit int) (events []Event, cut bool, err error) {
	r := l.newReader(ctx, g, st, span{after: beforeTime(from), atAfter: true, end: end})
	bytes := 0
	for {
		e, ok, err := r.next()
		if err != nil {
			return nil, false, err
		}
		if !ok || e.At.Compare(before) >= 0 {
			return events, cut, nil
		}
		events = append(events, e)
		bytes += len(e.Message)
		for len(events) > limit || bytes > pageBytesMax && len(events) > 1 {
			cut = cut || len(events) <= limit
			bytes -= len(events[0].Message)
			events[0] = Event{}
			events = events[1:]
		}
	}
}

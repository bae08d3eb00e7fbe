package logs

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/store"
)

// Put makes events durable, in any order of time, all at once or none.
// ErrGroupNotFound, ErrStreamNotFound.
func (l *Logs) Put(ctx context.Context, s Scope, group, stream string, events []Event) error {
	g, err := l.Group(ctx, s, group)
	if err != nil {
		return err
	}
	// Batches to one stream come in parallel and must all be taken (API reference, PutLogEvents): they take turns,
	// because each writes the stream's record.
	turn := &l.turns[maphash.String(l.seed, streamKey(g, stream))%turnsMax]
	turn.Lock()
	defer turn.Unlock()
	return retryConflicts(func() error {
		st, r, err := l.stream(ctx, g, stream)
		if err != nil || len(events) == 0 {
			return err
		}
		writes, _, err := l.batch(ctx, s, g, st, r, events)
		if err != nil {
			return err
		}
		if _, err := l.store.Commit(ctx, writes...); err != nil {
			return fmt.Errorf("write log events: %w", err)
		}
		l.written(writes)
		return nil
	})
}

// batch is what writes events to a stream whose record has the revision: the
// chunks, what subscriptions are told of them, and the stream's record as it will be.
func (l *Logs) batch(ctx context.Context, s Scope, g Group, st Stream, r store.Revision, events []Event) ([]store.Write, Stream, error) {
	sorted := slices.Clone(events)
	for i := range sorted {
		sorted[i].Time = max(sorted[i].Time, 0)
		// A client's text is bytes; what is not UTF-8 could not be answered as JSON.
		sorted[i].Message = strings.ToValidUTF8(sorted[i].Message, "\uFFFD")
	}
	slices.SortStableFunc(sorted, func(a, b Event) int { return beforeTime(a.Time).Compare(beforeTime(b.Time)) })
	first, last := sorted[0].Time, sorted[len(sorted)-1].Time
	if !st.Events || first < st.First {
		st.First = first
	}
	st.Last = max(st.Last, last)
	st.Span = max(st.Span, min(last-first, chunkSpan))
	st.Ingested, st.Events = max(st.Ingested, l.millis()), true
	writes := l.chunkWrites(g.ID, st.ID, sorted, st.Ingested)
	for _, w := range writes {
		st.Bytes += int64(len(w.Value))
	}
	record, err := streamWrite(g, st, store.IfRevision(r))
	if err != nil {
		return nil, st, err
	}
	out, err := l.outgoingWrites(ctx, s, g, st.Name, writes)
	if err != nil {
		return nil, st, err
	}
	return slices.Concat(writes, out, []store.Write{record}), st, nil
}

// written wakes the deliverer if something of a commit is for it.
func (l *Logs) written(writes []store.Write) {
	if slices.ContainsFunc(writes, func(w store.Write) bool { return strings.HasPrefix(w.Key, outgoingPrefix) }) {
		signal(l.outgoing)
	}
}

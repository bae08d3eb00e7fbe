package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

func (l *Logs) sweepOften(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := l.Sweep(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("expired log events stay longer", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep removes events older than their group's retention, and what deletions
// that were cut short left behind. Readers never see expired events, swept or not.
func (l *Logs) Sweep(ctx context.Context) error {
	var failed []error
	err := l.each(ctx, gravePrefix, "", func(r store.Record) (bool, error) {
		failed = append(failed, l.bury(ctx, r.Key))
		return ctx.Err() == nil, nil
	})
	failed = append(failed, err)
	err = l.each(ctx, groupPrefix, "", func(r store.Record) (bool, error) {
		g, err := decodeGroup(r)
		if err == nil && g.RetentionDays > 0 {
			err = l.sweepGroup(ctx, g)
		}
		failed = append(failed, err)
		return ctx.Err() == nil, nil
	})
	return errors.Join(append(failed, err)...)
}

func (l *Logs) sweepGroup(ctx context.Context, g Group) error {
	expiry := l.expiry(g)
	var failed []error
	err := l.eachStream(ctx, g, "", func(st Stream) bool {
		if st.Events && st.First < expiry {
			failed = append(failed, l.sweepStream(ctx, g, st.Name, expiry))
		}
		return ctx.Err() == nil
	})
	return errors.Join(append(failed, err)...)
}

// sweepStream deletes the chunks that have wholly expired, and tells the stream's record.
func (l *Logs) sweepStream(ctx context.Context, g Group, name string, expiry int64) error {
	for more := true; more; {
		err := retryConflicts(func() (err error) {
			more, err = l.sweepSome(ctx, g, name, expiry)
			return err
		})
		if err != nil && !errors.Is(err, ErrStreamNotFound) { // it was deleted meanwhile
			return fmt.Errorf("sweep %q %q: %w", g.Name, name, err)
		}
	}
	return nil
}

// sweepSome deletes a commit's worth of chunks.
func (l *Logs) sweepSome(ctx context.Context, g Group, name string, expiry int64) (more bool, err error) {
	st, revision, err := l.stream(ctx, g, name)
	if err != nil {
		return false, err
	}
	page, more, err := l.store.List(ctx, streamChunks(g.ID, st.ID), "", deleteBatch)
	if err != nil {
		return false, err
	}
	var writes []store.Write
	for _, r := range page {
		first, _, err := parseChunkKey(r.Key)
		if err != nil {
			return false, err
		}
		if first+chunkSpan > expiry {
			st.First, more = first, false
			break
		}
		st.Bytes = max(st.Bytes-int64(len(r.Value)), 0)
		writes = append(writes, store.Write{Kind: store.WriteDelete, Key: r.Key})
	}
	if len(writes) == 0 {
		return false, nil
	}
	record, err := streamWrite(g, st, store.IfRevision(revision))
	if err != nil {
		return false, err
	}
	_, err = l.store.Commit(ctx, append(writes, record)...)
	return more, err
}

package logs

import (
	"context"
	"errors"
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
			failed = append(failed, l.deleteAll(ctx, streamChunks(g.ID, st.ID), func(r store.Record) bool {
				first, _, err := parseChunkKey(r.Key)
				return err == nil && first+chunkSpan <= expiry
			}))
		}
		return ctx.Err() == nil
	})
	return errors.Join(append(failed, err)...)
}

package metering

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lambdad/lambdad/internal/store"
)

const (
	compactEvery = 10 * time.Minute
	// minutesKept, hoursKept and daysKept are how long each span tells usage apart. Two
	// months of hours show last month's bill by the hour.
	minutesKept = 48 * time.Hour
	hoursKept   = 62 * 24 * time.Hour
	daysKept    = 5 * 366 * 24 * time.Hour
	// summed is the writer of roll-ups that were made from smaller ones.
	summed = "sum"
)

// Compact sums minutes up to hours and hours up to days once they are old enough, and
// removes days that nobody keeps. Each commit holds a sum and removes what
// it was made from: whenever it is cut off, nothing is lost or counted twice. Several
// nodes may compact the same store.
func Compact(ctx context.Context, records store.Records, now time.Time) error {
	for _, step := range []struct {
		from, to spanName
		kept     time.Duration
	}{{minutes, hours, minutesKept}, {hours, days, hoursKept}} {
		before := now.UTC().Add(-step.kept).Truncate(step.to.length())
		if err := sumUp(ctx, records, step.from, step.to, before); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	var old []store.Write
	err := scan(ctx, records, days, time.Time{}, now.Add(-daysKept), func(_ Entry, r store.Record) error {
		old = append(old, store.Write{Kind: store.WriteDelete, Key: r.Key})
		return flushWhen(ctx, records, &old, commitWrites)
	})
	return errors.Join(err, flushWhen(ctx, records, &old, 1))
}

func flushWhen(ctx context.Context, records store.Records, writes *[]store.Write, n int) error {
	if len(*writes) < n {
		return nil
	}
	_, err := records.Commit(ctx, *writes...)
	*writes = (*writes)[:0]
	return err
}

// batch is what one key's smaller roll-ups of one larger span make.
type batch struct {
	start time.Time
	key   Key
	usage Usage
	from  []store.Record
}

// sumUp goes through one larger span after the other, so that no more than one is in memory.
func sumUp(ctx context.Context, records store.Records, from, to spanName, before time.Time) error {
	batches := map[Key]*batch{}
	var current time.Time
	end := func() error {
		for k, b := range batches {
			if err := b.commit(ctx, records, to); err != nil {
				return err
			}
			delete(batches, k)
		}
		return nil
	}
	err := scan(ctx, records, from, time.Time{}, before, func(e Entry, r store.Record) error {
		if start := e.Start.Truncate(to.length()); start != current {
			if err := end(); err != nil {
				return err
			}
			current = start
		}
		b := batches[e.Key]
		if b == nil {
			b = &batch{start: current, key: e.Key}
			batches[e.Key] = b
		}
		b.usage.Add(&e.Usage)
		b.from = append(b.from, r)
		if len(b.from) < commitWrites {
			return nil
		}
		delete(batches, e.Key)
		return b.commit(ctx, records, to)
	})
	if err != nil {
		return err
	}
	return end()
}

// commit replaces the smaller roll-ups by one, added to what is there already. What changed
// meanwhile is left for the next time.
func (b *batch) commit(ctx context.Context, records store.Records, to spanName) error {
	name := recordKey(to, b.start, b.key, summed)
	demand := store.IfAbsent()
	switch r, err := records.Get(ctx, name); {
	case err == nil:
		var there rolled
		if err := json.Unmarshal(r.Value, &there); err != nil {
			return fmt.Errorf("metering: record %s: %w", name, err)
		}
		b.usage.Add(&there.Usage)
		demand = store.IfRevision(r.Revision)
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("metering: record %s: %w", name, err)
	}
	write := put(name, b.key, &b.usage)
	write.If = demand
	writes := []store.Write{write}
	for _, r := range b.from {
		writes = append(writes, store.Write{Kind: store.WriteDelete, Key: r.Key, If: store.IfRevision(r.Revision)})
	}
	if _, err := records.Commit(ctx, writes...); err != nil {
		return fmt.Errorf("metering: sum up %s: %w", name, err)
	}
	return nil
}

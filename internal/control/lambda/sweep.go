package lambda

import (
	"context"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// sweepEvery is how long a package that lost its last record stays at least. A function
// that is made and removed again and again does not sweep each time.
const sweepEvery = 5 * time.Minute

// maybeGarbage notes that a package may have lost its last record.
func (c *Control) maybeGarbage() {
	select {
	case c.garbage <- struct{}{}:
	default:
	}
}

// sweepTimes says when to look for packages that no record names.
type sweepTimes struct {
	again time.Time // when what the last sweep spared as too new is old enough
}

func (s *sweepTimes) due(now time.Time, noted bool) bool {
	switch {
	case noted:
		s.again = now.Add(artifact.SweepGrace)
	case s.again.IsZero() || now.Before(s.again):
		return false
	default:
		s.again = time.Time{}
	}
	return true
}

// sweepLoop removes packages that no record names: once at the start, for what an
// earlier process left, and then when something was removed or replaced, and once more for what was too new.
func (c *Control) sweepLoop(ctx context.Context) {
	c.maybeGarbage()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var times sweepTimes
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		noted := false
		select {
		case <-c.garbage:
			noted = true
		default:
		}
		if !times.due(now, noted) {
			continue
		}
		removed, err := c.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("unused deployment packages could not be removed", "error", err)
			c.maybeGarbage()
		}
		if removed > 0 {
			c.log.Info("removed unused deployment packages", "count", removed)
		}
	}
}

// sweep lists what is in use, from the store and not from the view, and has the rest removed.
// $LATEST is listed before the versions: what a publish copies from one to the other
// meanwhile is seen in one of them. Layers come last: a function that was just given one is not
// seen, but the layer is.
func (c *Control) sweep(ctx context.Context) (int, error) {
	used, images := map[artifact.Digest]bool{}, map[artifact.Digest]bool{}
	for after, more := "", true; more; {
		var page []store.Record
		var err error
		if page, more, err = c.records.List(ctx, record.FunctionPrefix, after, store.ListLimitMax); err != nil {
			return 0, err
		}
		for _, r := range page {
			after = r.Key
			f, err := record.DecodeFunction(r.Value)
			if err != nil {
				// What it uses is not known, so nothing may be removed.
				return 0, err
			}
			used[artifact.Digest(f.Artifact)] = true
			for i := f.Image; i != nil; i = i.Before {
				images[artifact.Digest(i.Digest)] = true
			}
			for _, l := range f.Layers {
				used[artifact.Digest(l.Artifact)] = true
			}
		}
	}
	if err := record.LayerVersions.Each(ctx, c.records, "", func(h record.Held[record.Scoped, record.LayerVersion]) {
		used[artifact.Digest(h.Value.Artifact)] = true
	}); err != nil {
		return 0, err
	}
	removed, err := c.artifacts.Sweep(func(d artifact.Digest) bool { return used[d] })
	if err != nil || c.images == nil {
		return removed, err
	}
	gone, err := c.images.Sweep(ctx, func(d artifact.Digest) bool { return images[d] })
	return removed + gone, err
}

package streampoller

import (
	"slices"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// restore takes what is on disk.
func (c *Core) restore(e Restored) {
	c.progress = e.Progress
	for id, place := range e.Shards {
		s := c.shard(id, place)
		s.kept, s.ended, s.skip = true, place.Ended, place.Since.Truncate(time.Millisecond)
	}
}

// shard adds a shard.
func (c *Core) shard(id string, place record.StreamShard) *shard {
	s := &shard{id: id, place: place, last: place.After, pause: pauseFirst}
	if w := place.Window; w != nil {
		s.window = &Window{StreamWindow: *w}
	}
	c.shards[id] = s
	at, _ := slices.BinarySearchFunc(c.order, id, func(s *shard, id string) int { return strings.Compare(s.id, id) })
	c.order = slices.Insert(c.order, at, s)
	return s
}

// listed takes the stream's shards. Those that are there first begin where the mapping does; one that
// comes later follows others, and begins at its own beginning.
func (c *Core) listed(now time.Time, e Listed) {
	c.listing = false
	if e.Failed {
		c.listNext = now.Add(c.listPause)
		c.listPause = min(2*c.listPause, pauseMax)
		return
	}
	c.listPause, c.listNext = pauseFirst, now.Add(listEvery)
	there := map[string]bool{}
	for _, info := range e.Shards {
		there[info.ID] = true
		s := c.shards[info.ID]
		if s == nil {
			s = c.shard(info.ID, c.firstPlace(info, e.At))
			s.fresh, s.dirty = true, true
			c.dropped = slices.DeleteFunc(c.dropped, func(id string) bool { return id == s.id })
		}
		s.listed = true
	}
	for _, s := range slices.Clone(c.order) {
		if there[s.id] {
			continue
		}
		s.listed = false
		if s.ended && !s.dirty { // nobody asks for it again
			delete(c.shards, s.id)
			c.order = slices.DeleteFunc(c.order, func(o *shard) bool { return o == s })
			c.dropped = append(c.dropped, s.id)
		}
	}
	if !c.progress.Begun {
		c.progress.Begun, c.progressDirty = true, true
	}
}

func (c *Core) firstPlace(info ShardInfo, at time.Time) record.StreamShard {
	if c.progress.Begun || slices.ContainsFunc(info.Parents, func(p string) bool { return c.shards[p] != nil && c.shards[p].kept }) {
		return record.StreamShard{Position: record.PositionTrimHorizon, Parents: info.Parents}
	}
	place := c.config.Start
	place.Parents = info.Parents
	if place.Position == record.PositionLatest {
		place.Since, place.Ended = at, info.Closed
	}
	return place
}

// mayBegin: what a shard follows must have ended first, as far as the stream still has it, so that a key's
// records keep their order. Source: Lambda developer guide, "Polling and batching streams"; Kinesis
// developer guide, "Resharding, data routing, data persistence".
func (c *Core) mayBegin(s *shard) bool {
	for _, id := range s.place.Parents {
		if p := c.shards[id]; p != nil && !p.ended {
			return false
		}
	}
	return true
}

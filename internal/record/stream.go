package record

import (
	"encoding/json"
	"time"
)

// Where the reading of a stream begins, as the API has it.
const (
	PositionTrimHorizon = "TRIM_HORIZON"
	PositionLatest      = "LATEST"
	PositionAtTimestamp = "AT_TIMESTAMP"
)

// StreamProgress is what the poller of a stream remembers of a mapping. Its key is the mapping's.
type StreamProgress struct {
	// Begun: the shards that were there first have their places.
	Begun bool `json:"begun,omitempty"`
	// Result is LastProcessingResult; "" is that no records were processed.
	Result string `json:"result,omitempty"`
}

// StreamProgresses are kept in this form.
var StreamProgresses = ScopedKind[StreamProgress]("streamprogress", 1)

// StreamShard is how far a mapping has read a shard. Its key is StreamShardKey.
type StreamShard struct {
	// After is the sequence number of the last record that is done, "" before the first.
	After string `json:"after,omitempty"`
	// Position is where the first record is looked for. Since is its time, and of LATEST the time when it was,
	// until a record from then on is done.
	Position string    `json:"pos"`
	Since    time.Time `json:"since,omitzero"`
	// Parents are the shards that it follows: they end first.
	Parents []string `json:"parents,omitempty"`
	// Ended: nothing of the shard is left to do, and what follows it may be read.
	Ended bool `json:"ended,omitempty"`
	// Window is the tumbling window that is open.
	Window *StreamWindow `json:"win,omitempty"`
}

// StreamWindow is a tumbling window with what the function made of its records so far.
type StreamWindow struct {
	Start time.Time       `json:"start"`
	End   time.Time       `json:"end"`
	State json.RawMessage `json:"state"`
}

// StreamShards are kept in this form.
var StreamShards = ScopedKind[StreamShard]("streamshard", 1)

// StreamShardKey is where the place of a mapping in a shard lies.
func StreamShardKey(mapping Scoped, shard string) Scoped {
	return Scoped{mapping.Scope, mapping.Name + "/" + shard}
}

// OfStreamMapping is what List takes for all shards of a mapping.
func OfStreamMapping(mapping Scoped) string { return OfScope(mapping.Scope) + mapping.Name + "/" }

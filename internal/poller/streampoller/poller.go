// Package streampoller owns the polling of Kinesis data streams and DynamoDB Streams for event source
// mappings: it reads shards in their order, filters, batches, has the frontend run the function,
// and remembers how far it came. What it decides is a pure machine (Core). It must never reach a stream but
// through its door, nor run a function but through frontend's: neither is its own.
package streampoller

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/frontend"
	"github.com/lambdad/lambdad/internal/poller/follow"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/store"
)

// Streams is the door to streams. Each call is made as the execution role, by the stream's ARN.
type Streams interface {
	Shards(ctx context.Context, role, stream string) (Listing, error)
	// Read brings what follows a place; its errors are ErrExpired, ErrTrimmed, ErrGone or others.
	Read(ctx context.Context, role, stream, shard string, from From, limit int) (Page, error)
}

// Listing is what there is of a stream.
type Listing struct {
	Shards []ShardInfo
	// Retention is how long the stream keeps records, 0 where that is not known.
	Retention time.Duration
}

// Page is what one read brought. Next is the iterator of the next one, "" where the shard has ended.
type Page struct {
	Records []StreamRecord
	Next    string
	Behind  bool
}

// What a read can meet.
var (
	ErrExpired = errors.New("streampoller: the iterator is too old")
	ErrTrimmed = errors.New("streampoller: the stream has no such record any more")
	ErrGone    = errors.New("streampoller: no such stream or shard")
	ErrDenied  = errors.New("streampoller: the role may not read the stream")
)

// Functions is the view of function records.
type Functions interface {
	Function(id record.FunctionID, version string) (*record.Function, bool)
}

// Discard is records that are given up.
type Discard struct {
	Mapping     record.Scoped
	Function    record.Name
	Role        string
	Destination string // ARN
	Body        []byte
	// ObjectKey is where the record lies in a bucket.
	ObjectKey string
}

// Options of New. All doors must be given.
type Options struct {
	Records   store.Records
	Mappings  *record.View[record.Scoped, record.Mapping]
	Functions Functions
	Streams   Streams
	// Invoke is frontend.Frontend's Run.
	Invoke func(context.Context, *frontend.Request) (frontend.Answer, error)
	// Send takes a record of failure to its destination.
	Send func(context.Context, *Discard) error
	Log  *slog.Logger // nil: silence
}

// Poller polls all streams that have mappings.
type Poller struct {
	opts Options
}

// New makes a poller. Run polls.
func New(o Options) (*Poller, error) {
	if o.Records == nil || o.Mappings == nil || o.Functions == nil || o.Streams == nil || o.Invoke == nil || o.Send == nil {
		return nil, errors.New("streampoller: a door is missing in the options")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Poller{o}, nil
}

// Run follows the mappings and polls until polling ends; then it waits for the batches that run, but
// not longer than life.
func (p *Poller) Run(polling, life context.Context) error {
	p.sweep(life)
	f := follow.Follower{
		Mappings: p.opts.Mappings, Wanted: isStream,
		Begin: func(key record.Scoped, m *record.Mapping) follow.Loop { return newLoop(p, key, m) },
		Gone:  func(key record.Scoped) { p.forget(life, key) },
	}
	return f.Run(polling, life)
}

func isStream(m *record.Mapping) bool {
	return m.Stream != nil
}

// isTable tells DynamoDB's streams from Kinesis'.
func isTable(stream string) bool {
	arn, err := aws.ParseARN(stream)
	return err == nil && arn.Service == "dynamodb"
}

// sweep forgets the places of mappings that were removed while nobody looked.
func (p *Poller) sweep(ctx context.Context) {
	gone := map[record.Scoped]bool{}
	note := func(key record.Scoped) {
		key.Name, _, _ = strings.Cut(key.Name, "/")
		if _, there := p.opts.Mappings.Get(key); !there {
			gone[key] = true
		}
	}
	err := errors.Join(
		record.StreamShards.Each(ctx, p.opts.Records, "", func(h record.Held[record.Scoped, record.StreamShard]) { note(h.Key) }),
		record.StreamProgresses.Each(ctx, p.opts.Records, "", func(h record.Held[record.Scoped, record.StreamProgress]) { note(h.Key) }))
	if err != nil {
		p.opts.Log.Warn("places in streams cannot be read; those of removed mappings stay", "error", err)
	}
	for key := range gone {
		p.forget(ctx, key)
	}
}

// forget removes the places of a mapping that is removed. What stays, the next start sweeps.
func (p *Poller) forget(ctx context.Context, key record.Scoped) {
	writes := []store.Write{record.StreamProgresses.Drop(key, store.Unconditional())}
	err := record.StreamShards.Each(ctx, p.opts.Records, record.OfStreamMapping(key), func(h record.Held[record.Scoped, record.StreamShard]) {
		writes = append(writes, record.StreamShards.Drop(h.Key, store.Unconditional()))
	})
	for start := 0; start < len(writes) && err == nil; start += store.CommitWritesMax {
		_, err = p.opts.Records.Commit(ctx, writes[start:min(start+store.CommitWritesMax, len(writes))]...)
	}
	if err != nil && ctx.Err() == nil {
		p.opts.Log.Warn("the places of a removed mapping stay until the next start", "mapping", key.Name, "error", err)
	}
}

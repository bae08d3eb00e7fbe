// Package store owns records and durable queues at rest: the contract that
// store/mem, store/pebble and later distributed engines implement, and that
// store/storetest checks. It must never import a room above level 1, because
// everything that remembers past a restart builds on it; it knows bytes and
// keys, not functions or users.
//
// Vocabulary. A record is a value under a key with the revision of its last
// write. Revisions are one strictly increasing sequence for the whole store;
// every commit takes one. A condition is what a write demands of the record it
// replaces (compare-and-set). A watch replays every commit after a revision
// and then follows. A queue holds messages in order of their due time; a lease
// hides a message from others until it is acknowledged, given back, or the
// lease expires.
//
// Durability. Commit, Enqueue, Ack and Nack return only after their effect is
// on disk; many concurrent writers share one flush. What was not acknowledged
// may or may not survive a crash, but never half of a commit.
//
// Nothing here assumes that this process is the only one with the store:
// leases have owners and expiries, and conditional writes are the only lock.
package store

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Revision orders all commits of a store; 0 means "before the first".
type Revision uint64

// Bounds that every implementation enforces.
const (
	KeyBytesMax     = 1 << 10        // longer: ErrTooLarge
	ValueBytesMax   = 1 << 20        // longer: ErrTooLarge; bigger bytes belong in artifact
	MessageBytesMax = 1<<20 + 64<<10 // longer: ErrTooLarge; an event of 1 MiB and what goes with it
	CommitWritesMax = 1 << 10        // more: ErrTooLarge
	ListLimitMax    = 1 << 10        // more is cut down to this
)

// Error kinds; match with errors.Is.
var (
	ErrNotFound  = errors.New("store: record not found")
	ErrConflict  = errors.New("store: condition not met")
	ErrCompacted = errors.New("store: revision no longer in the change log")
	ErrTooLarge  = errors.New("store: larger than the store's bound")
	ErrClosed    = errors.New("store: closed")
	// ErrLeaseLost means that the receipt is not, or no longer, a valid lease.
	ErrLeaseLost = errors.New("store: lease lost")
	// ErrFull means that the disk is full, or nearly: it is syscall.ENOSPC, too. Nothing was written.
	ErrFull = fmt.Errorf("store: %w", syscall.ENOSPC)
)

// Record is one value with its revision. The value must not be changed by the
// caller.
type Record struct {
	Key      string
	Value    []byte
	Revision Revision
}

// Condition is what a write demands of the current record.
type Condition struct {
	kind     conditionKind
	revision Revision
}

type conditionKind uint8

const (
	condNone conditionKind = iota
	condAbsent
	condExists
	condRevision
)

// Unconditional writes whatever is there.
func Unconditional() Condition { return Condition{} }

// IfAbsent demands that no record has the key.
func IfAbsent() Condition { return Condition{kind: condAbsent} }

// IfExists demands that a record has the key.
func IfExists() Condition { return Condition{kind: condExists} }

// IfRevision demands that the record exists with exactly this revision.
func IfRevision(r Revision) Condition { return Condition{kind: condRevision, revision: r} }

// Holds reports whether the condition is met by a record's state.
func (c Condition) Holds(exists bool, current Revision) bool {
	switch c.kind {
	case condAbsent:
		return !exists
	case condExists:
		return exists
	case condRevision:
		return exists && current == c.revision
	default:
		return true
	}
}

// WriteKind says what a Write does.
type WriteKind uint8

const (
	// WritePut sets the value.
	WritePut WriteKind = iota
	// WriteDelete removes the record; deleting an absent record is no error
	// unless the condition says so.
	WriteDelete
	// WriteCheck changes nothing and only demands its condition.
	WriteCheck
	// WriteErase is a WriteDelete without a condition, for who knows that the record is there: nobody looks, which is
	// much of what deleting costs. Watches are told of it even if nothing was there.
	WriteErase
)

// Write is one part of a commit. A commit holds at most one Write a key.
type Write struct {
	Kind  WriteKind
	Key   string
	Value []byte
	If    Condition
}

// Change is one committed write as a watch reports it.
type Change struct {
	Kind   WriteKind // WritePut or WriteDelete
	Record Record    // Value is nil for a delete
}

// Records is keyed, revisioned, watched data.
type Records interface {
	// Get returns the record or ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)

	// List returns up to limit records whose keys have the prefix and are
	// greater than after ("" starts at the beginning), in key order, and
	// whether more follow.
	List(ctx context.Context, prefix, after string, limit int) (page []Record, more bool, err error)

	// Commit applies all writes atomically and returns the commit's revision,
	// or applies none: ErrConflict (wrapped with the key) if a condition does
	// not hold, ErrTooLarge, ErrFull. It returns after the commit is durable.
	Commit(ctx context.Context, writes ...Write) (Revision, error)

	// Watch sends every change to keys with the prefix committed after
	// revision from, in commit order, without gaps or repeats, until ctx ends
	// (then the channel closes). Changes are sent only after they are durable.
	// ErrCompacted if the log no longer reaches back to from: List again and
	// watch from the revision that Revision returned before the List. A
	// consumer that falls too far behind has its channel closed while its ctx
	// still lives, and must start over the same way.
	Watch(ctx context.Context, prefix string, from Revision) (<-chan Change, error)

	// Revision returns the revision of the last durable commit.
	Revision(ctx context.Context) (Revision, error)
}

// Message is what is put into a queue.
type Message struct {
	Body  []byte
	Delay time.Duration // not delivered before now+Delay
}

// Delivery is a leased message.
type Delivery struct {
	ID       string // unique in the store, unguessable
	Receipt  string // the right to Ack, Nack or Extend; changes with each lease
	Body     []byte
	Enqueued time.Time
	Attempts int // deliveries including this one
}

// Depth tells how full a queue is.
type Depth struct {
	Visible int // due and not leased
	Delayed int // not yet due
	Leased  int
	Oldest  time.Duration // age of the oldest message, 0 if empty
}

// Queues are durable, named on first use. Order is by due time, then by
// arrival; it is best effort across leases, as at-least-once delivery is.
type Queues interface {
	// Enqueue makes all messages durable, atomically, and returns their ids.
	Enqueue(ctx context.Context, queue string, messages ...Message) ([]string, error)
	// Lease takes up to limit due messages for the duration. It returns at once, with
	// none if none is due.
	Lease(ctx context.Context, queue string, limit int, duration time.Duration) ([]Delivery, error)
	// Extend lets the lease end at now+duration. ErrLeaseLost.
	Extend(ctx context.Context, queue, receipt string, duration time.Duration) error
	// Ack removes the message for good. ErrLeaseLost.
	Ack(ctx context.Context, queue, receipt string) error
	// Nack gives the message back, due again at now+delay. ErrLeaseLost.
	Nack(ctx context.Context, queue, receipt string, delay time.Duration) error
	// Depth of a queue never used is zero.
	Depth(ctx context.Context, queue string) (Depth, error)
	// Ready returns a channel that receives (without blocking the sender, so
	// at most one is pending) when the queue may have a due message.
	Ready(queue string) <-chan struct{}
}

// Store is both, with one life.
type Store interface {
	Records
	Queues
	// Close flushes and stops; later calls return ErrClosed.
	Close() error
}

package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lambdad/lambdad/internal/store"
)

// commitLine is what serialises commits: conditions, revisions, the log's end.
type commitLine struct {
	mu       sync.Mutex
	revision store.Revision // of the last commit in the pipeline
	logMax   int
	log      logSize
}

// ledger tells what of the pipeline is on disk.
type ledger struct {
	mu      sync.Mutex
	synced  sync.Cond       // durable moved
	durable atomic.Uint64   // the last revision on disk; moved under mu
	pending []pendingCommit // in the pipeline, not yet known to be on disk
}

type pendingCommit struct {
	revision store.Revision
	changes  []store.Change
}

// Commit applies all writes or none, and returns when they are on disk.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) (store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := store.CheckWrites(writes); err != nil {
		return 0, err
	}
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.life.RUnlock()
	if err := s.mayWrite(needOf(writes)); err != nil {
		return 0, err
	}
	b := s.db.NewBatch()
	revision, err := s.stage(b, writes)
	if err != nil {
		err = errors.Join(err, b.Close())
		if errors.Is(err, store.ErrConflict) {
			// What the condition met must not vanish in a crash after the answer.
			s.waitDurable(revision)
		}
		return 0, err
	}
	if err := s.sync(b); err != nil {
		return 0, err
	}
	s.settle(revision)
	return revision, nil
}

// needOf lets deletes through on a disk that is nearly full: they make room.
func needOf(writes []store.Write) spaceNeed {
	for i := range writes {
		if writes[i].Kind == store.WritePut {
			return spaceToWrite
		}
	}
	return spaceToFree
}

// stage checks the conditions and puts the commit into the pipeline. With
// ErrConflict it returns the revision of the state that it met.
func (s *Store) stage(b *pebble.Batch, writes []store.Write) (store.Revision, error) {
	c := &s.commits
	c.mu.Lock()
	defer c.mu.Unlock()
	exists := make([]bool, len(writes))
	for i := range writes {
		w := &writes[i]
		if w.Kind == store.WriteErase || w.Kind == store.WritePut && w.If == store.Unconditional() {
			continue // without a look at the disk, while all other commits wait
		}
		r, found, err := s.current(w.Key)
		if err != nil {
			return 0, err
		}
		if !w.If.Holds(found, r) {
			return c.revision, fmt.Errorf("%q: %w", w.Key, store.ErrConflict)
		}
		exists[i] = found
	}
	revision := c.revision + 1
	changes := make([]store.Change, 0, len(writes))
	// The entry never grows beyond its capacity, so that the changes' values can
	// lie in it: that is the one copy that is made of them for watches.
	entry := make([]byte, 0, entrySize(writes))
	for i := range writes {
		w := &writes[i]
		change := store.Change{Kind: w.Kind, Record: store.Record{Key: w.Key, Revision: revision}}
		switch {
		case w.Kind == store.WritePut:
			putRecord(b, w, revision)
			entry = appendChange(entry, w.Kind, w.Key, w.Value)
			change.Record.Value = entry[len(entry)-len(w.Value) : len(entry) : len(entry)]
		case w.Kind == store.WriteErase || w.Kind == store.WriteDelete && exists[i]:
			change.Kind = store.WriteDelete
			if err := b.Delete(recordKey(w.Key), nil); err != nil {
				return 0, err
			}
			entry = appendChange(entry, change.Kind, w.Key, nil)
		default:
			continue
		}
		changes = append(changes, change)
	}
	if err := b.Set(logKey(revision), entry, nil); err != nil {
		return 0, err
	}
	if err := c.log.grow(b, revision, len(entry), c.logMax); err != nil {
		return 0, err
	}
	s.ledger.expect(revision, changes)
	if err := s.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		return 0, s.fail(err)
	}
	c.revision = revision
	return revision, nil
}

// entrySize bounds what the writes take in the change log.
func entrySize(writes []store.Write) (n int) {
	for i := range writes {
		n += 1 + 2*binary.MaxVarintLen64 + len(writes[i].Key) + len(writes[i].Value)
	}
	return n
}

// putRecord writes key and value straight into the batch.
func putRecord(b *pebble.Batch, w *store.Write, r store.Revision) {
	op := b.SetDeferred(1+len(w.Key), 8+len(w.Value))
	op.Key[0] = spaceRecord
	copy(op.Key[1:], w.Key)
	binary.BigEndian.PutUint64(op.Value, uint64(r))
	copy(op.Value[8:], w.Value)
	op.Finish()
}

// current is the revision of a record in the latest state, durable or not.
func (s *Store) current(key string) (store.Revision, bool, error) {
	v, closer, err := s.db.Get(recordKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	r, err := decodeRecord(key, v[:min(len(v), 8)])
	return r.Revision, true, errors.Join(err, closer.Close())
}

func (l *ledger) expect(r store.Revision, changes []store.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, pendingCommit{r, changes})
}

// settle records that revision is on disk, and so is all before it: the log is
// one sequence, and a new log file begins only after the old one was synced.
// Watches are told here, in order, under the ledger's lock.
func (s *Store) settle(revision store.Revision) {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if uint64(revision) <= l.durable.Load() {
		return
	}
	n := 0
	for ; n < len(l.pending) && l.pending[n].revision <= revision; n++ {
		s.hub.Publish(l.pending[n].changes)
		l.pending[n].changes = nil
	}
	if l.pending = l.pending[n:]; len(l.pending) == 0 {
		l.pending = nil
	}
	l.durable.Store(uint64(revision))
	l.synced.Broadcast()
}

// waitDurable returns when revision is on disk, or can no longer get there.
func (s *Store) waitDurable(revision store.Revision) {
	l := &s.ledger
	if l.durable.Load() >= uint64(revision) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.durable.Load() < uint64(revision) && s.failed.Load() == nil {
		l.synced.Wait()
	}
}

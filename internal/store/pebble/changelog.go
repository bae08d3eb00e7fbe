package pebble

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lambdad/lambdad/internal/store"
)

// logParts is in how many steps the change log is trimmed, so that each trim
// removes a stretch of it with one range deletion.
const logParts = 8

// logSize counts the change log in parts, oldest first. The newest part is
// still growing and never trimmed, so that the log always tells the last
// revision.
type logSize struct {
	parts   []logPart
	commits int
	bytes   int
}

type logPart struct {
	first   store.Revision
	commits int
	bytes   int
}

// grow counts one more entry, and adds the trim to its batch when the log is
// over a bound.
func (l *logSize) grow(b *pebble.Batch, r store.Revision, bytes, commitsMax int) error {
	l.count(r, bytes, commitsMax)
	trimmed := false
	for len(l.parts) > 1 && (l.commits > commitsMax || l.bytes > logBytesMax) {
		l.commits -= l.parts[0].commits
		l.bytes -= l.parts[0].bytes
		l.parts = l.parts[1:]
		trimmed = true
	}
	if !trimmed {
		return nil
	}
	return b.DeleteRange(logKey(0), logKey(l.parts[0].first), nil)
}

func (l *logSize) count(r store.Revision, bytes, commitsMax int) {
	last := len(l.parts) - 1
	if last < 0 || l.parts[last].commits >= max(commitsMax/logParts, 1) || l.parts[last].bytes >= logBytesMax/logParts {
		l.parts = append(l.parts, logPart{first: r})
		last++
	}
	l.parts[last].commits++
	l.parts[last].bytes += bytes
	l.commits++
	l.bytes += bytes
}

// recover reads where the log ends and how big it is.
func (s *Store) recover() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceLog}, UpperBound: []byte{spaceLog + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		r, err := logRevision(it.Key())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if s.commits.revision != 0 && r != s.commits.revision+1 {
			return errors.Join(fmt.Errorf("change log: %d follows %d: %w", r, s.commits.revision, errCorrupt), it.Close())
		}
		v := it.LazyValue()
		s.commits.log.count(r, v.Len(), s.commits.logMax)
		s.commits.revision = r
	}
	s.ledger.durable.Store(uint64(s.commits.revision))
	return errors.Join(it.Error(), it.Close())
}

// Watch replays the log from a revision and then follows.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (<-chan store.Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	s.ledger.mu.Lock()
	joined := store.Revision(s.ledger.durable.Load()) // what comes after it, the hub will tell
	w, ok := s.hub.Join(prefix)
	s.ledger.mu.Unlock()
	if !ok {
		return nil, store.ErrClosed
	}
	if from >= joined {
		go w.Run(ctx, nil)
		return w.Changes(), nil
	}
	// The iterator pins the log as it is: trimming cannot overtake the replay.
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: logKey(from + 1), UpperBound: logKey(joined + 1)})
	if err != nil {
		w.Abandon()
		return nil, fmt.Errorf("watch: %w", err)
	}
	if err := startsAt(it, from+1); err != nil {
		w.Abandon()
		return nil, errors.Join(fmt.Errorf("watch from %d: %w", from, err), it.Close())
	}
	go w.Run(ctx, func(yield func(store.Change) bool) error { return replay(it, yield) })
	return w.Changes(), nil
}

func startsAt(it *pebble.Iterator, want store.Revision) error {
	if !it.First() {
		return errors.Join(store.ErrCompacted, it.Error())
	}
	r, err := logRevision(it.Key())
	if err != nil {
		return err
	}
	if r != want {
		return fmt.Errorf("log begins at %d: %w", r, store.ErrCompacted)
	}
	return nil
}

// replay tells what the positioned iterator holds and closes it.
func replay(it *pebble.Iterator, yield func(store.Change) bool) (err error) {
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	for ok := it.Valid(); ok; ok = it.Next() {
		r, err := logRevision(it.Key())
		if err != nil {
			return err
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		changes, err := decodeChanges(r, v)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if !yield(c) {
				return nil
			}
		}
	}
	return nil
}

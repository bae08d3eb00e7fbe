// Package pebble owns the store of one machine: records, their change log and
// queues in one folder, on the Pebble engine. Everything acknowledged is on
// disk; concurrent writers share an fsync through the engine's commit pipeline.
// It must never import a room but store (and aws), so that a distributed
// engine can take its place without anybody above noticing.
//
// The way of a commit: under one short lock its conditions are checked against
// the latest state, it takes the next revision and is put into the pipeline
// (write-ahead log and memtable); then, without the lock, it waits until the
// log is synced. So conditions are serial, and 64 writers still share one sync.
// Reads wait out the sync of what they read, and watches are told only after it.
package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/notify"
)

// Sizes of the engine: enough for a busy machine, small beside a function.
const (
	cacheBytes    = 32 << 20
	memTableBytes = 16 << 20
)

// Bounds of the change log that watches replay from; older changes answer
// store.ErrCompacted.
const (
	logCommitsMax = 1 << 16
	logBytesMax   = 64 << 20
)

// freeBytesMin is left free on the disk for flushes and compactions, which a
// full disk must not stop.
const freeBytesMin = 64 << 20

// formatVersion is raised only together with code that reads the older one.
const formatVersion = pebble.FormatValueSeparation

// Options changes what Open does by default.
type Options struct {
	// Now is the clock of queues; nil is time.Now.
	Now func() time.Time
	// FS replaces the operating system's files, for tests.
	FS vfs.FS
	// Log is told of the engine's background errors; nil is slog.Default().
	Log *slog.Logger
	// FreeBytesMin is the room on disk under which writes answer store.ErrFull;
	// 0 is the default, negative is none.
	FreeBytesMin int64
	// LogCommitsMax is how many commits a watch can go back; 0 is the default.
	LogCommitsMax int
}

// Store holds records and queues in a folder.
type Store struct {
	now   func() time.Time
	db    *pebble.DB
	lock  *pebble.Lock
	space *space
	hub   *notify.Hub
	bells *notify.Bells

	// life is read-held by every call, and write-held by Close.
	life   sync.RWMutex
	closed bool
	failed atomic.Pointer[error] // the first sync that failed; nothing is written after it

	commits commitLine
	ledger  ledger

	queuesMu sync.Mutex
	queues   map[string]*queue
}

var _ store.Store = (*Store)(nil)

// ErrInUse means that another process, or this one, has the folder open.
var ErrInUse = errors.New("store: folder is in use")

// Open opens the store in dir, and makes it if there is none.
func Open(dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.FreeBytesMin == 0 {
		o.FreeBytesMin = freeBytesMin
	}
	if o.LogCommitsMax <= 0 {
		o.LogCommitsMax = logCommitsMax
	}
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		now:    o.Now,
		space:  newSpace(o.FS, dir, o.FreeBytesMin),
		hub:    notify.NewHub(),
		bells:  notify.NewBells(),
		queues: make(map[string]*queue),
	}
	s.commits.logMax = o.LogCommitsMax
	s.ledger.synced.L = &s.ledger.mu
	if err := s.space.check(spaceToFree); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	var err error
	if s.lock, err = pebble.LockDirectory(dir, o.FS); err != nil {
		return nil, fmt.Errorf("open store %s: %w: %w", dir, ErrInUse, err)
	}
	if err := s.open(dir, o); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, errors.Join(err, s.lock.Close()))
	}
	s.space.waitWhenFull()
	return s, nil
}

func (s *Store) open(dir string, o Options) error {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	options := &pebble.Options{
		Cache:              cache,
		FS:                 s.space.wrap(o.FS),
		FormatMajorVersion: formatVersion,
		Lock:               s.lock,
		Logger:             engineLog{o.Log},
		MemTableSize:       memTableBytes,
	}
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	if err := create(dir, *options); err != nil {
		return err
	}
	var err error
	if s.db, err = pebble.Open(dir, options); err != nil {
		return err
	}
	if err := s.recover(); err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

// create makes a new store's files and closes them again. The engine makes the first log of a new store before it
// raises the store to our format: it would lack the offsets by which a log that is damaged in its middle, where
// acknowledged commits follow, can be told from one that a crash cut off. The next log has them.
func create(dir string, options pebble.Options) error {
	there, err := pebble.Peek(dir, options.FS)
	if err != nil || there.Exists {
		return err
	}
	db, err := pebble.Open(dir, &options)
	if err != nil {
		return err
	}
	return db.Close()
}

// Close flushes and stops; later calls return store.ErrClosed.
func (s *Store) Close() error {
	s.space.close()
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	s.bells.Close()
	s.hub.Close()
	return errors.Join(s.db.Close(), s.lock.Close())
}

// Full reports whether writes are refused for want of room, for health checks.
func (s *Store) Full() bool { return s.space.check(spaceToWrite) != nil }

// begin starts a call; on nil the caller must s.life.RUnlock.
func (s *Store) begin() error {
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return store.ErrClosed
	}
	return nil
}

// mayWrite reports why nothing can be written now.
func (s *Store) mayWrite(need spaceNeed) error {
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	return s.space.check(need)
}

// sync waits until the batch, already in the pipeline, is on disk. After a
// failed sync nobody knows what the disk holds, so the store writes no more: a
// restart reads what is there.
func (s *Store) sync(b *pebble.Batch) error {
	if err := b.SyncWait(); err != nil {
		return s.fail(err)
	}
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	return b.Close()
}

// fail makes the store refuse writes from now on.
func (s *Store) fail(err error) error {
	err = fmt.Errorf("store: writing failed, restart to recover: %w", err)
	s.failed.CompareAndSwap(nil, &err)
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.synced.Broadcast()
	return err
}

// engineLog passes on what an operator must know. Fatalf is the engine's last
// word before it would leave its state inconsistent, or when it reads what was not
// written: dying there is safe. An operator is told in a line, not by the stacks of a panic.
type engineLog struct{ log *slog.Logger }

func (engineLog) Infof(string, ...any) {}

func (l engineLog) Errorf(format string, args ...any) {
	l.log.Error("store engine", "error", fmt.Sprintf(format, args...))
}

func (l engineLog) Fatalf(format string, args ...any) {
	what, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n") // stack traces follow
	l.log.Error("the store's files are damaged or cannot be written: lambdad stops; if it does not start again, put a copy of the data folder in place", "error", what)
	os.Exit(1)
}

package artifact

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// SweepGrace: what was put more recently is never swept, since its record may not be written yet.
const SweepGrace = time.Hour

// Options of a Store; a zero field takes the default beside it.
type Options struct {
	ZipBytesMax      int64         // ZipBytesMax
	UnzippedBytesMax int64         // UnzippedBytesMax
	FilesMax         int           // FilesMax
	UnpackParallel   int           // one for each CPU, at most 4: bounds memory (some 100 MiB each at worst) and disk traffic
	SweepGrace       time.Duration // SweepGrace
	FreeBytesMin     int64         // FreeBytesMin
}

// Store keeps deployment packages and layers in one directory of its own:
//
//	LOCK                     held while a process has the store open
//	staging/*                work in progress; whatever an earlier process left is removed by Open
//	zips/<digest>/code.zip   the bytes, durable
//	zips/<digest>/tree/      what is mounted at /var/task or /opt
//	zips/<digest>/complete   names the boot in which tree was completely written
//
// A digest's directory appears by one rename, when everything in it is whole.
// Its methods may be called concurrently.
type Store struct {
	dir    string
	limits bounds
	grace  time.Duration
	boot   string
	lock   *os.File

	unpacking chan struct{} // tokens

	diskFree     func() (int64, error)
	freeBytesMin int64
	taken        atomic.Int64 // bytes that are about to be written

	mu    sync.Mutex
	slots map[Digest]*slot
}

// slot serialises what changes one digest, and counts its holders. It exists
// while anybody is interested.
type slot struct {
	busy  chan struct{} // holds one token while somebody changes the digest
	users int
	holds int
}

// Open opens or makes the store in dir, which belongs to it alone.
func Open(dir string, o Options) (*Store, error) {
	parallel := o.UnpackParallel
	if parallel <= 0 {
		parallel = min(runtime.GOMAXPROCS(0), 4)
	}
	s := &Store{
		dir: dir,
		limits: bounds{
			zipBytesMax:      orDefault(o.ZipBytesMax, ZipBytesMax),
			unzippedBytesMax: orDefault(o.UnzippedBytesMax, UnzippedBytesMax),
			filesMax:         orDefault(o.FilesMax, FilesMax),
		},
		grace:     orDefault(o.SweepGrace, SweepGrace),
		unpacking: make(chan struct{}, parallel),
		slots:     make(map[Digest]*slot),

		freeBytesMin: orDefault(o.FreeBytesMin, FreeBytesMin),
	}
	var err error
	if s.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("artifact: open: %w", err)
	}
	// The trees below are mounted into sandboxes, so they need no secrecy from this
	// machine's root, and get all of it from other users.
	for _, d := range []string{s.dir, s.zips(), s.staging()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("artifact: open: %w", err)
		}
	}
	if s.lock, err = lockFile(filepath.Join(s.dir, "LOCK")); err != nil {
		return nil, fmt.Errorf("artifact: open %s: %w", s.dir, err)
	}
	if err := emptyDir(s.staging()); err != nil {
		s.lock.Close()
		return nil, fmt.Errorf("artifact: sweep what an earlier process left: %w", err)
	}
	s.boot = bootID()
	s.diskFree = func() (int64, error) { return freeBytes(s.dir) }
	return s, nil
}

// Close gives the directory free. Nothing may be under way.
func (s *Store) Close() error { return s.lock.Close() }

// OpenZip opens the stored bytes; the second result is their number.
func (s *Store) OpenZip(d Digest) (io.ReadSeekCloser, int64, error) {
	f, size, err := s.openZip(d)
	if err != nil {
		return nil, 0, err
	}
	return f, size, nil
}

func (s *Store) openZip(d Digest) (*os.File, int64, error) {
	if !d.valid() {
		return nil, 0, fmt.Errorf("%w: %q", ErrNotFound, clip(string(d)))
	}
	f, err := os.Open(s.zipFile(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", ErrNotFound, d)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("artifact: open zip: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("artifact: open zip: %w", err)
	}
	return f, info.Size(), nil
}

func (s *Store) zips() string            { return filepath.Join(s.dir, "zips") }
func (s *Store) staging() string         { return filepath.Join(s.dir, "staging") }
func (s *Store) home(d Digest) string    { return filepath.Join(s.zips(), string(d)) }
func (s *Store) zipFile(d Digest) string { return filepath.Join(s.home(d), "code.zip") }
func (s *Store) tree(d Digest) string    { return filepath.Join(s.home(d), "tree") }
func (s *Store) marker(d Digest) string  { return filepath.Join(s.home(d), "complete") }

// use finds or makes the slot of d; done must be called once.
func (s *Store) use(d Digest) (sl *slot, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl = s.slots[d]
	if sl == nil {
		sl = &slot{busy: make(chan struct{}, 1)}
		s.slots[d] = sl
	}
	sl.users++
	return sl, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unuse(d, sl)
	}
}

func (s *Store) unuse(d Digest, sl *slot) {
	if sl.users--; sl.users == 0 {
		delete(s.slots, d)
	}
}

// change waits until nobody else changes d.
func (s *Store) change(ctx context.Context, d Digest) (done func(), err error) {
	sl, unuse := s.use(d)
	select {
	case sl.busy <- struct{}{}:
		return func() { <-sl.busy; unuse() }, nil
	case <-ctx.Done():
		unuse()
		return nil, ctx.Err()
	}
}

func (s *Store) startUnpacking(ctx context.Context) (done func(), err error) {
	select {
	case s.unpacking <- struct{}{}:
		return func() { <-s.unpacking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// bootID names this boot of the machine, or this process where the kernel does not tell.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return rand.Text()
	}
	return strings.TrimSpace(string(raw))
}

// lockFile holds an exclusive lock until the file is closed or the process ends.
func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another process has it open: %w", err)
	}
	return f, nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

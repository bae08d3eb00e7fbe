package pebble

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lambdad/lambdad/internal/store"
)

const (
	// spaceCheckEvery is how old the measured free space may be.
	spaceCheckEvery = 50 * time.Millisecond
	// fullRetryEvery is how often a write that met a full disk is tried again.
	fullRetryEvery = 50 * time.Millisecond
)

// spaceNeed says what a write is for. What frees space may go deeper into the
// reserve than what takes it.
type spaceNeed int

const (
	spaceToWrite spaceNeed = iota
	spaceToFree
)

// space keeps a full disk away from the engine, which cannot survive one: its
// log and manifest must not fail. Writes are refused while some room is left;
// and if other programs fill the disk to the last byte, the engine's own
// writes wait for room, and new commits are refused at once.
type space struct {
	fs  vfs.FS
	dir string
	min int64

	measured atomic.Int64 // when, in unix nanoseconds
	free     atomic.Int64
	stuck    atomic.Int64 // writes of the engine that wait for room
	waits    atomic.Bool  // false: a full disk is an error, while opening and closing
}

func newSpace(fs vfs.FS, dir string, min int64) *space {
	return &space{fs: fs, dir: dir, min: min}
}

func (s *space) waitWhenFull() { s.waits.Store(true) }

func (s *space) close() { s.waits.Store(false) }

func (s *space) check(need spaceNeed) error {
	if s.stuck.Load() > 0 {
		return fmt.Errorf("disk of %s: %w", s.dir, store.ErrFull)
	}
	if s.min < 0 {
		return nil
	}
	if now := time.Now().UnixNano(); now-s.measured.Load() > int64(spaceCheckEvery) {
		usage, err := s.fs.GetDiskUsage(s.dir)
		if errors.Is(err, vfs.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("free space of %s: %w", s.dir, err)
		}
		s.free.Store(int64(min(usage.AvailBytes, 1<<62)))
		s.measured.Store(now)
	}
	least := s.min
	if need == spaceToFree {
		least /= 4
	}
	if free := s.free.Load(); free < least {
		return fmt.Errorf("disk of %s has %d bytes left of %d that must stay free: %w", s.dir, free, least, store.ErrFull)
	}
	return nil
}

// retry runs a write of the engine until it does not meet a full disk.
func (s *space) retry(write func() error) error {
	err := write()
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	s.stuck.Add(1)
	defer s.stuck.Add(-1)
	for s.waits.Load() {
		time.Sleep(fullRetryEvery)
		err = write()
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			return err
		}
	}
	return err
}

func (s *space) wrap(fs vfs.FS) vfs.FS { return spaceFS{fs, s} }

// spaceFS lets every operation that takes room wait for it.
type spaceFS struct {
	vfs.FS
	space *space
}

func (f spaceFS) Unwrap() vfs.FS { return f.FS }

func (f spaceFS) file(open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.space.retry(func() error {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return spaceFile{file, f.space}, nil
}

func (f spaceFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.Create(name, category) })
}

func (f spaceFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

func (f spaceFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

func (f spaceFS) Link(oldname, newname string) error {
	return f.space.retry(func() error { return f.FS.Link(oldname, newname) })
}

func (f spaceFS) Rename(oldname, newname string) error {
	return f.space.retry(func() error { return f.FS.Rename(oldname, newname) })
}

type spaceFile struct {
	vfs.File
	space *space
}

func (f spaceFile) Write(p []byte) (int, error) {
	done := 0
	err := f.space.retry(func() error {
		n, err := f.File.Write(p[done:])
		done += n
		return err
	})
	return done, err
}

func (f spaceFile) WriteAt(p []byte, offset int64) (int, error) {
	done := 0
	err := f.space.retry(func() error {
		n, err := f.File.WriteAt(p[done:], offset+int64(done))
		done += n
		return err
	})
	return done, err
}

// Preallocate is a wish: without room for it the write itself will wait.
func (f spaceFile) Preallocate(offset, length int64) error {
	err := f.File.Preallocate(offset, length)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return nil
	}
	return err
}

package artifact

import (
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// FreeBytesMin is what packages leave free of their disk. It is twice what the store wants to go on: a disk that
	// uploads have filled must still take what deletes functions again, and the next start.
	FreeBytesMin = 128 << 20
	// roomCheckEvery is how many bytes a spooled package may grow until the disk is looked at again.
	roomCheckEvery = 1 << 20
	// blockBytes is what a file or directory takes of a disk beside its bytes, at most.
	blockBytes = 4096
)

// takeRoom is an error if the disk cannot hold so many bytes more beside what others are about to write; otherwise
// they are taken from it until giveBack is called, when they lie on the disk or are not needed.
func (s *Store) takeRoom(bytes int64) (giveBack func(), err error) {
	free, err := s.diskFree()
	if err != nil {
		return nil, err
	}
	if taken := s.taken.Add(bytes); free-taken < s.freeBytesMin {
		s.taken.Add(-bytes)
		return nil, fmt.Errorf("disk of %s has %d bytes left, of which %d must stay free, for %d: %w", s.dir, free, s.freeBytesMin, taken, syscall.ENOSPC)
	}
	return func() { s.taken.Add(-bytes) }, nil
}

// freeBytes is what is left of the directory's disk for users without privileges.
func freeBytes(dir string) (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(min(disk.Bavail, 1<<40)) * int64(disk.Bsize), nil
}

// roomWriter writes while there is room.
type roomWriter struct {
	to    io.Writer
	store *Store
	left  int // until the disk is looked at again
}

func (w *roomWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		giveBack, err := w.store.takeRoom(int64(len(p)))
		if err != nil {
			return 0, err
		}
		defer giveBack()
		w.left = roomCheckEvery
	}
	return w.to.Write(p)
}

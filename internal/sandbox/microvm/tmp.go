package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// tmpDisks makes disks for /tmp: an empty filesystem of each size once, and copies of it.
type tmpDisks struct {
	dir  string
	mke2 string // "" without the tool

	mu sync.Mutex
}

func openTmpDisks(dir string, log *slog.Logger) *tmpDisks {
	t := &tmpDisks{dir: dir}
	for _, name := range []string{"mke2fs", "/usr/sbin/mke2fs", "/sbin/mke2fs"} {
		if path, err := exec.LookPath(name); err == nil {
			t.mke2 = path
			return t
		}
	}
	log.Warn("/tmp is in memory and counts towards a function's limit; mke2fs (package e2fsprogs) would change that")
	return t
}

func (t *tmpDisks) unenforced() []string {
	if t.mke2 == "" {
		return []string{isolate.TmpInMemory}
	}
	return nil
}

// make makes an empty disk; nil if it must be in memory.
func (t *tmpDisks) make(ctx context.Context, mib int) (*os.File, error) {
	if t.mke2 == "" || mib <= 0 {
		return nil, nil
	}
	path := filepath.Join(t.dir, fmt.Sprintf("tmp-%d.ext4", mib))
	t.mu.Lock()
	defer t.mu.Unlock()
	empty, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := t.format(ctx, path, mib); err != nil {
			return nil, err
		}
		empty, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	defer empty.Close()
	return t.copy(empty)
}

func (t *tmpDisks) format(ctx context.Context, path string, mib int) error {
	half := path + ".tmp"
	err := os.WriteFile(half, nil, 0o600)
	if err == nil {
		err = os.Truncate(half, int64(mib)<<20)
	}
	if err != nil {
		return fmt.Errorf("microvm: %w", err)
	}
	// No journal: what a crash leaves, nobody looks at. One inode for 16 KiB is ext4's own habit.
	out, err := exec.CommandContext(ctx, t.mke2, "-q", "-F", "-t", "ext4", "-m", "0", "-i", "16384", "-O", "^has_journal,^metadata_csum,^resize_inode",
		"-E", "lazy_itable_init=1,nodiscard,root_owner=0:0", half).CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("microvm: %s: %w: %s", t.mke2, err, out), os.Remove(half))
	}
	return os.Rename(half, path)
}

// copy makes a disk like another, in a file without a name.
func (t *tmpDisks) copy(from *os.File) (*os.File, error) {
	fd, err := unix.Open(t.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("microvm: a disk for /tmp: %w", err)
	}
	to := os.NewFile(uintptr(fd), "tmp")
	if err := copySparse(to, from); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: a disk for /tmp: %w", err), to.Close())
	}
	return to, nil
}

// copySparse copies what a file holds, and its holes as holes.
func copySparse(to, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if err := to.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); at < info.Size(); {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return nil // nothing but a hole
		}
		if err != nil {
			return err
		}
		hole, err := unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(to, data), io.NewSectionReader(from, data, hole-data)); err != nil {
			return err
		}
		at = hole
	}
	return nil
}

// sizeOf is what a file takes of its filesystem, or of memory.
func sizeOf(f *os.File) int64 {
	var s unix.Stat_t
	if unix.Fstat(int(f.Fd()), &s) != nil {
		return 0
	}
	return s.Blocks * 512
}

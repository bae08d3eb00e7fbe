package microvm

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
)

// room is the directory in which one Firecracker runs: its sockets, and a name for each drive.
type room string

func newRoom(parent string) (room, error) {
	r := room(filepath.Join(parent, strings.ToLower(rand.Text()[:16])))
	if err := os.MkdirAll(string(r), 0o700); err != nil {
		return "", fmt.Errorf("microvm: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(string(r), vmmID, vmmID); err != nil {
			return "", errors.Join(fmt.Errorf("microvm: %w", err), r.remove())
		}
	}
	return r, nil
}

func (r room) path(name string) string { return filepath.Join(string(r), name) }
func (r room) remove() error           { return os.RemoveAll(string(r)) }

// place gives a file a name in the room, for a monitor that runs already and cannot be
// lent it. One to read that has no name any more, or is on another filesystem, is copied.
func (r room) place(d disk, name string) error {
	half := r.path(name + ".new")
	err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", d.file.Fd()), unix.AT_FDCWD, half, unix.AT_SYMLINK_FOLLOW)
	if err != nil && !d.writable {
		err = copyTo(half, d.file)
	}
	if err == nil {
		err = os.Rename(half, r.path(name))
	}
	if err != nil {
		return fmt.Errorf("microvm: show a disk to the monitor: %w", err)
	}
	return nil
}

func copyTo(path string, from *os.File) error {
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(copySparse(to, from), to.Chmod(0o444), to.Close())
}

// driveName is a drive's name for Firecracker, and that of its file in the room.
func driveName(slot int) string { return fmt.Sprintf("d%d", slot) }

// slotOf is the drive that a disk goes behind. There are only so many, as a machine
// has only so many interrupts.
func slotOf(d disk) (int, error) {
	slot, ok := guest.Slot(d.number)
	if !ok || d.writable != (slot == guest.TmpSlot) {
		return 0, fmt.Errorf("microvm: Firecracker has no drive for disk %d; it has %d for a root filesystem, %d for code, layers and mounts (--firecracker=off chooses QEMU): %w",
			d.number, guest.RootSlots, guest.StartSlots, sandbox.ErrUnsupported)
	}
	return slot, nil
}

// allow lets the monitor's user open a disk by its name. Nobody else comes by: the
// driver's directory is closed.
func allow(d disk) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if d.writable {
		return d.file.Chown(vmmID, vmmID)
	}
	info, err := d.file.Stat()
	if err != nil || info.Mode().Perm()&0o004 != 0 {
		return err
	}
	return d.file.Chmod(info.Mode().Perm() | 0o444)
}

// newNothing is behind drives without a disk: one sector, which tells the guest to
// wait. It is sealed, so that machines cannot speak through it.
func newNothing() (*os.File, error) {
	f, err := newMemory(0)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(guest.NothingBytes), seal(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: %w", err), f.Close())
	}
	return f, nil
}

const (
	pageBytes = 4096
	scanBytes = 1 << 20
)

// punchZeros gives back the pages of a file that hold nothing but zeros.
func punchZeros(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	chunk, zeros := make([]byte, scanBytes), make([]byte, pageBytes)
	for at := int64(0); at < info.Size(); at += scanBytes {
		n, err := f.ReadAt(chunk, at)
		if err != nil && err != io.EOF {
			return err
		}
		for page := 0; page+pageBytes <= n; {
			end := page
			for end+pageBytes <= n && bytes.Equal(chunk[end:end+pageBytes], zeros) {
				end += pageBytes
			}
			if end > page {
				if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at+int64(page), int64(end-page)); err != nil {
					return fmt.Errorf("microvm: %w", err)
				}
			}
			page = end + pageBytes
		}
	}
	return nil
}

package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// unwanted are mounts that gVisor makes by itself and Lambda does not have.
var unwanted = []string{"/sys", "/dev/shm", "/dev/pts", "/dev/mqueue"}

// devices that every function finds; of the rest that gVisor makes none is on Lambda.
var devices = map[string]bool{
	"null": true, "zero": true, "full": true, "random": true, "urandom": true,
	"fd": true, "stdin": true, "stdout": true, "stderr": true,
}

// discard takes gVisor's own extras away.
func discard() error {
	for _, path := range unwanted {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !devices[e.Name()] {
			if err := os.RemoveAll(filepath.Join("/dev", e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Mount("", "/dev", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("protect /dev: %w", err)
	}
	return nil
}

// furnish binds what lies on the shelf into place, and at last takes the shelf away.
func furnish(s Start) error {
	for _, b := range s.Binds {
		if err := bind(b); err != nil {
			return err
		}
	}
	if s.Last {
		if err := unix.Unmount(Shelf, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", Shelf, err)
		}
	}
	if len(s.Argv) == 0 {
		return nil
	}
	info, err := os.Stat(s.Dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

func bind(b Bind) error {
	source := filepath.Join(Shelf, b.Name)
	if err := unix.Mount(source, b.Target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind at %s: %w", b.Target, err)
	}
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_NOSUID | unix.MS_NODEV)
	if !b.Writable {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("", b.Target, "", flags, ""); err != nil {
		return fmt.Errorf("protect %s: %w", b.Target, err)
	}
	return nil
}

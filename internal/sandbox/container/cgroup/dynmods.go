package cgroup

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// FavorDynMods makes moving a process into a group fast (40 us in place of 8 ms
// after a quiet moment, for every hierarchy of the host), at the price of a
// slightly dearer fork. The effect lasts until the returned file is closed: it
// holds a hierarchy without controllers that is mounted nowhere, so nothing is
// left behind when the process dies.
func FavorDynMods(name string) (*os.File, error) {
	fs, err := unix.Fsopen("cgroup", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cgroup: fsopen: %w", err)
	}
	defer unix.Close(fs)
	for _, set := range []func() error{
		func() error { return unix.FsconfigSetFlag(fs, "none") },
		func() error { return unix.FsconfigSetString(fs, "name", name) },
		func() error { return unix.FsconfigSetFlag(fs, "favordynmods") },
		func() error { return unix.FsconfigCreate(fs) },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("cgroup: favordynmods: %w", err)
		}
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup: favordynmods: %w", err)
	}
	return os.NewFile(uintptr(fd), "favordynmods:"+name), nil
}

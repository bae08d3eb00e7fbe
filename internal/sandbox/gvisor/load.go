package gvisor

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// load is what goes on a sandbox's shelf, and where process 1 binds it.
type load struct {
	box    *box
	places []place
	binds  []inside.Bind
}

// fill takes everything that a start brings.
func (l *load) fill(ctx context.Context, spec sandbox.StartSpec) error {
	wanted := spec.Mounts
	if spec.CodeDir != "" {
		wanted = append([]sandbox.Mount{{Source: spec.CodeDir, Target: isolate.CodeDir}}, wanted...)
	}
	if err := l.mounts(wanted); err != nil {
		return err
	}
	if len(spec.LayerDirs) > 0 {
		fd, err := layers(spec.LayerDirs)
		if err != nil {
			return err
		}
		if err := l.add(fd, false, "/opt", false); err != nil {
			return err
		}
	}
	if spec.Limits.TmpMiB == 0 {
		return nil
	}
	fd, err := l.box.takeTmp(ctx, spec.Limits.TmpMiB)
	if err != nil {
		return err
	}
	if err := l.add(fd, false, "/tmp", true); err != nil {
		return err
	}
	l.box.shelved[len(l.box.shelved)-1].tmp = true
	return nil
}

func (l *load) mounts(list []sandbox.Mount) error {
	for _, mount := range list {
		if err := isolate.CheckMount(mount); err != nil {
			return err
		}
		fd, file, err := clone(mount.Source)
		if err != nil {
			return err
		}
		if err := l.add(fd, file, mount.Target, false); err != nil {
			return err
		}
	}
	return nil
}

// add takes a detached mount. Names on the shelf are used once: the sentry
// remembers what it saw there.
func (l *load) add(fd int, file bool, target string, writable bool) error {
	l.box.mu.Lock()
	name := strconv.Itoa(l.box.laid)
	l.box.laid++
	l.box.mu.Unlock()
	l.places = append(l.places, place{fd: fd, file: file, root: l.box.shelf, name: name})
	l.binds = append(l.binds, inside.Bind{Name: name, Target: target, Writable: writable})
	l.box.shelved = append(l.box.shelved, shelved{name: name, file: file})
	l.box.points = append(l.box.points, point{target[1:], file})
	// The root is closed to the sandbox; points for further mounts are made here.
	return mountPoint(l.box.root, target[1:], file)
}

// layersDir is where layers are, one over another.
const layersDir = "/opt"

// layers is one tree of them all.
func layers(dirs []string) (int, error) {
	for _, dir := range dirs {
		if err := isolate.CheckMount(sandbox.Mount{Source: dir, Target: layersDir}); err != nil {
			return -1, err
		}
	}
	if len(dirs) == 1 {
		fd, _, err := clone(dirs[0])
		return fd, err
	}
	return overlay(dirs, "", "")
}

// makeTmp makes the parked sandbox's /tmp while its sentry boots.
func (b *box) makeTmp(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if b.driver.disks == nil {
		done <- nil
		return done
	}
	go func() {
		fd, err := b.driver.disks.Make(ctx, isolate.TmpParkedMiB, 0)
		if err == nil {
			b.mu.Lock()
			b.tmp = os.NewFile(uintptr(fd), "tmp")
			b.mu.Unlock()
		}
		done <- err
	}()
	return done
}

// takeTmp gives the sandbox the disk that was made ahead, or one of the size
// that it wants.
func (b *box) takeTmp(ctx context.Context, mib int) (int, error) {
	b.mu.Lock()
	ahead := b.tmp
	if mib == isolate.TmpParkedMiB {
		b.tmp = nil
	}
	b.mu.Unlock()
	if ahead == nil || mib != isolate.TmpParkedMiB {
		return b.newTmp(ctx, mib)
	}
	defer ahead.Close()
	return unix.FcntlInt(ahead.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func (b *box) newTmp(ctx context.Context, mib int) (int, error) {
	if b.driver.disks == nil {
		return tmpfs(mib)
	}
	return b.driver.disks.Make(ctx, mib, 0)
}

func tmpfs(mib int) (int, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("tmpfs: %w", err)
	}
	defer unix.Close(fs)
	for name, value := range map[string]string{
		"size": strconv.Itoa(mib) + "m", "nr_inodes": strconv.Itoa(mib * isolate.InodesPerMiB), "mode": "1777",
	} {
		if err := unix.FsconfigSetString(fs, name, value); err != nil {
			return -1, fmt.Errorf("tmpfs: %w", err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("tmpfs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return -1, fmt.Errorf("tmpfs: %w", err)
	}
	return fd, nil
}

package gvisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// workshop is a thread in a mount namespace of its own. Roots are put together
// there and runsc is started from there, so that the host sees none of the
// mounts, and a lambdad that is killed leaves none. What is mounted on a shelf
// later reaches the sandbox by propagation: the gofer's namespace is a slave.
type workshop struct {
	dir   string // sees a tmpfs in the workshop only
	tasks chan func()
	ended chan struct{}
}

func newWorkshop(dir string) (*workshop, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	w := &workshop{dir: dir, tasks: make(chan func()), ended: make(chan struct{})}
	ready := make(chan error)
	onOwnThread(func() { w.run(ready) })
	if err := <-ready; err != nil {
		return nil, fmt.Errorf("gvisor: mount namespace: %w", err)
	}
	return w, nil
}

func (w *workshop) run(ready chan<- error) {
	defer close(w.ended)
	err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, "")
	}
	if err == nil {
		err = unix.Mount("lambdad", w.dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755")
	}
	ready <- err
	if err != nil {
		return
	}
	for task := range w.tasks {
		task()
	}
}

// do runs a task on the thread.
func (w *workshop) do(task func() error) error {
	done := make(chan error, 1)
	w.tasks <- func() { done <- task() }
	return <-done
}

func (w *workshop) close() {
	close(w.tasks)
	<-w.ended
}

// bench is the place of one sandbox: a mount of its own, so that one unmount
// takes all that lies on it.
func (w *workshop) bench(name string) (string, error) {
	dir := filepath.Join(w.dir, name)
	return dir, w.do(func() error {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		options := fmt.Sprintf("mode=0755,size=%dk,nr_inodes=%d", rootKiB, rootInodes)
		if err := unix.Mount("lambdad", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return errors.Join(err, os.Remove(dir))
		}
		return unix.Mount("", dir, "", unix.MS_SHARED, "")
	})
}

// clear takes a bench away.
func (w *workshop) clear(dir string) error {
	return w.do(func() error {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			err = nil // never mounted
		}
		if removed := os.Remove(dir); removed != nil && !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
		return err
	})
}

// openRoot opens a directory of the workshop. Names below it, and links that a
// base image brings, never lead out of it.
func (w *workshop) openRoot(dir string) (root *os.Root, err error) {
	err = w.do(func() error {
		root, err = os.OpenRoot(dir)
		return err
	})
	return root, err
}

// place is a detached mount and where it is to be.
type place struct {
	fd   int
	file bool
	root *os.Root
	name string // below root
}

// put attaches mounts, making the points for those that have none, and closes
// their descriptors whatever happens.
func (w *workshop) put(places []place) error {
	defer func() {
		for _, p := range places {
			unix.Close(p.fd)
		}
	}()
	for _, p := range places {
		if err := w.attach(p); err != nil {
			return fmt.Errorf("mount at %s: %w", p.name, err)
		}
	}
	return nil
}

func (w *workshop) attach(p place) error {
	if err := mountPoint(p.root, p.name, p.file); err != nil {
		return err
	}
	point, err := p.root.OpenFile(p.name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer point.Close()
	return w.do(func() error {
		return unix.MoveMount(p.fd, "", int(point.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	})
}

// mountPoint makes one where there is nothing.
func mountPoint(root *os.Root, name string, file bool) error {
	if _, err := root.Stat(name); err == nil {
		return nil
	}
	if !file {
		return root.MkdirAll(name, 0o755)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return root.WriteFile(name, nil, 0o644)
}

// clone is a detached, read-only copy of one mount of the host. The host's own
// namespace is where paths mean what the caller meant.
func clone(source string) (fd int, file bool, err error) {
	info, err := os.Stat(source)
	if err != nil {
		return -1, false, fmt.Errorf("mount: %w", err)
	}
	fd, err = unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, false, fmt.Errorf("open_tree %s: %w", source, err)
	}
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attributes); err != nil {
		unix.Close(fd)
		return -1, false, fmt.Errorf("mount_setattr %s: %w", source, err)
	}
	return fd, !info.IsDir(), nil
}

// overlay is a detached, read-only union; later directories lie over earlier ones.
func overlay(lower []string, upper, work string) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	defer unix.Close(fs)
	// One directory a call: none of their names needs escaping, and no list is too long.
	for i := len(lower) - 1; i >= 0; i-- {
		if err := unix.FsconfigSetString(fs, "lowerdir+", lower[i]); err != nil {
			return -1, fmt.Errorf("overlay of %s: %w", lower[i], err)
		}
	}
	attributes := unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	if upper != "" {
		if err := errors.Join(unix.FsconfigSetString(fs, "upperdir", upper), unix.FsconfigSetString(fs, "workdir", work)); err != nil {
			return -1, fmt.Errorf("overlay: %w", err)
		}
	} else {
		attributes |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	return fd, nil
}

package container

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// trees collects the detached mounts that one message carries.
type trees struct {
	rootless bool
	users    *os.File // the sandbox's user namespace
	fds      []int
}

func (b *box) trees() *trees { return &trees{rootless: b.driver.rootless, users: b.users} }

// bind prepares one mount. As root it is a detached, restricted clone, passed
// as a descriptor: nothing in the sandbox ever walks a path of the host.
func (t *trees) bind(m sandbox.Mount, device bool) (pid1.Mount, error) {
	if err := isolate.CheckMount(m); err != nil {
		return pid1.Mount{}, fmt.Errorf("container: %w", err)
	}
	info, err := os.Stat(m.Source)
	if err != nil {
		return pid1.Mount{}, fmt.Errorf("container: mount: %w", err)
	}
	out := pid1.Mount{Target: m.Target, FD: -1, Path: m.Source, File: !info.IsDir(), Device: device}
	if t.rootless {
		// Process 1 sees the host's root below another path, where an absolute
		// link would lead astray.
		if out.Path, err = filepath.EvalSymlinks(m.Source); err != nil {
			return pid1.Mount{}, fmt.Errorf("container: mount: %w", err)
		}
		return out, nil
	}
	fd, err := t.clone(m.Source, device)
	if err != nil {
		return pid1.Mount{}, err
	}
	return t.carry(out, fd)
}

func (t *trees) bindAll(list []sandbox.Mount) ([]pid1.Mount, error) {
	var bound []pid1.Mount
	for _, m := range list {
		one, err := t.bind(m, false)
		if err != nil {
			return nil, err
		}
		bound = append(bound, one)
	}
	return bound, nil
}

// carry adds a detached mount to the message.
func (t *trees) carry(m pid1.Mount, fd int) (pid1.Mount, error) {
	if len(t.fds) >= pid1.DescriptorsMax {
		unix.Close(fd)
		return pid1.Mount{}, fmt.Errorf("container: more than %d mounts", pid1.DescriptorsMax)
	}
	m.FD = int32(len(t.fds))
	t.fds = append(t.fds, fd)
	return m, nil
}

func (t *trees) clone(source string, device bool) (int, error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("container: open_tree %s: %w", source, err)
	}
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if device {
		attributes.Attr_set = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
	} else {
		attributes.Attr_set |= unix.MOUNT_ATTR_NODEV
		// The host's root must show as root inside, as /var/task does on
		// Lambda. A filesystem without id-mapped mounts shows nobody instead.
		mapped := attributes
		mapped.Attr_set |= unix.MOUNT_ATTR_IDMAP
		mapped.Userns_fd = uint64(t.users.Fd())
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &mapped)
		if err == nil {
			return fd, nil
		}
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attributes); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("container: mount_setattr %s: %w", source, err)
	}
	return fd, nil
}

func (t *trees) close() {
	for _, fd := range t.fds {
		unix.Close(fd)
	}
	t.fds = nil
}

package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// idMapped is the id that root of a file is shown as in the trial: any but its own will do.
const idMapped = 65534

// DataFolder tries whether files of a data folder can show as root's in a sandbox whose users
// have other ids outside: a file system without id-mapped mounts shows them as nobody's, and
// base images, whose programs want to be root's, do not start from it.
func DataFolder(ctx context.Context, dir string) Finding {
	f := Finding{Name: "data folder", Detail: dir + ": its files can be shown with a sandbox's own ids"}
	if os.Geteuid() != 0 {
		f.Detail = dir + ": without root, functions see its files as they are"
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	if err := tryIDMapped(ctx, dir); err != nil {
		f.Status = Degraded
		f.Detail = fmt.Sprintf("%s: no id-mapped mounts of its file system: functions see their files as nobody's, and added base images may not start: %s", dir, reason(err))
		f.Remedy = "Put --data on ext4, XFS or btrfs, or upgrade Linux (tmpfs has them from 6.3 on)."
	}
	return f
}

func tryIDMapped(ctx context.Context, dir string) error {
	dir, err := existing(dir)
	if err != nil {
		return err
	}
	// A user namespace lives as long as its process: one that waits for its input's end.
	command := exec.CommandContext(ctx, "cat")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: idMapped, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: idMapped, Size: 1}},
	}
	input, err := command.StdinPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("a user namespace: %w", err)
	}
	defer func() {
		_ = input.Close()
		_ = command.Wait()
	}()
	users, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", command.Process.Pid))
	if err != nil {
		return err
	}
	defer users.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attributes); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	return nil
}

// existing is the folder, or the nearest one above it that is there already.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

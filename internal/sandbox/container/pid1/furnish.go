package pid1

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// staging is where the new root is built. Every host that can run a sandbox
// has a /proc, and the host's own is of no more use to process 1.
const staging = "/proc"

// hostRoot is where a rootless process 1, which clones mounts by path, keeps
// the host's root until the program starts.
const hostRoot = "/.host"

// box is the sandbox under construction.
type box struct {
	park Park
	fds  []int // descriptors of the message at hand
}

// furnish builds the root filesystem, moves into it and opens the listeners.
func (b *box) furnish() ([]int, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, wrap("make mounts private", err)
	}
	// proc must be made while the host's proc is still in this namespace: the
	// kernel gives a user namespace no more of /proc than it can already see.
	// hidepid makes process 1, which has another id than the program, invisible to it.
	proc, err := newProc("invisible")
	if err != nil {
		return nil, wrap("mount proc", err)
	}
	if err := b.enterRoot(); err != nil {
		return nil, err
	}
	for _, dir := range b.park.Dirs {
		if err := makeDirs(dir); err != nil {
			return nil, wrap("mkdir "+dir, err)
		}
	}
	if err := moveMount(proc, "/proc"); err != nil {
		return nil, wrap("attach proc", err)
	}
	unix.Close(proc)
	for _, m := range b.park.Mounts {
		if err := b.attach(m); err != nil {
			return nil, err
		}
	}
	for _, f := range b.park.Files {
		if err := f.write(); err != nil {
			return nil, wrap("write "+f.Path, err)
		}
	}
	if err := b.maskProc(); err != nil {
		return nil, err
	}
	if err := unix.Sethostname([]byte(b.park.Hostname)); err != nil {
		return nil, wrap("sethostname", err)
	}
	closeAll(b.fds)
	if err := b.surrender(); err != nil {
		return nil, err
	}
	return b.listen()
}

// newProc returns a detached mount of this PID namespace's proc.
func newProc(hidepid string) (int, error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if hidepid != "" {
		if err := unix.FsconfigSetString(fs, "hidepid", hidepid); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}

// enterRoot makes the new root and pivots into it. From here on every path is
// one of the sandbox: a link in a hostile base directory leads nowhere else.
func (b *box) enterRoot() error {
	root := staging
	size := "mode=0755,nr_inodes=4096,size=" + strconv.Itoa(int(b.park.RootKiB)) + "k"
	if err := unix.Mount("root", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, size); err != nil {
		return wrap("mount root", err)
	}
	if b.park.BaseSet {
		for _, dir := range []string{"/lower", "/upper", "/work", "/root"} {
			if err := unix.Mkdir(staging+dir, 0o755); err != nil {
				return wrap("mkdir "+dir, err)
			}
		}
		fd, err := b.tree(b.park.Base, "")
		if err != nil {
			return err
		}
		if err := moveMount(fd, staging+"/lower"); err != nil {
			return wrap("attach base", err)
		}
		root = staging + "/root"
		options := "lowerdir=" + staging + "/lower,upperdir=" + staging + "/upper,workdir=" + staging + "/work,userxattr"
		if err := unix.Mount("root", root, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return wrap("mount overlay root", err)
		}
	}
	if b.park.Rootless {
		if err := unix.Mkdir(root+hostRoot, 0o700); err != nil {
			return wrap("mkdir "+hostRoot, err)
		}
		if err := unix.PivotRoot(root, root+hostRoot); err != nil {
			return wrap("pivot_root", err)
		}
		return wrap("chdir", unix.Chdir("/"))
	}
	return pivot(root)
}

// pivot makes root the root and lets go of the old one.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return wrap("chdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return wrap("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return wrap("detach the host's root", err)
	}
	return wrap("chdir", unix.Chdir("/"))
}

// tree returns a detached mount for m: the one that came with the message, or
// a clone made here.
func (b *box) tree(m Mount, prefix string) (int, error) {
	if m.FD >= 0 {
		if int(m.FD) >= len(b.fds) {
			return -1, wrap("mount "+m.Target, errShort)
		}
		return b.fds[m.FD], nil
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, prefix+m.Path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, wrap("clone "+m.Path, err)
	}
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID}
	if !m.Device {
		attributes.Attr_set |= unix.MOUNT_ATTR_NODEV
	}
	if !m.Writable {
		attributes.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attributes); err != nil {
		unix.Close(fd)
		return -1, wrap("restrict "+m.Path, err)
	}
	return fd, nil
}

// attach places m, making its mount point where it is missing.
func (b *box) attach(m Mount) error {
	if err := makePoint(m); err != nil {
		return wrap("make mount point "+m.Target, err)
	}
	fd, err := b.tree(m, hostRoot)
	if err != nil {
		return err
	}
	defer func() {
		if m.FD < 0 {
			unix.Close(fd)
		}
	}()
	return wrap("mount "+m.Target, moveMount(fd, m.Target))
}

func moveMount(fd int, target string) error {
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func makePoint(m Mount) error {
	if !m.File {
		return makeDirs(m.Target)
	}
	if err := makeDirs(parent(m.Target)); err != nil {
		return err
	}
	fd, err := unix.Open(m.Target, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o444)
	if err == unix.EEXIST {
		return nil
	}
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// makeDirs is mkdir -p that refuses to walk through a symbolic link.
func makeDirs(path string) error {
	for end := 1; end <= len(path); end++ {
		if end < len(path) && path[end] != '/' {
			continue
		}
		dir := path[:end]
		err := unix.Mkdir(dir, 0o755)
		if err == nil {
			continue
		}
		if err != unix.EEXIST {
			return err
		}
		var stat unix.Stat_t
		switch err := unix.Lstat(dir, &stat); {
		case err != nil:
			return err
		case stat.Mode&unix.S_IFMT == unix.S_IFLNK:
			return syscall.ELOOP
		case stat.Mode&unix.S_IFMT != unix.S_IFDIR:
			return syscall.ENOTDIR
		}
	}
	return nil
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

func (f File) write() error {
	if err := makeDirs(parent(f.Path)); err != nil {
		return err
	}
	if err := unix.Unlink(f.Path); err != nil && err != unix.ENOENT {
		return err
	}
	if f.Link {
		return unix.Symlink(f.Content, f.Path)
	}
	fd, err := unix.Open(f.Path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for p := []byte(f.Content); len(p) > 0; {
		n, err := unix.Write(fd, p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// maskProc hides what describes the host and freezes what can be written. What
// a kernel does not have needs no mask.
func (b *box) maskProc() error {
	for _, path := range b.park.Masked {
		err := unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
		if err != nil && err != unix.ENOENT {
			return wrap("mask "+path, err)
		}
	}
	for _, path := range b.park.Frozen {
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return wrap("freeze "+path, err)
		}
		attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attributes)
		if err == nil {
			err = moveMount(fd, path)
		}
		unix.Close(fd)
		if err != nil {
			return wrap("freeze "+path, err)
		}
	}
	return nil
}

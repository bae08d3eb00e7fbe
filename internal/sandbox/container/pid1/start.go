package pid1

import (
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// start places the tenant's mounts, drops every privilege and starts the
// program. Descriptor 0 of the message is its stdout and stderr.
func (b *box) start(start Start) (pid, pidfd int, err error) {
	if len(b.fds) == 0 || len(start.Argv) == 0 {
		return 0, 0, errShort
	}
	for _, m := range start.Mounts {
		if err := b.attach(m); err != nil {
			return 0, 0, err
		}
	}
	if err := b.stackLayers(start.Layers); err != nil {
		return 0, 0, err
	}
	if start.TmpMiB > 0 {
		options := "mode=1777,size=" + strconv.Itoa(int(start.TmpMiB)) + "m,nr_inodes=" + strconv.Itoa(int(start.TmpInodes))
		if err := unix.Mount("tmp", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return 0, 0, wrap("mount /tmp", err)
		}
	}
	if err := b.seal(); err != nil {
		return 0, 0, err
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, wrap("open /dev/null", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, 0, wrap("no_new_privs", err)
	}
	if err := loadFilter(start.Filter); err != nil {
		return 0, 0, wrap("seccomp", err)
	}
	pidfd = -1
	attributes := &syscall.ProcAttr{
		Dir:   start.Dir,
		Env:   start.Env,
		Files: []uintptr{uintptr(null), uintptr(b.fds[0]), uintptr(b.fds[0])},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	}
	if !b.park.Rootless {
		attributes.Sys.Credential = &syscall.Credential{Uid: uint32(b.park.UID), Gid: uint32(b.park.GID)}
	}
	pid, err = syscall.ForkExec(start.Argv[0], start.Argv, attributes)
	switch err {
	case nil:
	case unix.EAGAIN, unix.ENOMEM: // the host's want
		return 0, 0, wrap("start "+start.Argv[0], err)
	default:
		return 0, 0, &execError{stepError{start.Argv[0], err}}
	}
	unix.Close(null)
	return pid, pidfd, nil
}

// stackLayers merges the layers at /opt. Overlay needs two lower directories
// where there is no upper one, so a single layer is mounted as it is.
func (b *box) stackLayers(layers []Mount) error {
	if len(layers) == 1 {
		layers[0].Target = "/opt"
		return b.attach(layers[0])
	}
	if len(layers) == 0 {
		return nil
	}
	lower := make([]string, len(layers))
	for i := range layers {
		layers[i].Target = "/.layer/" + strconv.Itoa(i)
		if err := b.attach(layers[i]); err != nil {
			return err
		}
		lower[len(layers)-1-i] = layers[i].Target // the last layer is the top one
	}
	options := "userxattr,lowerdir=" + strings.Join(lower, ":")
	if err := unix.Mount("opt", "/opt", "overlay", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return wrap("mount /opt", err)
	}
	for i := range layers { // the overlay holds them now
		if err := unix.Unmount(layers[i].Target, unix.MNT_DETACH); err != nil {
			return wrap("detach layer", err)
		}
		if err := unix.Rmdir(layers[i].Target); err != nil {
			return wrap("remove layer point", err)
		}
	}
	return wrap("remove layer points", unix.Rmdir("/.layer"))
}

// seal makes the root read-only, and takes the host's away where it is still there.
func (b *box) seal() error {
	if b.park.Rootless {
		if err := unix.Unmount(hostRoot, unix.MNT_DETACH); err != nil {
			return wrap("detach the host's root", err)
		}
		if err := unix.Rmdir(hostRoot); err != nil {
			return wrap("remove "+hostRoot, err)
		}
	}
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return wrap("seal the root", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attributes))
}

// surrender gives up, for this thread and whatever it starts, what the program
// must not have and process 1 itself does not need any more. It needs to mount,
// and its capabilities until it has started the program, to change the ids.
func (b *box) surrender() error {
	limits := []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_NOFILE, uint64(b.park.Descriptors)},
		{unix.RLIMIT_NPROC, uint64(b.park.Processes)},
		{unix.RLIMIT_MEMLOCK, 64 << 10}, // as on Lambda
	}
	for _, l := range limits {
		// syscall.Setrlimit and not unix.Prlimit: it alone tells ForkExec not
		// to restore the descriptor limit of before.
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return wrap("setrlimit "+strconv.Itoa(l.resource), err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return wrap("not dumpable", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return wrap("clear ambient capabilities", err)
	}
	if err := clearInheritable(); err != nil {
		return wrap("clear inheritable capabilities", err)
	}
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err == unix.EINVAL {
			break // past the last one
		}
		if err != nil {
			return wrap("drop bounding capability", err)
		}
	}
	return nil
}

// loadFilter installs the program on every thread of process 1.
func loadFilter(filter []byte) error {
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	if len(filter) == 0 || len(filter)%size != 0 {
		return errShort
	}
	program := unix.SockFprog{
		Len:    uint16(len(filter) / size),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0])),
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// clearInheritable empties this thread's inheritable set; the others end
// with the change of ids, or with the exec.
func clearInheritable() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	return unix.Capset(&header, &sets[0])
}

// dropCapabilities empties all sets of every thread of process 1.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

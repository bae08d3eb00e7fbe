package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// escapeDeeds try to get out, or to get more. Each succeeds if it could.
func escapeDeeds() map[string]deed {
	return map[string]deed{
		"mount":         func(a []string) (string, error) { return "", unix.Mount("none", "/tmp", a[0], 0, "") },
		"remount-rw":    func([]string) (string, error) { return "", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") },
		"bind":          func([]string) (string, error) { return "", unix.Mount("/proc", "/tmp", "", unix.MS_BIND, "") },
		"unmount":       func([]string) (string, error) { return "", unix.Unmount("/proc/kcore", unix.MNT_DETACH) },
		"fsopen":        func([]string) (string, error) { _, err := unix.Fsopen("tmpfs", 0); return "", err },
		"open-tree":     func([]string) (string, error) { _, err := unix.OpenTree(unix.AT_FDCWD, "/", 1); return "", err },
		"mount-setattr": mountSetattr,
		"pivot-root":    func([]string) (string, error) { return "", unix.PivotRoot("/tmp", "/tmp") },
		"chroot":        func([]string) (string, error) { return "", unix.Chroot("/tmp") },
		"unshare":       unshare,
		"setns":         setns,
		"clone":         clone,
		"ptrace":        ptrace,
		"vm-read":       vmRead,
		"pidfd-getfd":   pidfdGetfd,
		"mknod":         mknod,
		"open":          open,
		"socket":        socket,
		"call":          call,
		"setuid":        func([]string) (string, error) { return "", syscall.Setuid(0) },
		"setgroups":     func([]string) (string, error) { return "", syscall.Setgroups([]int{0}) },
		"capset":        capset,
		"raise-limit":   raiseLimit,
		"oom-immune":    func([]string) (string, error) { return "", writeTo("/proc/self/oom_score_adj", "-1000") },
		"drop-seccomp":  func([]string) (string, error) { return "", unix.Prctl(unix.PR_SET_SECCOMP, 0, 0, 0, 0) },
		"drop-nnp":      func([]string) (string, error) { return "", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) },
		"hostname":      func([]string) (string, error) { return "", unix.Sethostname([]byte("x")) },
		"write-to":      func(a []string) (string, error) { return "", writeTo(a[0], a[1]) },
		"run":           run,
		"kill":          kill,
		"shm":           shm,
		"shm-serve":     shmServe,
		"handle":        handle,
		"tiocsti":       tiocsti,
		"walk-out":      walkOut,
	}
}

func mountSetattr([]string) (string, error) {
	return "", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
}

var namespaceFlags = map[string]int{
	"user": unix.CLONE_NEWUSER, "mnt": unix.CLONE_NEWNS, "pid": unix.CLONE_NEWPID, "net": unix.CLONE_NEWNET,
	"ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "cgroup": unix.CLONE_NEWCGROUP, "time": unix.CLONE_NEWTIME,
}

func unshare(args []string) (string, error) { return "", unix.Unshare(namespaceFlags[args[0]]) }

func setns(args []string) (string, error) {
	fd, err := unix.Open("/proc/"+args[0]+"/ns/mnt", unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	return "", unix.Setns(fd, 0)
}

func clone(args []string) (string, error) {
	_, err := syscall.ForkExec("/proc/self/exe", []string{"program", "exit", "0"},
		&syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: uintptr(namespaceFlags[args[0]])}})
	return "", err
}

func ptrace([]string) (string, error) {
	child, err := syscall.ForkExec("/proc/self/exe", []string{"program", "sleep", "1m"}, &syscall.ProcAttr{})
	if err != nil {
		return "", err
	}
	return "", syscall.PtraceAttach(child)
}

func vmRead([]string) (string, error) {
	buffer := make([]byte, 8)
	local := []unix.Iovec{{Base: &buffer[0], Len: 8}}
	_, err := unix.ProcessVMReadv(1, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	return "", err
}

func pidfdGetfd([]string) (string, error) {
	fd, err := unix.PidfdOpen(1, 0)
	if err != nil {
		return "", err
	}
	_, err = unix.PidfdGetfd(fd, 0, 0)
	return "", err
}

// mknod MAJOR MINOR makes a block device in /tmp, or a character device for "c".
func mknod(args []string) (string, error) {
	major, minor := must(strconv.Atoi(args[1])), must(strconv.Atoi(args[2]))
	mode := uint32(unix.S_IFBLK)
	if args[0] == "c" {
		mode = unix.S_IFCHR
	}
	return "", unix.Mknod("/tmp/device", mode|0o666, int(unix.Mkdev(uint32(major), uint32(minor))))
}

func open(args []string) (string, error) {
	flag := os.O_RDONLY
	if len(args) > 1 {
		flag = os.O_RDWR
	}
	_, err := os.OpenFile(args[0], flag, 0)
	return "", err
}

func socket(args []string) (string, error) {
	_, err := unix.Socket(must(strconv.Atoi(args[0])), must(strconv.Atoi(args[1])), must(strconv.Atoi(args[2])))
	return "", err
}

// call makes a system call by number; "p" among the arguments is a pointer to
// zeroed memory.
func call(args []string) (string, error) {
	memory := make([]byte, 4096)
	var a [7]uintptr
	for i, arg := range args {
		if arg == "p" {
			a[i] = uintptr(unsafe.Pointer(&memory[0]))
			continue
		}
		a[i] = uintptr(must(strconv.ParseInt(arg, 0, 64)))
	}
	r, _, errno := syscall.Syscall6(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
	if errno != 0 {
		return "", errno
	}
	return fmt.Sprint("returned ", r), nil
}

func capset([]string) (string, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	all := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SYS_ADMIN, Permitted: 1 << unix.CAP_SYS_ADMIN}}
	return "", unix.Capset(&header, &all[0])
}

func raiseLimit([]string) (string, error) {
	return "", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
}

func writeTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// run executes a program and tells what it wrote.
func run(args []string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func kill(args []string) (string, error) {
	return "", syscall.Kill(must(strconv.Atoi(args[0])), syscall.Signal(must(strconv.Atoi(args[1]))))
}

// shmKey is the same in every sandbox, as two programs would agree on one.
const shmKey = 0x1a3b5c

func shm([]string) (string, error) {
	_, err := unix.SysvShmGet(shmKey, 4096, 0)
	return "", err
}

func shmServe([]string) (string, error) {
	if _, err := unix.SysvShmGet(shmKey, 4096, unix.IPC_CREAT|0o666); err != nil {
		return "", err
	}
	fmt.Println("serving")
	select {}
}

func handle([]string) (string, error) {
	_, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/tmp", 0)
	return "", err
}

func tiocsti([]string) (string, error) {
	var c byte
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 1, unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
	if errno != 0 {
		return "", errno
	}
	return "", nil
}

// walkOut looks for a way up from the root, the working directory, and every descriptor.
func walkOut([]string) (string, error) {
	for _, start := range []string{"/", ".", "/var/task", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/cwd"} {
		path := start + strings.Repeat("/..", 16) + "/etc/shadow"
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", os.ErrNotExist
}

package pid1

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SpawnerVariable in its environment makes the program the spawner in place of
// process 1.
const SpawnerVariable = "LAMBDAD_SPAWNER"

// namespaces that each sandbox has of its own.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// rootlessCapabilities are what process 1 needs in its own user namespace
// where it is not its root; they reach nothing outside it.
var rootlessCapabilities = []uintptr{
	unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP,
	unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, // overlayfs makes itself a work directory of mode 0
}

// Spawner forks every process 1 of a driver, until the driver closes the socket.
//
// A new user namespace needs a fork that copies the whole address space. Of the
// driver's process that would take milliseconds, and each page that it writes
// afterwards would be copied too; this small one is copied in a moment.
func Spawner() int {
	// Its children die with the thread that forked them.
	runtime.LockOSThread()
	unix.CloseOnExec(ControlFD)
	if err := unix.CloseRange(ControlFD+1, 1<<31-1, 0); err != nil {
		fail(wrap("close_range", err))
		return 1
	}
	if err := ignoreChildren(); err != nil {
		fail(wrap("ignore SIGCHLD", err))
		return 1
	}
	if unix.Geteuid() == 0 {
		if err := leaveHost(); err != nil {
			fail(err)
			return 1
		}
	}
	if err := send(Reply{Kind: ReplyReady}); err != nil {
		return 1
	}
	for {
		var order Spawn
		fds, err := receive(&order)
		if err != nil {
			return 0 // the driver has closed
		}
		pid, pidfd, err := spawn(order, fds)
		closeAll(fds)
		if err != nil {
			fail(err)
			continue
		}
		err = send(Reply{Kind: ReplySpawned, Code: int32(pid)}, pidfd)
		unix.Close(pidfd)
		if err != nil {
			return 1
		}
	}
}

// spawn starts a process 1. Descriptors: the null device, the control socket,
// and the control group to be born in, if there is one.
func spawn(order Spawn, fds []int) (pid, pidfd int, err error) {
	if len(fds) < 2 {
		return 0, 0, wrap("spawn", errShort)
	}
	null, control := uintptr(fds[0]), uintptr(fds[1])
	system := &syscall.SysProcAttr{
		Cloneflags:                 namespaces,
		UidMappings:                idMaps(order.Users),
		GidMappings:                idMaps(order.Groups),
		GidMappingsEnableSetgroups: !order.Rootless,
		Setpgid:                    true,
		Pdeathsig:                  syscall.SIGKILL,
		PidFD:                      &pidfd,
	}
	if order.Rootless {
		system.AmbientCaps = rootlessCapabilities
	} else {
		system.Credential = &syscall.Credential{Uid: 0, Gid: 0}
	}
	if len(fds) > 2 {
		system.UseCgroupFD, system.CgroupFD = true, fds[2]
	}
	pid, err = syscall.ForkExec("/proc/self/exe", []string{Name}, &syscall.ProcAttr{
		Dir: "/",
		// One thread of Go code and no collector: process 1 hardly allocates.
		Env:   []string{"GOMAXPROCS=1", "GOGC=off"},
		Files: []uintptr{null, null, null, control},
		Sys:   system,
	})
	return pid, pidfd, wrap("fork process 1", err)
}

func idMaps(list []IDMap) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(list))
	for i, m := range list {
		out[i] = syscall.SysProcIDMap{ContainerID: int(m.Inside), HostID: int(m.Host), Size: 1}
	}
	return out
}

// ignoreChildren lets the kernel reap: the driver, which has a descriptor of
// each process 1, sees its end without us.
func ignoreChildren() error {
	// struct sigaction as the kernel has it: handler, flags, restorer, mask.
	action := [4]uintptr{1} // SIG_IGN
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// leaveHost moves the spawner, which has a mount namespace of its own, into a
// root that holds nothing but proc. Each process 1 starts from a copy of it: it
// is made and taken away faster than one of the host's mounts, and the host's
// are neither reachable from it nor kept busy by it.
func leaveHost() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return wrap("make mounts private", err)
	}
	proc, err := newProc("")
	if err != nil {
		return wrap("mount proc", err)
	}
	defer unix.Close(proc)
	if err := unix.Mount("spawner", staging, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755,nr_inodes=16,size=16k"); err != nil {
		return wrap("mount root", err)
	}
	if err := pivot(staging); err != nil {
		return err
	}
	if err := unix.Mkdir("/proc", 0o755); err != nil {
		return wrap("mkdir /proc", err)
	}
	return wrap("attach proc", moveMount(proc, "/proc"))
}

package inside

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// capabilityMax is more than any kernel knows.
const capabilityMax = 63

// launch starts the program as its user, with the output that was ours. What it
// gives up belongs to a thread, which is left behind.
func launch(s Start) (pid int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends
		pid, err = launchHere(s)
	}()
	<-done
	if err != nil {
		return 0, err
	}
	// The output ends when the program's own holders are gone.
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	for _, fd := range []int{1, 2} {
		if err := syscall.Dup3(int(null.Fd()), fd, 0); err != nil {
			return 0, err
		}
	}
	return pid, nil
}

func launchHere(s Start) (int, error) {
	// So that the program can open /dev/stdout again; only gVisor's own idea of the
	// pipe changes.
	for _, fd := range []int{1, 2} {
		if err := syscall.Fchown(fd, s.UID, s.GID); err != nil {
			return 0, err
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	if err := syscall.Setgroups(nil); err != nil {
		return 0, err
	}
	if err := giveUp(s.Filter); err != nil {
		return 0, err
	}
	return syscall.ForkExec(s.Argv[0], s.Argv, &syscall.ProcAttr{
		Dir: s.Dir, Env: s.Env, Files: []uintptr{null.Fd(), 1, 2},
		Sys: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.GID), NoSetGroups: true}},
	})
}

// giveUp takes from this thread, and what it starts, every way to gain a
// privilege. Changing the user takes those that it has.
func giveUp(filter []byte) error {
	for capability := range capabilityMax + 1 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil && err != unix.EINVAL {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if len(filter) == 0 {
		return nil
	}
	list := unsafe.Slice((*unix.SockFilter)(unsafe.Pointer(&filter[0])), len(filter)/int(unsafe.Sizeof(unix.SockFilter{})))
	program := unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(&program)
	return err
}

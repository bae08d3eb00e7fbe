package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FilterFile, on the shelf, is a seccomp filter, struct sock_filter[]. The sentry is
// the boundary; this keeps most of the sentry out of reach as well.
const FilterFile = "filter"

// capabilityMax is more than any kernel knows.
const capabilityMax = 63

// newLauncher returns what starts the program. The thread that will do it has
// given up by then, ahead of need, every way to gain a privilege: that belongs
// to a thread and what it starts.
func newLauncher() (func(Start) (int, error), error) {
	filter, err := os.ReadFile(filepath.Join(Shelf, FilterFile))
	if err != nil {
		return nil, err
	}
	// The program's output is its own, so that it can open /dev/stdout again; only
	// gVisor's idea of the pipe changes.
	if err := syscall.Fchown(2, UID, GID); err != nil {
		return nil, err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	type started struct {
		pid int
		err error
	}
	ready, order, result := make(chan error), make(chan Start), make(chan started)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is good for nothing else
		ready <- giveUp(filter)
		s := <-order
		pid, err := syscall.ForkExec(s.Argv[0], s.Argv, &syscall.ProcAttr{
			Dir: s.Dir, Env: s.Env, Files: []uintptr{null.Fd(), 2, 2},
			Sys: &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: UID, Gid: GID, NoSetGroups: true}},
		})
		result <- started{pid, err}
		<-order // the thread must not end: Go would start another with less given up
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return func(s Start) (int, error) {
		order <- s
		r := <-result
		if r.err != nil {
			return 0, r.err
		}
		// The output ends when the program's own holders are gone.
		if err := syscall.Dup3(int(null.Fd()), 2, 0); err != nil {
			return 0, err
		}
		return r.pid, nil
	}, nil
}

func giveUp(filter []byte) error {
	for capability := range capabilityMax + 1 {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the kernel knows no more
		}
		if err != nil {
			return fmt.Errorf("capability %d: %w", capability, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	list := unsafe.Slice((*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(filter))), len(filter)/int(unsafe.Sizeof(unix.SockFilter{})))
	program := unix.SockFprog{Len: uint16(len(list)), Filter: unsafe.SliceData(list)}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(&program)
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return nil
}

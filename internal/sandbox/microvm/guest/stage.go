package guest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// Become sheds everything and executes the program. It returns only on a failure.
func Become() int {
	// Ids, capabilities and the filter are the thread's, and execve keeps the one that calls it.
	runtime.LockOSThread()
	err := become()
	if _, told := os.NewFile(stageStatus, "status").Write(line.Encode(failure(err))); told != nil {
		fmt.Println("lambdad-guest:", told)
	}
	return 1
}

func become() error {
	content, err := io.ReadAll(os.NewFile(stageSpec, "spec"))
	if err != nil {
		return err
	}
	var s line.Start
	if err := json.Unmarshal(content, &s); err != nil {
		return err
	}
	for _, fd := range []int{stageSpec, stageStatus, stageGroup} {
		unix.CloseOnExec(fd)
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := shed(s); err != nil {
		return err
	}
	if err := unix.Chdir(s.Dir); err != nil {
		return fmt.Errorf("%s: %w", s.Dir, err)
	}
	if len(s.Filter) == 0 || len(s.Filter)%8 != 0 {
		return fmt.Errorf("a filter of %d bytes", len(s.Filter))
	}
	program := unix.SockFprog{Len: uint16(len(s.Filter) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&s.Filter[0]))}
	if _, err := unix.Write(stageGroup, []byte("0")); err != nil {
		return fmt.Errorf("group: %w", err)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	err = syscall.Exec(s.Argv[0], s.Argv, s.Env)
	if errno, ok := err.(syscall.Errno); ok {
		return &refusal{errno}
	}
	return err
}

// shed gives up what only process 1 may have.
func shed(s line.Start) error {
	for resource, value := range map[int]uint64{unix.RLIMIT_NOFILE: uint64(s.Descriptors), unix.RLIMIT_NPROC: uint64(s.Processes), unix.RLIMIT_CORE: 0} {
		// Not unix.Setrlimit: Go would put the old one back before it executes the program.
		if err := unix.Prlimit(0, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
		}
	}
	for capability := uintptr(0); capability < 64; capability++ {
		if _, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, capability, 0); errno == unix.EINVAL {
			break // there are no more
		} else if errno != 0 {
			return fmt.Errorf("capability %d: %w", capability, errno)
		}
	}
	for _, step := range []struct {
		call, a, b, c uintptr
	}{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, uintptr(s.GID), uintptr(s.GID), uintptr(s.GID)},
		{unix.SYS_SETRESUID, uintptr(s.UID), uintptr(s.UID), uintptr(s.UID)},
		{unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0},
	} {
		if _, _, errno := unix.RawSyscall(step.call, step.a, step.b, step.c); errno != 0 {
			return fmt.Errorf("call %d: %w", step.call, errno)
		}
	}
	return nil
}

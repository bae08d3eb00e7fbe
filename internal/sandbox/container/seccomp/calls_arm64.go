package seccomp

import "golang.org/x/sys/unix"

const (
	architecture  = unix.AUDIT_ARCH_AARCH64
	cloneFlagsArg = 0
)

// native are the calls whose name differs on arm64.
var native = []uint32{unix.SYS_FSTATAT, unix.SYS_RENAMEAT, unix.SYS_GETRLIMIT, unix.SYS_SETRLIMIT}

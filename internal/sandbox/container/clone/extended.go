package clone

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// extendedMax is more than any processor keeps for a thread (AMX has 8 KiB).
const extendedMax = 16 << 10

// extended is what extendedSets name, as the kernel gives it.
type extended [][]byte

func readExtended(pid int) (extended, error) {
	var e extended
	buffer := make([]byte, extendedMax)
	for _, set := range extendedSets {
		part := unix.Iovec{Base: &buffer[0], Len: extendedMax}
		if err := ptrace(unix.PTRACE_GETREGSET, pid, uintptr(set), uintptr(unsafe.Pointer(&part))); err != nil {
			return nil, fmt.Errorf("clone: registers %#x: %w", set, err)
		}
		e = append(e, append([]byte(nil), buffer[:part.Len]...))
	}
	return e, nil
}

func (e extended) write(pid int) error {
	for i, set := range extendedSets {
		part := unix.Iovec{Base: &e[i][0], Len: uint64(len(e[i]))}
		if err := ptrace(unix.PTRACE_SETREGSET, pid, uintptr(set), uintptr(unsafe.Pointer(&part))); err != nil {
			return fmt.Errorf("clone: registers %#x: %w", set, err)
		}
	}
	return nil
}

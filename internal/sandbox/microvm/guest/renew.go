package guest

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// renew makes this machine another than those that were copied from the same
// memory: its connections are broken, its clock is right, its random numbers are its own.
func (a *agent) renew(r line.Renew) error {
	a.line.Reset()
	if err := reseed(r.Entropy[:]); err != nil {
		return err
	}
	now := unix.NsecToTimespec(r.Now.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	if !r.Again {
		return nil
	}
	if err := limit(r.Limits); err != nil {
		return err
	}
	return a.openOutput()
}

// reseed mixes the host's bytes into the kernel's generator and has it use them
// at once. Source: random(4), RNDADDENTROPY and RNDRESEEDCRNG.
func reseed(entropy []byte) error {
	fd, err := unix.Open("/dev/urandom", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	pool := binary.NativeEndian.AppendUint32(nil, uint32(len(entropy)*8))
	pool = binary.NativeEndian.AppendUint32(pool, uint32(len(entropy)))
	pool = append(pool, entropy...)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool[0]))); errno != 0 {
		return fmt.Errorf("entropy: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed: %w", errno)
	}
	return nil
}

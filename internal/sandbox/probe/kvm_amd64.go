package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl numbers and structures of KVM's API, version 12, which is fixed.
const (
	kvmGetAPIVersion  = 0xae00
	kvmCreateVM       = 0xae01
	kvmGetVCPUMapSize = 0xae04
	kvmCreateVCPU     = 0xae41
	kvmSetMemory      = 0x4020ae46
	kvmRun            = 0xae80
	kvmSetRegisters   = 0x4090ae82
	kvmGetSpecial     = 0x8138ae83
	kvmSetSpecial     = 0x4138ae84

	kvmAPIVersion = 12
	exitIO        = 2
	exitHalt      = 5
	guestMemory   = 64 << 10
	guestEntry    = 0x1000
	guestPort     = 0x3f8
	exitsMax      = 16 // of two that are expected
)

type kvmMemoryRegion struct {
	slot, flags     uint32
	guest, size, at uint64
}

type kvmRegisters struct {
	rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp uint64
	r8, r9, r10, r11, r12, r13, r14, r15   uint64
	rip, rflags                            uint64
}

// kvmSpecial is struct kvm_sregs, of which only the code segment matters here.
type kvmSpecial struct {
	codeBase     uint64
	codeLimit    uint32
	codeSelector uint16
	rest         [312 - 14]byte
}

// guest adds two registers, writes the sum to a port, and halts:
// mov dx, 0x3f8; add al, bl; out dx, al; hlt.
var guest = []byte{0xba, guestPort & 0xff, guestPort >> 8, 0x00, 0xd8, 0xee, 0xf4}

// virtualMachine runs the guest. Opening the device would prove nothing: it
// opens on hosts whose processor cannot run a guest.
func virtualMachine(ctx context.Context) []Finding {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // a virtual processor belongs to the thread that made it
		done <- runGuest()
		runtime.UnlockOSThread()
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = errors.New("the guest does not halt")
	}
	if err != nil {
		return []Finding{{"kvm", Degraded, "no virtual machine ran: " + reason(err), "The microvm driver needs hardware virtualisation (or nested, if this is a virtual machine) and access to /dev/kvm; lambdad works without."}}
	}
	return []Finding{{Name: "kvm", Detail: "a virtual machine ran a few instructions"}}
}

func runGuest() error {
	kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer kvm.Close()
	version, err := ioctl(int(kvm.Fd()), kvmGetAPIVersion, 0)
	if err != nil {
		return fmt.Errorf("KVM_GET_API_VERSION: %w", err)
	}
	if version != kvmAPIVersion {
		return fmt.Errorf("KVM's API is version %d", version)
	}
	vm, err := ioctl(int(kvm.Fd()), kvmCreateVM, 0)
	if err != nil {
		return fmt.Errorf("KVM_CREATE_VM: %w", err)
	}
	defer unix.Close(vm)
	memory, err := unix.Mmap(-1, 0, guestMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	defer unix.Munmap(memory)
	copy(memory[guestEntry:], guest)
	region := kvmMemoryRegion{size: guestMemory, at: uint64(uintptr(unsafe.Pointer(&memory[0])))}
	if _, err := ioctl(vm, kvmSetMemory, uintptr(unsafe.Pointer(&region))); err != nil {
		return fmt.Errorf("KVM_SET_USER_MEMORY_REGION: %w", err)
	}
	size, err := ioctl(int(kvm.Fd()), kvmGetVCPUMapSize, 0)
	if err != nil {
		return fmt.Errorf("KVM_GET_VCPU_MMAP_SIZE: %w", err)
	}
	cpu, err := ioctl(vm, kvmCreateVCPU, 0)
	if err != nil {
		return fmt.Errorf("KVM_CREATE_VCPU: %w", err)
	}
	defer unix.Close(cpu)
	state, err := unix.Mmap(cpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the virtual processor: %w", err)
	}
	defer unix.Munmap(state)
	return runCPU(cpu, state)
}

// runCPU starts the guest with 2 and 3 and expects 5, and then the halt.
func runCPU(cpu int, state []byte) error {
	var special kvmSpecial
	if _, err := ioctl(cpu, kvmGetSpecial, uintptr(unsafe.Pointer(&special))); err != nil {
		return fmt.Errorf("KVM_GET_SREGS: %w", err)
	}
	special.codeBase, special.codeSelector = 0, 0
	if _, err := ioctl(cpu, kvmSetSpecial, uintptr(unsafe.Pointer(&special))); err != nil {
		return fmt.Errorf("KVM_SET_SREGS: %w", err)
	}
	registers := kvmRegisters{rip: guestEntry, rax: 2, rbx: 3, rflags: 2}
	if _, err := ioctl(cpu, kvmSetRegisters, uintptr(unsafe.Pointer(&registers))); err != nil {
		return fmt.Errorf("KVM_SET_REGS: %w", err)
	}
	answered := false
	for range exitsMax {
		if _, err := ioctl(cpu, kvmRun, 0); err != nil {
			if err == unix.EINTR {
				continue
			}
			return fmt.Errorf("KVM_RUN: %w", err)
		}
		// struct kvm_run: the exit's reason at 8; of an I/O exit the port at
		// 34 and where its data lie at 40.
		switch why := *(*uint32)(unsafe.Pointer(&state[8])); why {
		case exitIO:
			port, at := *(*uint16)(unsafe.Pointer(&state[34])), *(*uint64)(unsafe.Pointer(&state[40]))
			if port != guestPort || at >= uint64(len(state)) || state[at] != 5 {
				return errors.New("the guest cannot add")
			}
			answered = true
		case exitHalt:
			if !answered {
				return errors.New("the guest halted without an answer")
			}
			return nil
		default:
			return fmt.Errorf("the guest stopped for reason %d", why)
		}
	}
	return errors.New("the guest does not halt")
}

func ioctl(fd int, request, argument uintptr) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, argument)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

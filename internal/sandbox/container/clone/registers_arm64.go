package clone

import "golang.org/x/sys/unix"

// interpreter carries out a list of system calls (calls.go): x19 points to the
// next one. It stops at a negative number, and after a call that failed.
//
//	next: ldr x8,[x19]
//	      tbnz x8,#63,done
//	      ldp x0,x1,[x19,#8]; ldp x2,x3,[x19,#24]; ldp x4,x5,[x19,#40]
//	      svc #0
//	      str x0,[x19,#56]
//	      add x19,x19,#64
//	      tbz x0,#63,next
//	done: brk #0
var interpreter = []byte{
	0x68, 0x02, 0x40, 0xf9, 0x08, 0x01, 0xf8, 0xb7,
	0x60, 0x86, 0x40, 0xa9, 0x62, 0x8e, 0x41, 0xa9, 0x64, 0x96, 0x42, 0xa9,
	0x01, 0x00, 0x00, 0xd4,
	0x60, 0x1e, 0x00, 0xf9, 0x73, 0x02, 0x01, 0x91,
	0x00, 0xff, 0xff, 0xb6,
	0x00, 0x00, 0x20, 0xd4,
}

// oneCall is a system call and a breakpoint: svc #0; brk #0.
var oneCall = []byte{0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x20, 0xd4}

type registers struct {
	general unix.PtraceRegsArm64
}

// ntPrstatus is the set of general registers. Source: elf.h, NT_PRSTATUS.
const ntPrstatus = 1

func (r *registers) read(pid int) error {
	return unix.PtraceGetRegSetArm64(pid, ntPrstatus, &r.general)
}

func (r *registers) write(pid int) error {
	return unix.PtraceSetRegSetArm64(pid, ntPrstatus, &r.general)
}

func (r registers) at() uint64 { return r.general.Pc }

// atCall is r about to make one call at address.
func (r registers) atCall(address uint64, c call) registers {
	g := &r.general
	g.Pc, g.Regs[8] = address, uint64(c.number)
	copy(g.Regs[:6], c.args[:])
	return r
}

// atList is r about to carry out the list, by the interpreter at address.
func (r registers) atList(address, list uint64) registers {
	r.general.Pc, r.general.Regs[19] = address, list
	return r
}

// number of the call that the interpreter stopped at: the end of the list, unless one failed.
func (r registers) number() int64 { return int64(r.general.Regs[8]) }

func (r registers) result() int64 { return int64(r.general.Regs[0]) }

// resumed is where a process goes on that was stopped at r. The kernel has wound
// the registers back to the call that was interrupted before it let us look.
// Source: arch/arm64/kernel/signal.c, do_signal.
func (r registers) resumed() registers { return r }

// cloneArgs orders the arguments of clone: arm64 has the TLS before the child's tid.
func cloneArgs(flags, childTID uint64) [6]uint64 { return [6]uint64{flags, 0, 0, 0, childTID, 0} }

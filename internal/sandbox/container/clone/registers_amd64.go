package clone

import "golang.org/x/sys/unix"

// interpreter carries out a list of system calls (calls.go): r15 points to the
// next one. It stops at a negative number, and after a call that failed.
//
//	next: mov (%r15),%rax
//	      test %rax,%rax
//	      js done
//	      mov 8(%r15),%rdi; mov 16(%r15),%rsi; mov 24(%r15),%rdx
//	      mov 32(%r15),%r10; mov 40(%r15),%r8; mov 48(%r15),%r9
//	      syscall
//	      mov %rax,56(%r15)
//	      add $64,%r15
//	      test %rax,%rax
//	      jns next
//	done: int3
var interpreter = []byte{
	0x49, 0x8b, 0x07, 0x48, 0x85, 0xc0, 0x78, 0x27,
	0x49, 0x8b, 0x7f, 0x08, 0x49, 0x8b, 0x77, 0x10, 0x49, 0x8b, 0x57, 0x18,
	0x4d, 0x8b, 0x57, 0x20, 0x4d, 0x8b, 0x47, 0x28, 0x4d, 0x8b, 0x4f, 0x30,
	0x0f, 0x05,
	0x49, 0x89, 0x47, 0x38, 0x49, 0x83, 0xc7, 0x40,
	0x48, 0x85, 0xc0, 0x79, 0xd1,
	0xcc,
}

// oneCall is a system call and a breakpoint: syscall; int3.
var oneCall = []byte{0x0f, 0x05, 0xcc}

// What a call that a signal interrupted returns inside the kernel. Source: linux/errno.h.
const (
	restartSys    = 512
	restartNoIntr = 513
	restartNoHand = 514
	restartBlock  = 516
)

// interrupted is what a program sees of a call that cannot begin anew.
const interrupted = ^uint64(unix.EINTR) + 1

type registers struct {
	general unix.PtraceRegs
}

func (r *registers) read(pid int) error  { return unix.PtraceGetRegs(pid, &r.general) }
func (r *registers) write(pid int) error { return unix.PtraceSetRegs(pid, &r.general) }

func (r registers) at() uint64 { return r.general.Rip }

// atCall is r about to make one call at address.
func (r registers) atCall(address uint64, c call) registers {
	g := &r.general
	g.Rip, g.Rax, g.Orig_rax = address, uint64(c.number), noCall
	g.Rdi, g.Rsi, g.Rdx, g.R10, g.R8, g.R9 = c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5]
	return r
}

// atList is r about to carry out the list, by the interpreter at address.
func (r registers) atList(address, list uint64) registers {
	r.general.Rip, r.general.R15, r.general.Orig_rax = address, list, noCall
	return r
}

// number of the call that the interpreter stopped at: the end of the list, unless one failed.
func (r registers) number() int64 { return int64(r.general.Rax) }

func (r registers) result() int64 { return int64(r.general.Rax) }

// resumed is where a process goes on that was stopped at r: a call that was
// interrupted begins anew. Left to itself the kernel would do as much, but not
// for a process that has made other calls meanwhile.
func (r registers) resumed() registers {
	g := &r.general
	if int64(g.Orig_rax) < 0 {
		return r
	}
	switch -int64(g.Rax) {
	case restartSys, restartNoIntr, restartNoHand:
		g.Rax = g.Orig_rax
		g.Rip -= 2 // the syscall instruction
	case restartBlock:
		g.Rax = interrupted
	}
	g.Orig_rax = noCall
	return r
}

// cloneArgs orders the arguments of clone: x86-64 has the child's tid before the TLS.
func cloneArgs(flags, childTID uint64) [6]uint64 { return [6]uint64{flags, 0, 0, childTID, 0, 0} }

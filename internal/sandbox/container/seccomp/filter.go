// Package seccomp compiles the allow-list of system calls that every container
// sandbox runs under into a classic BPF program. It must never import the
// driver or anything else of lambdad: the list is judged and tested on its own.
//
// The program is a binary tree over ranges of call numbers: a linear list of
// 300 comparisons takes the kernel 15 times as long to load, because it
// evaluates the filter for each number to build its bitmap of calls that are
// always allowed.
package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data, and the parts of a filter's answer.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16

	allow       = uint32(unix.SECCOMP_RET_ALLOW)
	kill        = uint32(unix.SECCOMP_RET_KILL_PROCESS)
	refuse      = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	unknownCall = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
	noFamily    = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EAFNOSUPPORT)
)

// namespaces are the clone flags that make a new namespace.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// Filter returns the allow-list as struct sock_filter[], ready for the kernel.
func Filter() []byte {
	program := compile(verdicts())
	out := make([]byte, 0, len(program)*8)
	for _, i := range program {
		out = binary.NativeEndian.AppendUint16(out, i.Code)
		out = append(out, i.Jt, i.Jf)
		out = binary.NativeEndian.AppendUint32(out, i.K)
	}
	return out
}

// check is what happens with one call number.
type check int

const (
	checkRefuse check = iota // EPERM: known, and not for sandboxes
	checkAllow
	checkClone       // unless it makes a namespace
	checkNoSuch      // ENOSYS, so that libraries fall back
	checkSocket      // by address family and type
	checkSocketPair  // unix only
	checkPersonality // reading it, or the default
	checkIoctl       // all but putting characters into a terminal
	checks           // how many there are
)

// verdicts maps each call number up to the last one known to its check.
func verdicts() []check {
	last := uint32(unix.SYS_CLONE3)
	special := map[uint32]check{
		unix.SYS_CLONE:       checkClone,
		unix.SYS_CLONE3:      checkNoSuch, // its flags lie in memory, where no filter sees them
		unix.SYS_SOCKET:      checkSocket,
		unix.SYS_SOCKETPAIR:  checkSocketPair,
		unix.SYS_PERSONALITY: checkPersonality,
		unix.SYS_IOCTL:       checkIoctl,
	}
	allowed := slices.Concat(common, native)
	for _, number := range allowed {
		last = max(last, number)
	}
	list := make([]check, last+1)
	for _, number := range allowed {
		list[number] = checkAllow
	}
	for number, c := range special {
		list[number] = c
	}
	return list
}

// span is a run of call numbers with the same check.
type span struct {
	first uint32
	check check
}

func spans(list []check) []span {
	var out []span
	for number, c := range list {
		if len(out) == 0 || out[len(out)-1].check != c {
			out = append(out, span{uint32(number), c})
		}
	}
	// Above the last known call are those of newer kernels: a library that
	// tries one must learn that it is not there.
	return append(out, span{uint32(len(list)), checkNoSuch})
}

// compile lays out: the architecture check, the tree, and the checks' bodies.
func compile(list []check) []unix.SockFilter {
	a := &assembler{}
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArch)
	a.jump(unix.BPF_JEQ, architecture, 1, 0)
	a.ret(kill)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetNumber)
	a.tree(spans(list))
	a.bodies()
	return a.link()
}

// assembler collects instructions; jumps to bodies are linked at the end.
type assembler struct {
	program []unix.SockFilter
	// leaves are the positions of unconditional jumps to a check's body.
	leaves map[int]check
	body   [checks]int
}

func (a *assembler) emit(code uint16, k uint32) {
	a.program = append(a.program, unix.SockFilter{Code: code, K: k})
}

func (a *assembler) jump(op uint16, k uint32, yes, no uint8) {
	a.program = append(a.program, unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k})
}

func (a *assembler) ret(k uint32) { a.emit(unix.BPF_RET|unix.BPF_K, k) }

// tree emits a binary search. A conditional jump reaches 255 instructions only,
// so both its branches start with what follows, or with one unconditional jump.
func (a *assembler) tree(list []span) {
	if len(list) == 1 {
		if a.leaves == nil {
			a.leaves = map[int]check{}
		}
		a.leaves[len(a.program)] = list[0].check
		a.emit(unix.BPF_JMP|unix.BPF_JA, 0)
		return
	}
	middle := len(list) / 2
	a.jump(unix.BPF_JGE, list[middle].first, 0, 1) // yes: the long jump; no: past it
	long := len(a.program)
	a.emit(unix.BPF_JMP|unix.BPF_JA, 0)
	a.tree(list[:middle])
	a.program[long].K = uint32(len(a.program) - long - 1)
	a.tree(list[middle:])
}

func (a *assembler) bodies() {
	a.start(checkRefuse)
	a.ret(refuse)
	a.start(checkAllow)
	a.ret(allow)
	a.start(checkNoSuch)
	a.ret(unknownCall)

	a.start(checkClone)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0+cloneFlagsArg*8)
	a.jump(unix.BPF_JSET, namespaces, 0, 1)
	a.ret(refuse)
	a.ret(allow)

	a.start(checkSocket)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0)
	a.jump(unix.BPF_JEQ, unix.AF_UNIX, 0, 1)
	a.ret(allow)
	a.jump(unix.BPF_JEQ, unix.AF_NETLINK, 0, 4)
	// Name resolution asks the kernel for addresses over NETLINK_ROUTE. Without a
	// capability it can only read.
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0+2*8)
	a.jump(unix.BPF_JEQ, unix.NETLINK_ROUTE, 1, 0)
	a.ret(noFamily)
	a.ret(allow)
	a.jump(unix.BPF_JEQ, unix.AF_INET, 2, 0)
	a.jump(unix.BPF_JEQ, unix.AF_INET6, 1, 0)
	a.ret(noFamily)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0+1*8)
	a.emit(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 0xf) // without SOCK_CLOEXEC, SOCK_NONBLOCK
	a.jump(unix.BPF_JEQ, unix.SOCK_STREAM, 2, 0)
	a.jump(unix.BPF_JEQ, unix.SOCK_DGRAM, 1, 0)
	a.ret(refuse)
	a.ret(allow)

	a.start(checkSocketPair)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0)
	a.jump(unix.BPF_JEQ, unix.AF_UNIX, 1, 0)
	a.ret(noFamily)
	a.ret(allow)

	a.start(checkPersonality)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0)
	a.jump(unix.BPF_JEQ, 0xffffffff, 1, 0)
	a.jump(unix.BPF_JEQ, 0, 0, 1)
	a.ret(allow)
	a.ret(refuse)

	a.start(checkIoctl)
	a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offsetArg0+1*8)
	a.jump(unix.BPF_JEQ, unix.TIOCSTI, 1, 0)
	a.jump(unix.BPF_JEQ, tiocLinux, 0, 1)
	a.ret(refuse)
	a.ret(allow)
}

// tiocLinux is TIOCLINUX, which x/sys does not name.
const tiocLinux = 0x541c

func (a *assembler) start(c check) { a.body[c] = len(a.program) }

func (a *assembler) link() []unix.SockFilter {
	for at, c := range a.leaves {
		a.program[at].K = uint32(a.body[c] - at - 1)
	}
	return a.program
}

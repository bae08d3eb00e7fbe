package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// kernelMax is the kernel's bound on a filter.
const kernelMax = 4096

// machine runs the filter. Its loads are big-endian, and so is the data here.
type machine struct{ vm *bpf.VM }

func newMachine(t *testing.T) machine {
	t.Helper()
	program := compile(verdicts())
	if len(program) > kernelMax {
		t.Fatalf("%d instructions", len(program))
	}
	t.Logf("%d instructions", len(program))
	raw := make([]bpf.Instruction, len(program))
	for i, p := range program {
		raw[i] = bpf.RawInstruction{Op: p.Code, Jt: p.Jt, Jf: p.Jf, K: p.K}.Disassemble()
	}
	vm, err := bpf.NewVM(raw)
	if err != nil {
		t.Fatal(err)
	}
	return machine{vm}
}

func (m machine) judge(t *testing.T, arch, number uint32, args ...uint32) uint32 {
	t.Helper()
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offsetNumber:], number)
	binary.BigEndian.PutUint32(data[offsetArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offsetArg0+8*i:], a)
	}
	verdict, err := m.vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(verdict)
}

func TestEveryNumber(t *testing.T) {
	m := newMachine(t)
	list := verdicts()
	for number := range uint32(2048) {
		want := unknownCall
		if int(number) < len(list) {
			switch list[number] {
			case checkAllow:
				want = allow
			case checkRefuse:
				want = refuse
			case checkNoSuch:
			default:
				continue // by its arguments
			}
		}
		if got := m.judge(t, architecture, number); got != want {
			t.Errorf("call %d: %#x, want %#x", number, got, want)
		}
	}
}

func TestArguments(t *testing.T) {
	m := newMachine(t)
	for _, c := range []struct {
		name   string
		number uint32
		args   []uint32
		want   uint32
	}{
		{"thread", unix.SYS_CLONE, []uint32{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND}, allow},
		{"fork", unix.SYS_CLONE, []uint32{uint32(unix.SIGCHLD)}, allow},
		{"user namespace", unix.SYS_CLONE, []uint32{unix.CLONE_NEWUSER}, refuse},
		{"network namespace among others", unix.SYS_CLONE, []uint32{unix.CLONE_NEWNET | unix.CLONE_VM}, refuse},
		{"clone3", unix.SYS_CLONE3, nil, unknownCall},
		{"tcp", unix.SYS_SOCKET, []uint32{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, 0}, allow},
		{"udp over IPv6", unix.SYS_SOCKET, []uint32{unix.AF_INET6, unix.SOCK_DGRAM, 0}, allow},
		{"raw", unix.SYS_SOCKET, []uint32{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, 1}, refuse},
		{"unix", unix.SYS_SOCKET, []uint32{unix.AF_UNIX, unix.SOCK_SEQPACKET, 0}, allow},
		{"routes", unix.SYS_SOCKET, []uint32{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, allow},
		{"netfilter", unix.SYS_SOCKET, []uint32{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, noFamily},
		{"packet", unix.SYS_SOCKET, []uint32{unix.AF_PACKET, unix.SOCK_RAW, 0}, noFamily},
		{"vsock", unix.SYS_SOCKET, []uint32{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, noFamily},
		{"pair", unix.SYS_SOCKETPAIR, []uint32{unix.AF_UNIX, unix.SOCK_STREAM, 0}, allow},
		{"pair of another kind", unix.SYS_SOCKETPAIR, []uint32{unix.AF_TIPC, unix.SOCK_STREAM, 0}, noFamily},
		{"read personality", unix.SYS_PERSONALITY, []uint32{0xffffffff}, allow},
		{"default personality", unix.SYS_PERSONALITY, []uint32{0}, allow},
		{"readable code", unix.SYS_PERSONALITY, []uint32{0x0400000}, refuse},
		{"terminal size", unix.SYS_IOCTL, []uint32{1, unix.TIOCGWINSZ}, allow},
		{"terminal input", unix.SYS_IOCTL, []uint32{1, unix.TIOCSTI}, refuse},
		{"console", unix.SYS_IOCTL, []uint32{1, tiocLinux}, refuse},
	} {
		if got := m.judge(t, architecture, c.number, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
}

func TestOtherArchitecture(t *testing.T) {
	m := newMachine(t)
	for _, arch := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, architecture ^ 1} {
		if got := m.judge(t, arch, unix.SYS_READ); got != kill {
			t.Errorf("%#x: %#x", arch, got)
		}
	}
	// x32 calls have the same architecture and a bit in their number.
	if got := m.judge(t, architecture, 0x40000000|unix.SYS_READ); got != unknownCall {
		t.Errorf("x32: %#x", got)
	}
}

// TestDepth: each call is judged in few steps.
func TestDepth(t *testing.T) {
	count := len(spans(verdicts()))
	t.Logf("%d spans", count)
	if got := len(Filter()) / 8; got > 5*count+64 {
		t.Errorf("%d instructions for %d spans", got, count)
	}
}

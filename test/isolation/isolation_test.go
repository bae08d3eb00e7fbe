// Package isolation tries to break out of sandboxes, one attempt a row, as code
// of a hostile function would; each attempt must fail, in the way it says, and
// leave the neighbours well. It must never reach into a driver: what holds is
// what a function can see.
package isolation

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// The kernel's answers.
const (
	notPermitted = "operation not permitted"
	notThere     = "no such file or directory"
	denied       = "permission denied"
	readOnly     = "read-only file system"
	noSuchCall   = "function not implemented"
	noFamily     = "address family not supported"
	noProcess    = "no such process"
	invalid      = "invalid argument"
)

// attempt is one deed of the suite's program that must not succeed.
type attempt struct {
	name string
	deed []string
	want string // what it must be told
	// contained says why it may succeed with this driver; "" if it must not.
	contained string
}

func attempts() []attempt {
	number := func(n int) string { return fmt.Sprint(n) }
	call := func(name string, n int, args ...string) attempt {
		return attempt{name: name, deed: append([]string{"call", number(n)}, args...), want: notPermitted}
	}
	list := []attempt{
		// Mounts and roots.
		{"mount a tmpfs", []string{"mount", "tmpfs"}, notPermitted, ""},
		{"mount a proc", []string{"mount", "proc"}, notPermitted, ""},
		{"mount control groups", []string{"mount", "cgroup2"}, notPermitted, ""},
		{"mount an overlay", []string{"mount", "overlay"}, notPermitted, ""},
		{"make the root writable", []string{"remount-rw"}, notPermitted, ""},
		{"make the root writable, newer call", []string{"mount-setattr"}, notPermitted, ""},
		{"bind a directory", []string{"bind"}, notPermitted, ""},
		{"uncover a masked file", []string{"unmount"}, notPermitted, ""},
		{"open a filesystem", []string{"fsopen"}, notPermitted, ""},
		{"clone a mount", []string{"open-tree"}, notPermitted, ""},
		{"change the root", []string{"pivot-root"}, notPermitted, ""},
		{"chroot", []string{"chroot"}, notPermitted, ""},
		{"open a file by its handle", []string{"handle"}, notPermitted, ""},
		{"walk up out of the root", []string{"walk-out"}, "not exist", ""},

		// Namespaces.
		{"join process 1's namespaces", []string{"setns", "1"}, "error", ""},
		{"join its own namespaces again", []string{"setns", "self"}, notPermitted, ""},
		call("clone3", unix.SYS_CLONE3, "p", "88"),

		// Other processes.
		{"trace a child", []string{"ptrace"}, notPermitted, ""},
		{"read another process's memory", []string{"vm-read"}, notPermitted, ""},
		{"take another process's descriptor", []string{"pidfd-getfd"}, notPermitted, ""},
		{"end process 1", []string{"kill", "1", "9"}, notPermitted, ""},
		{"see process 1's environment", []string{"read", "/proc/1/environ"}, "error", ""},
		{"see process 1's root", []string{"list", "/proc/1/root/"}, "error", ""},
		{"overwrite process 1's binary", []string{"open", "/proc/1/exe", "rw"}, "error", ""},
		{"overwrite its own binary", []string{"open", "/proc/self/exe", "rw"}, "error", ""},

		// The host through /proc, /sys and devices.
		{"set the core pattern", []string{"write-to", "/proc/sys/kernel/core_pattern", "|/x"}, "error", ""},
		{"set the hostname through /proc", []string{"write-to", "/proc/sys/kernel/hostname", "x"}, "error", ""},
		{"switch on forwarding", []string{"write-to", "/proc/sys/net/ipv4/ip_forward", "1"}, "error", ""},
		{"never be killed for memory", []string{"oom-immune"}, denied, ""},
		{"look at /sys", []string{"list", "/sys"}, notThere, ""},
		{"look at control groups", []string{"list", "/sys/fs/cgroup"}, notThere, ""},
		{"look at the kernel's log", []string{"open", "/dev/kmsg"}, notThere, ""},
		{"look at memory", []string{"open", "/dev/mem"}, notThere, ""},
		{"look at virtual machines", []string{"open", "/dev/kvm"}, notThere, ""},
		{"look at loop devices", []string{"open", "/dev/loop-control"}, notThere, ""},
		{"look at tunnels", []string{"open", "/dev/net/tun"}, notThere, ""},
		{"look at FUSE", []string{"open", "/dev/fuse"}, notThere, ""},
		{"make a disk device", []string{"mknod", "b", "254", "0"}, notPermitted, ""},
		{"make a memory device", []string{"mknod", "c", "1", "1"}, notPermitted, ""},
		{"see the host's users", []string{"open", "/etc/shadow"}, notThere, ""},

		// Files.
		{"write to the code", []string{"write", "/var/task/x"}, readOnly, ""},
		{"write to the layers", []string{"write", "/opt/x"}, readOnly, ""},
		{"write to the root", []string{"write", "/x"}, readOnly, ""},
		{"write to the users", []string{"write", "/etc/passwd"}, readOnly, ""},

		// Sockets.
		{"raw socket", []string{"socket", number(unix.AF_INET), number(unix.SOCK_RAW), number(unix.IPPROTO_ICMP)}, notPermitted, ""},
		{"raw IPv6 socket", []string{"socket", number(unix.AF_INET6), number(unix.SOCK_RAW), number(unix.IPPROTO_ICMPV6)}, notPermitted, ""},
		{"packet socket", []string{"socket", number(unix.AF_PACKET), number(unix.SOCK_RAW), "768"}, noFamily, ""},
		{"netfilter socket", []string{"socket", number(unix.AF_NETLINK), number(unix.SOCK_RAW), number(unix.NETLINK_NETFILTER)}, noFamily, ""},
		{"audit socket", []string{"socket", number(unix.AF_NETLINK), number(unix.SOCK_RAW), number(unix.NETLINK_AUDIT)}, noFamily, ""},
		{"crypto socket", []string{"socket", number(unix.AF_ALG), number(unix.SOCK_SEQPACKET), "0"}, noFamily, ""},
		{"virtual machine socket", []string{"socket", number(unix.AF_VSOCK), number(unix.SOCK_STREAM), "0"}, noFamily, ""},

		// Privileges.
		{"become root", []string{"setuid"}, "error", ""},
		{"join root's group", []string{"setgroups"}, notPermitted, ""},
		{"gain a capability", []string{"capset"}, notPermitted, ""},
		{"raise a limit", []string{"raise-limit"}, notPermitted, ""},
		{"take the filter off", []string{"drop-seccomp"}, invalid, ""},
		{"allow new privileges", []string{"drop-nnp"}, invalid, ""},
		{"set the hostname", []string{"hostname"}, notPermitted, ""},
		{"type into a terminal", []string{"tiocsti"}, notPermitted, ""},

		// Kernel surfaces that no function needs.
		call("bpf", unix.SYS_BPF, "0", "p", "48"),
		call("userfaultfd", unix.SYS_USERFAULTFD, "0"),
		call("io_uring_setup", unix.SYS_IO_URING_SETUP, "8", "p"),
		call("perf_event_open", unix.SYS_PERF_EVENT_OPEN, "p", "0", "-1", "-1", "0"),
		call("add_key", unix.SYS_ADD_KEY, "p", "p", "p", "1", "-3"),
		call("request_key", unix.SYS_REQUEST_KEY, "p", "p", "p", "-3"),
		call("keyctl", unix.SYS_KEYCTL, "0", "-3", "1"),
		call("init_module", unix.SYS_INIT_MODULE, "p", "1", "p"),
		call("finit_module", unix.SYS_FINIT_MODULE, "0", "p", "0"),
		call("delete_module", unix.SYS_DELETE_MODULE, "p", "0"),
		call("kexec_load", unix.SYS_KEXEC_LOAD, "0", "0", "p", "0"),
		call("reboot", unix.SYS_REBOOT, "0xfee1dead", "672274793", "0", "0"),
		call("swapon", unix.SYS_SWAPON, "p", "0"),
		call("acct", unix.SYS_ACCT, "p"),
		call("settimeofday", unix.SYS_SETTIMEOFDAY, "p", "0"),
		call("clock_settime", unix.SYS_CLOCK_SETTIME, "0", "p"),
		call("adjtimex", unix.SYS_ADJTIMEX, "p"),
		call("quotactl", unix.SYS_QUOTACTL, "0", "p", "0", "p"),
		call("syslog", unix.SYS_SYSLOG, "3", "p", "10"),
		call("fanotify_init", unix.SYS_FANOTIFY_INIT, "0", "0"),
		call("process_madvise", unix.SYS_PROCESS_MADVISE, "0", "p", "0", "0", "0"),
		call("kcmp", unix.SYS_KCMP, "1", "1", "0", "0", "0"),
		call("personality without address randomisation", unix.SYS_PERSONALITY, "0x0040000"),
		{"a call of a kernel to come", []string{"call", "1000"}, noSuchCall, ""},
	}
	for i := range list {
		if list[i].name == "clone3" {
			list[i].want = noSuchCall // its flags cannot be looked at, so it does not exist
		}
	}
	for _, namespace := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		list = append(list, attempt{"unshare " + namespace, []string{"unshare", namespace}, notPermitted, ""})
		if namespace != "time" {
			list = append(list, attempt{"clone with a new " + namespace, []string{"clone", namespace}, notPermitted, ""})
		}
	}
	return list
}

// bombs take what they can. Each ends with the limit that it met.
var bombs = []struct {
	name  string
	deed  []string
	want  string // in what it wrote; "" if it is killed
	limit sandbox.Limits
}{
	{"fork bomb", []string{"forks"}, "resource temporarily unavailable", sandbox.Limits{MemoryMiB: 2048, CPUMilli: 1000, TmpMiB: 512}},
	{"memory bomb", []string{"memory", "4096"}, "", sandbox.Limits{MemoryMiB: 128, CPUMilli: 1000, TmpMiB: 512}},
	{"descriptor bomb", []string{"descriptors"}, "too many open files", sandbox.Limits{MemoryMiB: 128, CPUMilli: 1000, TmpMiB: 512}},
	{"disk bomb", []string{"fill", "/tmp/x"}, "no space left on device", sandbox.Limits{MemoryMiB: 128, CPUMilli: 1000, TmpMiB: 64}},
	{"inode bomb", []string{"fill-many", "/tmp"}, "no space left on device", sandbox.Limits{MemoryMiB: 128, CPUMilli: 1000, TmpMiB: 16}},
	{"output bomb", []string{"output", "300ms"}, "xxx", sandbox.Limits{MemoryMiB: 128, CPUMilli: 1000, TmpMiB: 512}},
	{"cpu bomb", []string{"spin", "300ms"}, "", sandbox.Limits{MemoryMiB: 128, CPUMilli: 100, TmpMiB: 512}},
}

// neighbour is a sandbox that lives through all attempts of a test.
type neighbour struct {
	*sandboxtest.Deed
}

func newNeighbour(t *testing.T, h *sandboxtest.Harness) *neighbour {
	t.Helper()
	n := &neighbour{Deed: h.Start(t, nil, "tick")}
	n.healthy(t)
	return n
}

// healthy waits for the neighbour's next line.
func (n *neighbour) healthy(t *testing.T) {
	t.Helper()
	seen := strings.Count(n.Text(), "\n")
	n.Await(t, func(s string) bool { return strings.Count(s, "\n") > seen })
}

func TestEscapes(t *testing.T) { eachDriver(t, testEscapes) }

func testEscapes(t *testing.T, h *sandboxtest.Harness, d driver) {
	n := newNeighbour(t, h)
	for batch := range slices.Chunk(d.attempts(attempts()), max(d.together, 1)) {
		wrote := tryTogether(t, h, batch)
		for i, a := range batch {
			t.Run(a.name, func(t *testing.T) {
				if a.contained != "" {
					return // and the neighbour tells whether it is
				}
				if wrote[i].code != 1 || !strings.Contains(wrote[i].text, "error") || !strings.Contains(wrote[i].text, a.want) {
					t.Errorf("%q: %+v", a.deed, wrote[i])
				}
			})
		}
	}
	n.healthy(t)
}

// wrote is what one deed wrote, and its exit status.
type wrote struct {
	text string
	code int
}

// tryTogether makes all attempts in one sandbox; a single one is its first process.
func tryTogether(t *testing.T, h *sandboxtest.Harness, batch []attempt) []wrote {
	t.Helper()
	code := t.TempDir()
	own := func(s *sandbox.StartSpec) { s.CodeDir = code }
	if len(batch) == 1 {
		text, exit := h.Start(t, own, batch[0].deed...).Wait(t)
		return []wrote{{text, exit.Code}}
	}
	deeds := []string{"each"}
	for _, a := range batch {
		deeds = append(append(deeds, a.deed...), "--")
	}
	text, exit := h.Start(t, own, deeds...).Wait(t)
	var all []wrote
	for i := range batch {
		before, after, found := strings.Cut(text, fmt.Sprintf("deed %d: ", i))
		status, rest, _ := strings.Cut(after, "\n")
		ended, err := strconv.Atoi(status)
		if !found || err != nil {
			t.Fatalf("%q ended the others: %q, %+v", batch[i].deed, text, exit)
		}
		all, text = append(all, wrote{before, ended}), rest
	}
	return all
}

func TestBombs(t *testing.T) { eachDriver(t, testBombs) }

func testBombs(t *testing.T, h *sandboxtest.Harness, d driver) {
	n := newNeighbour(t, h)
	for _, b := range bombs {
		t.Run(b.name, func(t *testing.T) {
			run := h.Start(t, func(s *sandbox.StartSpec) { s.Limits = b.limit }, b.deed...)
			n.healthy(t)
			out, exit := run.Wait(t)
			if b.name == "memory bomb" && !exit.OOM {
				t.Errorf("%+v", exit)
			}
			if !strings.Contains(out, b.want) {
				t.Errorf("%.200q %+v", out, exit)
			}
			n.healthy(t)
		})
	}
}

// TestSetuid: a file that belongs to root and is setuid gives nothing.
func TestSetuid(t *testing.T) { eachDriver(t, testSetuid) }

func testSetuid(t *testing.T, h *sandboxtest.Harness, d driver) {
	code := t.TempDir()
	content, err := os.ReadFile(h.Program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(code, "rooted")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	// The same as a file capability: CAP_SYS_ADMIN, effective.
	capability := []byte{1, 0, 0, 2, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(path, "security.capability", capability, 0); err != nil {
		t.Logf("no file capabilities here: %v", err)
	}
	for deed, want := range map[string]string{"id": "uid=993 gid=990", "status": "CapEff:\t0000000000000000"} {
		out, _ := h.Start(t, func(s *sandbox.StartSpec) { s.CodeDir = code }, "run", "/var/task/rooted", deed).Wait(t)
		if !strings.Contains(out, want) {
			t.Errorf("%s: %q", deed, out)
		}
	}
}

// TestNeighbours: nothing of one sandbox is in reach of another.
func TestNeighbours(t *testing.T) { eachDriver(t, testNeighbours) }

func testNeighbours(t *testing.T, h *sandboxtest.Harness, d driver) {
	serving := func(s string) bool { return strings.Contains(s, "serving") }
	t.Run("abstract sockets", func(t *testing.T) {
		h.Start(t, nil, "serve", "@secret").Await(t, serving)
		if out := h.Do(t, "dial", "@secret"); !strings.Contains(out, "refused") {
			t.Errorf("%q", out)
		}
	})
	t.Run("loopback", func(t *testing.T) {
		h.Start(t, nil, "serve", "127.0.0.1:7000").Await(t, serving)
		if out := h.Do(t, "dial", "127.0.0.1:7000"); !strings.Contains(out, "refused") {
			t.Errorf("%q", out)
		}
	})
	t.Run("sockets in /tmp", func(t *testing.T) {
		h.Start(t, nil, "serve", "/tmp/secret").Await(t, serving)
		if out := h.Do(t, "dial", "/tmp/secret"); !strings.Contains(out, notThere) {
			t.Errorf("%q", out)
		}
	})
	t.Run("shared memory", func(t *testing.T) {
		h.Start(t, nil, "shm-serve").Await(t, serving)
		if out := h.Do(t, "shm"); !strings.Contains(out, notThere) {
			t.Errorf("%q", out)
		}
	})
	t.Run("everybody's processes", func(t *testing.T) {
		n := newNeighbour(t, h)
		// To all processes: there are none but one's own.
		if out := h.Do(t, "kill", "-1", "9"); !strings.Contains(out, noProcess) && !strings.Contains(out, notPermitted) && out != "" {
			t.Errorf("%q", out)
		}
		n.healthy(t)
		for _, pid := range []int{os.Getpid(), os.Getppid()} {
			if out := h.Do(t, "kill", fmt.Sprint(pid), "0"); !strings.Contains(out, noProcess) {
				t.Errorf("the host's %d: %q", pid, out)
			}
		}
	})
	t.Run("the runtime API of another", func(t *testing.T) {
		mine, other := h.Park(t, nil), h.Park(t, nil)
		go sandboxtest.Answer(mine.RuntimeAPI(), "mine")
		go sandboxtest.Answer(other.RuntimeAPI(), "other")
		out, _ := h.StartIn(t, mine, nil, "dial", sandbox.RuntimeAPIAddress, "x").Wait(t)
		if out != "mine: x" {
			t.Errorf("%q", out)
		}
	})
}

// TestHostServices: what listens on the host, on any of its addresses, is out
// of reach. Sandboxes with egress have TestEgress beside the driver.
func TestHostServices(t *testing.T) { eachDriver(t, testHostServices) }

func testHostServices(t *testing.T, h *sandboxtest.Harness, d driver) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var reached atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{"127.0.0.1", "127.0.0.2"}
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
			targets = append(targets, ip.IP.String())
		}
	}
	for _, target := range targets {
		began := time.Now()
		out := h.Do(t, "dial", net.JoinHostPort(target, port))
		if !strings.Contains(out, "refused") && !strings.Contains(out, "unreachable") {
			t.Errorf("%s: %q after %s", target, out, time.Since(began))
		}
	}
	if reached.Load() != 0 {
		t.Error("a sandbox reached a service of the host")
	}
}

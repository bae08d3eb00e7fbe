package container_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// inWorld, set in the environment, says that this process has a network
// namespace of its own, which plays the host.
const inWorld = "LAMBDAD_TEST_WORLD"

// TestEgress never touches the machine's own network: the host, the internet
// and a private network are namespaces that it makes.
func TestEgress(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if os.Getenv(inWorld) == "" {
		child := exec.Command("/proc/self/exe", "-test.run=^TestEgress$", "-test.v")
		child.Env = append(os.Environ(), inWorld+"=1")
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	if _, err := nftables.New(); err != nil {
		t.Skipf("no nftables: %v", err)
	}
	w := newWorld(t)
	// A new namespace begins with the setting of the machine.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	stateDir := t.TempDir()
	conf := filepath.Join(stateDir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 8.8.4.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := container.New(container.Options{
		StateDir: stateDir, ResolvConf: conf, Init: sandboxtest.Build(t, sandboxtest.InitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	h := sandboxtest.NewHarness(t, d)
	if got := len(tables(t)); got != 0 {
		t.Errorf("%d tables before any sandbox wants egress", got)
	}
	egress := func(s *sandbox.ParkSpec) { s.Network = sandbox.NetworkEgress }
	do := func(t *testing.T, deed ...string) string {
		t.Helper()
		out, _ := h.StartIn(t, h.Park(t, egress), nil, deed...).Wait(t)
		return out
	}
	t.Run("reaches the internet, with the host's address", func(t *testing.T) {
		if err := d.Egress(); err != nil {
			t.Fatal(err)
		}
		if out := do(t, "dial", "1.1.1.1:80", "x"); out != "internet saw 8.8.4.2: x" {
			t.Errorf("%q", out)
		}
	})
	t.Run("resolves names", func(t *testing.T) {
		if out := do(t, "resolve", "example.com"); out != "1.1.1.1" {
			t.Errorf("%q", out)
		}
	})
	// Its link is there: it has asked for a name.
	neighbour := h.StartIn(t, h.Park(t, egress), nil, "serve", "0.0.0.0:7000", "example.com")
	neighbour.Await(t, func(s string) bool { return strings.Contains(s, "serving") })
	gateway := net.ParseIP(addressOf(neighbour)).To4()
	if gateway == nil {
		t.Fatalf("the neighbour has %q", neighbour.Text())
	}
	gateway[3]-- // the host's end of the neighbour's link
	for name, address := range map[string]string{
		"host's public address":  "8.8.4.2:8080",
		"host's private address": "10.9.0.1:8080",
		"private network":        "10.9.0.2:80",
		"metadata":               "169.254.169.254:80",
		"carrier-grade NAT":      "100.64.0.1:80",
		"documentation":          "203.0.113.1:80",
		"gateway":                net.IP(gateway).String() + ":8080",
		"host's loopback":        "127.0.0.1:8080",
		"neighbour":              addressOf(neighbour) + ":7000",
	} {
		t.Run("never "+name, func(t *testing.T) {
			if name != "neighbour" { // the host itself can reach it: it is the rules that refuse
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			out := do(t, "dial", address, "x")
			if !strings.Contains(out, "no route to host") && !strings.Contains(out, "refused") {
				t.Errorf("%s: %q", address, out)
			}
		})
	}
	t.Run("without egress, nothing", func(t *testing.T) {
		if out := h.Do(t, "dial", "1.1.1.1:80", "x"); !strings.Contains(out, "unreachable") {
			t.Errorf("%q", out)
		}
	})
	t.Run("no foreign source address", func(t *testing.T) {
		// It has no capability to give itself one.
		if out := do(t, "add-address", "8.8.8.8"); !strings.Contains(out, "not permitted") {
			t.Errorf("%q", out)
		}
	})
	t.Run("the host forwards for nobody else", func(t *testing.T) {
		if out := w.dialFrom(t, w.lan, "1.1.1.1:80"); out == "" {
			t.Error("a neighbour of the host reached the internet through it")
		}
	})
	if err := neighbour.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	t.Run("nothing left", func(t *testing.T) {
		if got := tables(t); len(got) != 0 {
			t.Errorf("tables: %q", got)
		}
		if got := w.forwarding(t); got != "0" {
			t.Errorf("forwarding is %q", got)
		}
		links, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "ld") {
				t.Errorf("link %s", l.Attrs().Name)
			}
		}
	})
}

// addressOf reads the address that the neighbour printed.
func addressOf(d *sandboxtest.Deed) string {
	for _, word := range strings.Fields(d.Text()) {
		if strings.HasPrefix(word, "198.") {
			ip, _, _ := strings.Cut(word, "/")
			return ip
		}
	}
	return "no address"
}

func tables(t *testing.T) []string {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range list {
		names = append(names, table.Name)
	}
	return names
}

// world is the host's surroundings.
type world struct{ internet, lan netns.NsHandle }

// newWorld: this namespace is the host, with 8.8.4.2 towards the internet and
// 10.9.0.1 towards a private network.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{internet: newNamespace(t), lan: newNamespace(t)}
	up(t, must(t)(netlink.LinkByName("lo")))
	w.wire(t, "wan", "8.8.4.2/24", w.internet, "8.8.4.1/24", "1.1.1.1/32", "169.254.169.254/32", "100.64.0.1/32", "203.0.113.1/32")
	w.wire(t, "lan", "10.9.0.1/24", w.lan, "10.9.0.2/24")
	if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("8.8.4.1")}); err != nil {
		t.Fatal(err)
	}
	within(t, w.lan, func() {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("10.9.0.1")}); err != nil {
			t.Error(err)
		}
	})
	// Answers to an address that was not masqueraded find their way back too:
	// it is the rules that must hold, not a missing route.
	within(t, w.internet, func() {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("8.8.4.2")}); err != nil {
			t.Error(err)
		}
	})
	w.serve(t, w.internet, "internet", "0.0.0.0:80")
	w.serve(t, w.lan, "lan", "0.0.0.0:80")
	w.serve(t, netns.None(), "host", "0.0.0.0:8080")
	within(t, w.internet, func() {
		c, err := net.ListenPacket("udp", "8.8.4.1:53")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { c.Close() })
		go answerNames(c)
	})
	return w
}

func newNamespace(t *testing.T) (ns netns.NsHandle) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with us
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			ns, err = netns.GetFromPath("/proc/thread-self/ns/net")
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	within(t, ns, func() { up(t, must(t)(netlink.LinkByName("lo"))) })
	return ns
}

// within runs f on a thread in the namespace.
func within(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := netns.Set(ns)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// wire links this namespace with another.
func (w *world) wire(t *testing.T, name, here string, ns netns.NsHandle, there ...string) {
	t.Helper()
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name, PeerNamespace: netlink.NsFd(ns)})
	if err != nil {
		t.Fatal(err)
	}
	link := must(t)(netlink.LinkByName(name))
	address(t, link, here)
	up(t, link)
	within(t, ns, func() {
		link := must(t)(netlink.LinkByName(name))
		for _, a := range there {
			address(t, link, a)
		}
		up(t, link)
	})
}

func address(t *testing.T, link netlink.Link, text string) {
	a, err := netlink.ParseAddr(text)
	if err == nil {
		err = netlink.AddrAdd(link, a)
	}
	if err != nil {
		t.Error(err)
	}
}

func up(t *testing.T, link netlink.Link) {
	if err := netlink.LinkSetUp(link); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T) func(netlink.Link, error) netlink.Link {
	return func(l netlink.Link, err error) netlink.Link {
		if err != nil {
			t.Error(err)
		}
		return l
	}
}

// serve answers with a name and the caller's address.
func (w *world) serve(t *testing.T, ns netns.NsHandle, name, at string) {
	t.Helper()
	listen := func() {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				p := make([]byte, 100)
				n, _ := c.Read(p)
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				c.Write([]byte(name + " saw " + host + ": " + string(p[:n])))
				c.Close()
			}
		}()
	}
	if ns.IsOpen() {
		within(t, ns, listen)
	} else {
		listen()
	}
}

// dialFrom returns what the server said, or "" with no connection.
func (w *world) dialFrom(t *testing.T, ns netns.NsHandle, to string) (problem string) {
	t.Helper()
	within(t, ns, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1}); err != nil {
			t.Error(err)
		}
		host, _, _ := strings.Cut(to, ":")
		sa := &unix.SockaddrInet4{Port: 80, Addr: [4]byte(net.ParseIP(host).To4())}
		if err := unix.Connect(fd, sa); err != nil {
			problem = err.Error()
		}
	})
	return problem
}

func (w *world) forwarding(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// answerNames says that every name is 1.1.1.1 and has no IPv6 address.
func answerNames(c net.PacketConn) {
	p := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(p)
		if err != nil {
			return
		}
		end := 12
		for end < n && p[end] != 0 {
			end += int(p[end]) + 1
		}
		if end+5 > n {
			continue
		}
		end += 5
		answer := append([]byte(nil), p[:end]...)
		answer[2], answer[3] = 0x81, 0x80
		copy(answer[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
		if answer[end-3] == 1 { // type A
			answer[7] = 1
			answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 1, 1, 1)
		}
		c.WriteTo(answer, from)
	}
}

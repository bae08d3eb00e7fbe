// Package egress links sandboxes to the public internet: one veth pair and one
// address each, masqueraded by the host, behind nftables rules that keep them
// from the host itself, from private and link-local networks, and from each
// other. A link can wait until it is needed (await.go). It must never import a driver:
// a driver hands it a network namespace.
package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The links' addresses lie in the range for benchmarks (RFC 2544), which no
// network routes and few people use. Each node takes one block of it.
const (
	rangeFirst = 198<<24 | 18<<16
	rangeBits  = 15
	blockLinks = 4096
	blocks     = 1 << (32 - rangeBits) / (2 * blockLinks)
)

const forwardingFile = "/proc/sys/net/ipv4/ip_forward"

// forwardingMark lies in the state directory while we hold forwarding on that
// the host had off.
const forwardingMark = "egress.forwarding-was-off"

// Options of a Gateway.
type Options struct {
	// Node is six hexadecimal digits, unique to this node on the host: the
	// links and the table are named after it.
	Node string
	// StateDir remembers what of the host was changed.
	StateDir string
	// ResolvConf names the host's resolvers; "" is /etc/resolv.conf.
	ResolvConf string
	Log        *slog.Logger
}

// Gateway is the node's way out.
type Gateway struct {
	node     string
	prefix   string // of the links' names
	mark     string
	log      *slog.Logger
	resolver *resolver
	block    uint32            // first address
	claimed  *net.UnixListener // while the block is ours

	mu   sync.Mutex
	host *netlink.Handle // one socket for all requests about the host's ends
	// turn is held while a link is made or removed. The kernel does one such thing at a
	// time anyway, and whoever writes disable_ipv6 meanwhile does not sleep but tries
	// again and again: many at once took more processor time than all else of a burst.
	turn   sync.Mutex
	closes chan struct{}   // a token for each socket of packets that is being closed
	used   map[uint32]bool // link numbers
	next   uint32
	close  bool
}

// Link is one sandbox's way out.
type Link struct {
	gateway *Gateway
	number  uint32
	name    string
	index   int // of the host's end; 0 until it is made
	peer    int // of the sandbox's end; 0 until it is made
	serving sync.WaitGroup
	stop    []func() error
	outside *os.File // of a link that is made when it is needed
	making  sync.Once
	once    sync.Once
	err     error
}

// Reap takes away what a process of this node that was killed left behind.
func Reap(options Options) error {
	mark := filepath.Join(options.StateDir, forwardingMark)
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		// Links end with their namespaces; without the mark at most our rules
		// are left, which match nothing.
		if found, err := tableExists("lambdad-" + options.Node); err != nil || !found {
			return nil // no nftables here, or none of ours
		}
	}
	g := &Gateway{node: options.Node, prefix: "ld" + options.Node + "-", mark: mark}
	return g.Close()
}

// Open sets the host's rules. What an earlier process of this node left of
// them is replaced.
func Open(options Options) (*Gateway, error) {
	if len(options.Node) != 6 {
		return nil, fmt.Errorf("egress: node %q is not six digits", options.Node)
	}
	g := &Gateway{
		node:   options.Node,
		prefix: "ld" + options.Node + "-",
		mark:   filepath.Join(options.StateDir, forwardingMark),
		log:    options.Log,
		used:   map[uint32]bool{},
		closes: make(chan struct{}, closesMax),
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if err := packetSockets(); err != nil {
		return nil, err
	}
	g.resolver = newResolver(options.ResolvConf, g.log)
	if err := g.removeLinks(); err != nil {
		return nil, err
	}
	var err error
	if g.block, err = g.freeBlock(); err != nil {
		return nil, err
	}
	if g.host, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("egress: %w", err), g.claimed.Close())
	}
	if err := g.open(); err != nil {
		g.host.Close()
		return nil, errors.Join(err, g.claimed.Close())
	}
	return g, nil
}

// open changes the host.
func (g *Gateway) open() error {
	wasOff, err := g.forwardingWasOff()
	if err != nil {
		return err
	}
	// The rules first: nothing is forwarded without them, not even for a moment.
	if err := g.setRules(wasOff); err != nil {
		return err
	}
	if wasOff {
		if err := os.WriteFile(forwardingFile, []byte("1"), 0); err != nil {
			return errors.Join(fmt.Errorf("egress: %w", err), g.deleteRules())
		}
	}
	return nil
}

// Close takes rules and links away, and forwarding if it was off before.
func (g *Gateway) Close() error {
	g.mu.Lock()
	g.close = true
	g.mu.Unlock()
	err := errors.Join(g.removeLinks(), g.restoreForwarding(), g.deleteRules())
	if g.host != nil { // nil for what only reaps
		g.host.Close()
		err = errors.Join(err, g.claimed.Close())
	}
	return err
}

func (g *Gateway) forwardingWasOff() (bool, error) {
	if _, err := os.Stat(g.mark); err == nil {
		return true, nil // an earlier process of ours switched it on
	}
	now, err := os.ReadFile(forwardingFile)
	if err != nil {
		return false, fmt.Errorf("egress: %w", err)
	}
	if strings.TrimSpace(string(now)) != "0" {
		return false, nil
	}
	if err := os.WriteFile(g.mark, nil, 0o600); err != nil {
		return false, fmt.Errorf("egress: %w", err)
	}
	return true, nil
}

func (g *Gateway) restoreForwarding() error {
	if _, err := os.Stat(g.mark); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.WriteFile(forwardingFile, []byte("0"), 0); err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	return os.Remove(g.mark)
}

// freeBlock finds a block of addresses that no link and no other node has.
func (g *Gateway) freeBlock() (uint32, error) {
	list, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return 0, fmt.Errorf("egress: %w", err)
	}
	var seed uint32
	if _, err := fmt.Sscanf(g.node, "%x", &seed); err != nil {
		return 0, fmt.Errorf("egress: node %q: %w", g.node, err)
	}
	for i := range uint32(blocks) {
		first := rangeFirst + (seed+i)%blocks*2*blockLinks
		free := true
		for _, a := range list {
			if ip := a.IP.To4(); ip != nil {
				n := binary.BigEndian.Uint32(ip)
				free = free && (n < first || n >= first+2*blockLinks)
			}
		}
		if free {
			if g.claimed, err = claim(first); err == nil {
				return first, nil
			}
		}
	}
	return 0, errors.New("egress: all of 198.18.0.0/15 is in use")
}

// claim makes a block of addresses this node's, though it may have no link yet. A socket in
// the network's own space of names is seen in this network alone, and ends with its process.
func claim(first uint32) (*net.UnixListener, error) {
	return net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@lambdad-egress-%x", first)})
}

// listsMax bounds how often a list is asked for that changes meanwhile.
const listsMax = 20

// whole is a list that nothing changed while the kernel told it, as links of other
// sandboxes may: half of one would leave links behind, or take addresses twice.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	var found []T
	var err error
	for range listsMax {
		if found, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return found, err
}

func (g *Gateway) removeLinks() error {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, g.prefix) {
			if err := netlink.LinkDel(l); err != nil && !gone(err) {
				return fmt.Errorf("egress: remove %s: %w", l.Attrs().Name, err)
			}
		}
	}
	return nil
}

// Attach is Connect and Serve.
func (g *Gateway) Attach(_ context.Context, namespace *os.File, dnsTCP net.Listener, dnsUDP net.PacketConn) (*Link, error) {
	l, err := g.Connect(namespace)
	if err == nil {
		l.Serve(dnsTCP, dnsUDP)
	}
	return l, err
}

// Serve answers with the host's resolvers on sockets at 127.0.0.1:53 in the linked
// namespace, at most once; the link closes them.
func (l *Link) Serve(dnsTCP net.Listener, dnsUDP net.PacketConn) {
	l.stop = []func() error{dnsTCP.Close, dnsUDP.Close}
	l.serving.Go(func() { l.gateway.resolver.serveTCP(dnsTCP, func() {}) })
	l.serving.Go(func() { l.gateway.resolver.serveUDP(dnsUDP, func() {}) })
}

// Connect links the network namespace.
func (g *Gateway) Connect(namespace *os.File) (*Link, error) {
	l, err := g.Reserve()
	if err != nil {
		return nil, err
	}
	if err := l.connect(namespace); err != nil {
		return nil, errors.Join(fmt.Errorf("egress: link %s: %w", l.name, err), l.Close())
	}
	return l, nil
}

// Address is the sandbox's own, as its neighbours would see it.
func (l *Link) Address() net.IP { return l.ip(1) }

// ip is the host's end (0) or the sandbox's end (1) of the link.
func (l *Link) ip(end uint32) net.IP {
	return binary.BigEndian.AppendUint32(nil, l.gateway.block+2*l.number+end)
}

func (l *Link) connect(namespace *os.File) error {
	l.gateway.turn.Lock()
	defer l.gateway.turn.Unlock()
	host := l.gateway.host
	pair := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: l.name, HardwareAddr: l.hardware(0)},
		PeerName:         "eth0",
		PeerHardwareAddr: l.hardware(1),
		PeerNamespace:    netlink.NsFd(namespace.Fd()),
	}
	if err := host.LinkAdd(pair); err != nil { // and learn its index
		return err
	}
	l.index = pair.Index
	for _, setting := range []struct{ path, value string }{
		{"/proc/sys/net/ipv4/conf/" + l.name + "/rp_filter", "1"}, // no foreign source address
		{"/proc/sys/net/ipv6/conf/" + l.name + "/disable_ipv6", "1"},
	} {
		if err := os.WriteFile(setting.path, []byte(setting.value), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	mask := net.CIDRMask(31, 32)
	if err := host.AddrAdd(pair, &netlink.Addr{IPNet: &net.IPNet{IP: l.ip(0), Mask: mask}}); err != nil {
		return err
	}
	if err := host.LinkSetUp(pair); err != nil {
		return err
	}
	// Sockets of other families are not needed, and each makes tables in a new namespace.
	inside, err := netlink.NewHandleAt(netns.NsHandle(namespace.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	peer, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := inside.AddrAdd(peer, &netlink.Addr{IPNet: &net.IPNet{IP: l.ip(1), Mask: mask}}); err != nil {
		return err
	}
	if err := inside.LinkSetUp(peer); err != nil {
		return err
	}
	// In place of the one over the loopback device, if there is one.
	if err := inside.RouteReplace(&netlink.Route{LinkIndex: peer.Attrs().Index, Gw: l.ip(0)}); err != nil {
		return err
	}
	l.peer = peer.Attrs().Index
	if l.outside == nil {
		return nil
	}
	return l.leaveLoopback(inside)
}

// Close unlinks the sandbox. It is idempotent.
func (l *Link) Close() error {
	l.once.Do(func() {
		var errs []error
		for _, stop := range l.stop {
			errs = append(errs, stop())
		}
		l.serving.Wait()
		// The pair vanishes with either end's namespace: it may be gone.
		var err error
		if l.index != 0 {
			l.gateway.turn.Lock()
			err = l.gateway.host.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: l.name, Index: l.index}})
			l.gateway.turn.Unlock()
		}
		if err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("egress: remove %s: %w", l.name, err))
		}
		l.gateway.mu.Lock()
		delete(l.gateway.used, l.number)
		l.gateway.mu.Unlock()
		l.err = errors.Join(errs...)
	})
	return l.err
}

package egress

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A link is made when it is needed first: the kernel makes pairs one at a time, for
// longer than all else of a sandbox takes, and most sandboxes speak to nobody outside.
// Until then the sandbox's address lies on its loopback device and everything else leads
// there too. What the program sends to the outside is dropped there, and seen by us: we
// make the link, and send for the program what it has sent already.

const (
	// headerBytes is what comes before a packet: virtio_net_hdr, which says what of its
	// checksum is still to be done, and the Ethernet header.
	virtioBytes   = 10
	ethernetBytes = 14
	headerBytes   = virtioBytes + ethernetBytes
	packetMax     = headerBytes + 64<<10
	// heldBytes bounds what is held of packets until the link is there.
	heldBytes = 64 << 10
	// settleTries and settlePause bound the wait for a link to work both ways.
	settleTries = 100
	settlePause = 100 * time.Microsecond
	// closesMax bounds how many sockets are closed at once: each makes a thread wait for the
	// kernel's grace period.
	closesMax = 16
)

// outsideFilter lets packets through that are not for 127.0.0.0/8.
var outsideFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: ethernetBytes + 16}, // the destination's first byte
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: 127},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: packetMax},
}

// packetSockets tells whether this kernel has what links are awaited with.
func packetSockets() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("egress: a socket of packets: %w", err)
	}
	return nil
}

// Reserve is a link that has an address and is not made.
func (g *Gateway) Reserve() (*Link, error) {
	l := &Link{gateway: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.close || len(g.used) >= blockLinks {
		return nil, fmt.Errorf("egress: closed, or more than %d links", blockLinks)
	}
	for g.used[g.next%blockLinks] {
		g.next++
	}
	l.number = g.next % blockLinks
	g.used[l.number] = true
	g.next++
	l.name = fmt.Sprintf("%s%d", g.prefix, l.number)
	return l, nil
}

// Await answers names as Serve does, and makes the link when the first name is asked for or
// the first packet leaves. outside is a socket of packets, without a protocol yet, in the
// sandbox's network, where the link's address and the default route lie on the loopback
// device. It is the link's, on an error too.
func (l *Link) Await(outside int, dnsTCP net.Listener, dnsUDP net.PacketConn) error {
	fprog := unix.SockFprog{Len: uint16(len(outsideFilter)), Filter: &outsideFilter[0]}
	err := errors.Join(
		unix.SetNonblock(outside, true),
		unix.SetsockoptSockFprog(outside, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog),
		unix.SetsockoptInt(outside, unix.SOL_SOCKET, unix.SO_RCVBUF, heldBytes),
		unix.SetsockoptInt(outside, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.Bind(outside, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: loopbackIndex}),
	)
	l.outside = os.NewFile(uintptr(outside), "outside")
	l.stop = []func() error{dnsTCP.Close, dnsUDP.Close, l.closeOutside}
	if err != nil {
		return fmt.Errorf("egress: await packets: %w", err)
	}
	l.serving.Go(func() { l.gateway.resolver.serveTCP(dnsTCP, l.need) })
	l.serving.Go(func() { l.gateway.resolver.serveUDP(dnsUDP, l.need) })
	l.serving.Go(l.watch)
	return nil
}

// loopbackIndex is what every network calls its loopback device.
const loopbackIndex = 1

func bigEndian(n uint16) uint16 { return n<<8 | n>>8 }

// need makes the link, once; whoever comes meanwhile waits.
func (l *Link) need() {
	l.making.Do(func() {
		if err := l.make(); err != nil && !errors.Is(err, os.ErrClosed) {
			l.gateway.log.Warn("a sandbox reaches nothing outside", "link", l.name, "error", err)
		}
		// What was sent meanwhile is sent on.
		if err := l.outside.SetReadDeadline(time.Now()); err != nil && !errors.Is(err, os.ErrClosed) {
			l.gateway.log.Warn("a link's first packets are late", "link", l.name, "error", err)
		}
	})
}

func (l *Link) make() error {
	raw, err := l.outside.SyscallConn()
	if err != nil {
		return err
	}
	namespace := -1
	if gone := raw.Control(func(fd uintptr) { namespace, err = unix.IoctlRetInt(int(fd), unix.SIOCGSKNS) }); gone != nil {
		return gone
	}
	if err != nil {
		return fmt.Errorf("the socket's network: %w", err)
	}
	f := os.NewFile(uintptr(namespace), "network")
	if err := errors.Join(l.connect(f), f.Close()); err != nil {
		return err
	}
	return l.settle()
}

// settle waits until the host's end sends: the kernel switches it on by itself a moment after
// the other end is up, and drops until then what it is to send, such as the first answer.
func (l *Link) settle() error {
	for range settleTries {
		end, err := l.gateway.host.LinkByIndex(l.index)
		if err != nil {
			return err
		}
		if end.Attrs().OperState == netlink.OperUp {
			return nil
		}
		time.Sleep(settlePause)
	}
	return nil // late: whoever sent sends again
}

// watch waits for the first packet to the outside, and when the link is there sends on what
// was sent before.
func (l *Link) watch() {
	raw, err := l.outside.SyscallConn()
	if err != nil {
		return // closed
	}
	buffer := make([]byte, packetMax)
	for drained := false; !drained; {
		var n int
		var failed error
		waited := raw.Read(func(fd uintptr) bool {
			n, _, failed = unix.Recvfrom(int(fd), buffer[:], unix.MSG_DONTWAIT)
			return failed != unix.EAGAIN
		})
		switch {
		case errors.Is(waited, os.ErrDeadlineExceeded): // somebody made the link
			drained = true
			l.drain(buffer)
		case waited != nil || failed != nil:
			return
		default:
			l.need()
			l.sendOn(buffer[:n])
		}
	}
	l.gateway.log.Debug("a link was made", "link", l.name)
	if err := l.closeOutside(); err != nil {
		l.gateway.log.Warn("a link's socket", "error", err)
	}
}

// drain sends on what is held.
func (l *Link) drain(buffer []byte) {
	raw, err := l.outside.SyscallConn()
	if err != nil {
		return
	}
	for failed := error(nil); failed == nil; {
		var n int
		if raw.Control(func(fd uintptr) { n, _, failed = unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT) }) != nil {
			return
		}
		if failed == nil {
			l.sendOn(buffer[:n])
		}
	}
}

// sendOn sends a packet of the program's to the host's end of the link. One that cannot be
// sent is lost, as packets are.
func (l *Link) sendOn(packet []byte) {
	if l.peer == 0 || len(packet) <= headerBytes {
		return
	}
	ethernet := packet[virtioBytes:]
	copy(ethernet, l.hardware(0))
	copy(ethernet[6:], l.hardware(1))
	raw, err := l.outside.SyscallConn()
	if err != nil {
		return
	}
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: l.peer}
	if gone := raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), packet, unix.MSG_DONTWAIT, to) }); gone != nil || err != nil {
		l.gateway.log.Debug("a link's first packet is lost", "link", l.name, "error", err)
	}
}

// hardware is the address of an end of the link, as Ethernet has them.
func (l *Link) hardware(end uint32) net.HardwareAddr {
	return append(net.HardwareAddr{2, 0}, l.ip(end)...) // 2: nobody's in the world
}

func (l *Link) closeOutside() error {
	l.gateway.closes <- struct{}{}
	defer func() { <-l.gateway.closes }()
	if err := l.outside.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// leaveLoopback takes away what stood in for the link, which is there now.
func (l *Link) leaveLoopback(inside *netlink.Handle) error {
	lo, err := inside.LinkByIndex(loopbackIndex)
	if err != nil {
		return err
	}
	return inside.AddrDel(lo, &netlink.Addr{IPNet: &net.IPNet{IP: l.ip(1), Mask: net.CIDRMask(32, 32)}})
}

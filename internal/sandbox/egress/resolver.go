package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// queriesMax is how many queries of one sandbox may be under way; more are dropped.
	queriesMax  = 64
	queryMax    = 4 * time.Second
	datagramMax = 65535
	// confAge is how long the host's list of resolvers is believed.
	confAge      = 10 * time.Second
	resolversMax = 3 // as in the C library
	dnsHeader    = 12
)

// resolver passes queries on to the host's resolvers. It does not look into
// them: the sandbox may ask what the host may ask.
type resolver struct {
	conf string
	log  *slog.Logger

	mu      sync.Mutex
	servers []string
	read    time.Time
}

func newResolver(conf string, log *slog.Logger) *resolver {
	if conf == "" {
		conf = "/etc/resolv.conf"
	}
	return &resolver{conf: conf, log: log}
}

// upstream lists host:port of the host's resolvers.
func (r *resolver) upstream() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.read) < confAge {
		return r.servers
	}
	content, err := os.ReadFile(r.conf)
	if err != nil {
		r.log.Warn("the host's resolvers are unknown", "error", err)
		return r.servers
	}
	r.servers, r.read = parseConf(string(content)), time.Now()
	return r.servers
}

func parseConf(content string) []string {
	var list []string
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(list) == resolversMax {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			list = append(list, netip.AddrPortFrom(a, 53).String())
		}
	}
	return list
}

// serveUDP answers until the socket is closed, and tells that something was asked before it
// answers.
func (r *resolver) serveUDP(conn net.PacketConn, asked func()) {
	tokens := make(chan struct{}, queriesMax)
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	buffer := make([]byte, datagramMax)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if n < dnsHeader {
			continue
		}
		query := append([]byte(nil), buffer[:n]...)
		select {
		case tokens <- struct{}{}:
		default:
			continue
		}
		wait.Go(func() {
			defer func() { <-tokens }()
			asked()
			answer := r.ask(ctx, "udp", query)
			if _, err := conn.WriteTo(answer, from); err != nil && !errors.Is(err, net.ErrClosed) {
				r.log.Debug("answer lost", "error", err)
			}
		})
	}
}

// serveTCP answers until the listener is closed.
func (r *resolver) serveTCP(listener net.Listener, asked func()) {
	tokens := make(chan struct{}, queriesMax)
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		select {
		case tokens <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		wait.Go(func() {
			defer func() { <-tokens }()
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			for {
				if conn.SetDeadline(time.Now().Add(2*queryMax)) != nil {
					return
				}
				query, err := readMessage(conn)
				if err != nil || len(query) < dnsHeader {
					return
				}
				asked()
				if writeMessage(conn, r.ask(ctx, "tcp", query)) != nil {
					return
				}
			}
		})
	}
}

// ask tries the resolvers in turn. Where none answers it says SERVFAIL, which
// is what a resolver would say.
func (r *resolver) ask(ctx context.Context, network string, query []byte) []byte {
	for _, server := range r.upstream() {
		if answer, err := exchange(ctx, network, server, query); err == nil {
			return answer
		}
	}
	failure := append([]byte(nil), query[:dnsHeader]...)
	failure[2] |= 0x80 // a response
	failure[3] = failure[3]&0xf0 | 2
	for i := 4; i < dnsHeader; i++ {
		failure[i] = 0 // with no section
	}
	return failure
}

func exchange(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, queryMax)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if network == "tcp" {
		if err := writeMessage(conn, query); err != nil {
			return nil, err
		}
		return readMessage(conn)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buffer := make([]byte, datagramMax)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if n >= dnsHeader && buffer[0] == query[0] && buffer[1] == query[1] {
			return buffer[:n], nil
		}
	}
}

// readMessage and writeMessage frame a message on a stream: RFC 1035, 4.2.2.
func readMessage(from io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(from, message)
	return message, err
}

func writeMessage(to io.Writer, message []byte) error {
	if len(message) > datagramMax {
		return io.ErrShortWrite
	}
	_, err := to.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

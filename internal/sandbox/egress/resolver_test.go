package egress

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestParseConf(t *testing.T) {
	for _, c := range []struct {
		conf string
		want []string
	}{
		{"", nil},
		{"# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.1\n", []string{"10.0.0.1:53"}},
		{"nameserver ::1\nnameserver bad\n nameserver 1.2.3.4 \n", []string{"[::1]:53", "1.2.3.4:53"}},
		{"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n", []string{"1.1.1.1:53", "1.1.1.2:53", "1.1.1.3:53"}},
		{"nameserver", nil},
	} {
		if got := parseConf(c.conf); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q", c.conf, got)
		}
	}
}

// TestNoResolver: where nobody answers, the sandbox hears SERVFAIL at once.
func TestNoResolver(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newResolver(conf, slog.New(slog.DiscardHandler))
	query := []byte{0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0, 1, 0, 1}
	want := []byte{0xab, 0xcd, 0x81, 2, 0, 0, 0, 0, 0, 0, 0, 0}
	if got := r.ask(context.Background(), "udp", query); !bytes.Equal(got, want) {
		t.Errorf("%x", got)
	}

	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	go func() { r.serveUDP(packets, func() {}); done <- struct{}{} }()
	go func() { r.serveTCP(stream, func() {}); done <- struct{}{} }()

	udp, err := net.Dial("udp", packets.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if err := udp.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{{1, 2, 3}, query} { // the first is no message and gets no answer
		if _, err := udp.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	answer := make([]byte, 100)
	if n, err := udp.Read(answer); err != nil || !bytes.Equal(answer[:n], want) {
		t.Errorf("udp: %x, %v", answer[:n], err)
	}
	tcp, err := net.Dial("tcp", stream.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for range 2 {
		if err := writeMessage(tcp, query); err != nil {
			t.Fatal(err)
		}
		if got, err := readMessage(tcp); err != nil || !bytes.Equal(got, want) {
			t.Errorf("tcp: %x, %v", got, err)
		}
	}
	// Closing ends both, an open connection notwithstanding.
	packets.Close()
	stream.Close()
	<-done
	<-done
}

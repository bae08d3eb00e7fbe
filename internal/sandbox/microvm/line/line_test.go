package line

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// pair is two ends of a line; what the first opens, the second accepts.
func pair(t *testing.T) (opener *Line, accepted chan *Stream, messages chan string, other *Line) {
	a, b := net.Pipe()
	accepted, messages = make(chan *Stream, 64), make(chan string, 64)
	opener = New(a, Options{Message: func(p []byte) { messages <- string(p) }})
	other = New(b, Options{Host: true, Opened: func(s *Stream) { accepted <- s }, Message: func(p []byte) { messages <- string(p) }})
	var wait sync.WaitGroup
	for _, l := range []*Line{opener, other} {
		wait.Go(func() { l.Serve() })
	}
	t.Cleanup(func() {
		opener.Close()
		other.Close()
		wait.Wait()
	})
	return opener, accepted, messages, other
}

// TestStreams: many at once, each longer than its window, both ways.
func TestStreams(t *testing.T) {
	opener, accepted, _, _ := pair(t)
	content := make([]byte, 5*Window+17)
	for i := range content {
		content[i] = byte(rand.IntN(256))
	}
	var wait sync.WaitGroup
	for range 8 {
		s, err := opener.Open(9001)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			peer := <-accepted
			if peer.Port() != 9001 {
				t.Errorf("port %d", peer.Port())
			}
			got, err := io.ReadAll(peer)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes arrived, %v", len(got), err)
			}
			if _, err := peer.Write(got); err != nil {
				t.Error(err)
			}
			if err := peer.Close(); err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if _, err := s.Write(content); err != nil {
				t.Error(err)
			}
			if err := s.CloseWrite(); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes came back, %v", len(got), err)
			}
			s.Close()
		})
	}
	wait.Wait()
}

// TestBothOpen: each end opens with numbers of its own.
func TestBothOpen(t *testing.T) {
	a, b := net.Pipe()
	opened := make(chan *Stream, 2)
	guest := New(a, Options{Opened: func(s *Stream) { opened <- s }})
	host := New(b, Options{Host: true, Opened: func(s *Stream) { opened <- s }})
	var wait sync.WaitGroup
	for _, l := range []*Line{guest, host} {
		wait.Go(func() { l.Serve() })
	}
	defer wait.Wait()
	defer guest.Close()
	defer host.Close()
	for i, l := range []*Line{guest, host} {
		s, err := l.Open(Port(7 + i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		peer := <-opened
		p := make([]byte, 1)
		if _, err := io.ReadFull(peer, p); err != nil || int(p[0]) != i || peer.Port() != Port(7+i) {
			t.Errorf("%d: %v, %v, port %d", i, p, err, peer.Port())
		}
	}
}

// TestSlowReader: one stream that nobody reads holds up no other.
func TestSlowReader(t *testing.T) {
	opener, accepted, messages, _ := pair(t)
	stuck, err := opener.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := stuck.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := stuck.Write(make([]byte, 2*Window)); n != Window || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	<-accepted
	if err := opener.Send([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := <-messages; got != "hello" {
		t.Errorf("%q", got)
	}
	if err := stuck.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := stuck.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestMessages(t *testing.T) {
	opener, _, messages, _ := pair(t)
	long := bytes.Repeat([]byte("x"), 3*PayloadMax+1)
	if err := opener.Send(long); err != nil {
		t.Fatal(err)
	}
	if got := <-messages; got != string(long) {
		t.Errorf("%d bytes", len(got))
	}
	if err := opener.Send(make([]byte, MessageMax+1)); err == nil {
		t.Error("sent a message that is too long")
	}
}

// TestHold: nothing comes after the last message, until the streams are forgotten.
func TestHold(t *testing.T) {
	opener, accepted, messages, _ := pair(t)
	s, err := opener.Open(1)
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	if err := opener.SendAndHold([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if got := <-messages; got != "last" {
		t.Errorf("%q", got)
	}
	if err := opener.Send([]byte("held")); err != nil {
		t.Fatal(err)
	}
	opener.Reset()
	if _, err := s.Write([]byte("x")); !errors.Is(err, ErrBroken) {
		t.Errorf("a stream of before: %v", err)
	}
	if err := opener.Send([]byte("after")); err != nil {
		t.Fatal(err)
	}
	if got := <-messages; got != "after" {
		t.Errorf("%q", got)
	}
}

// TestBreach: who breaks a rule loses the line.
func TestBreach(t *testing.T) {
	open := frame(1, kindOpen, []byte{0, 1})
	for name, frames := range map[string][][]byte{
		"beyond the window": {open, frame(1, kindData, make([]byte, PayloadMax)), frame(1, kindData, make([]byte, PayloadMax)), frame(1, kindData, []byte{1})},
		"twice":             {open, open},
		"unknown":           {open, frame(1, 'x', nil)},
		"too much credit":   {open, frame(1, kindCredit, []byte{0, 0, 0, 1})},
		"no credit":         {open, frame(1, kindCredit, []byte{1})},
		"no port":           {frame(1, kindOpen, nil)},
		"a number of ours":  {frame(hostHalf|1, kindOpen, []byte{0, 1})},
		"stream 0":          {frame(0, kindOpen, []byte{0, 1})},
		"message elsewhere": {frame(3, kindMessage, nil)},
	} {
		l := New(memory{bytes.NewReader(bytes.Join(frames, nil))}, Options{Host: true, Opened: func(*Stream) {}, Message: func([]byte) {}})
		if err := l.read(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type memory struct{ io.Reader }

func (memory) Write(p []byte) (int, error) { return len(p), nil }
func (memory) Close() error                { return nil }

// FuzzLine: whatever a guest sends, the host does not fall.
func FuzzLine(f *testing.F) {
	f.Add(frame(1, kindOpen, []byte{0, 1}))
	f.Add(bytes.Join([][]byte{frame(1, kindOpen, []byte{0, 1}), frame(1, kindData, []byte("x")), frame(1, kindEnd, nil), frame(1, kindReset, nil)}, nil))
	f.Add(frame(0, kindMessage, []byte(`{"Ready":true}`)))
	f.Fuzz(func(t *testing.T, p []byte) {
		l := New(memory{bytes.NewReader(p)}, Options{Host: true, Opened: func(s *Stream) { s.Close() }, Message: func(p []byte) {
			DecodeReply(p)
			DecodeRequest(p)
			DecodeRenew(p)
		}})
		if err := l.Serve(); err == nil {
			t.Error("a line without an end")
		}
	})
}

func TestRenewForm(t *testing.T) {
	want := Renew{Now: time.Unix(0, 1700000000123456789), Again: true, Limits: Limits{MemoryBytes: 128 << 20, CPUMilli: 72}, Entropy: [entropyBytes]byte{1, 2, 63: 9}}
	got, ok := DecodeRenew(want.Encode())
	if !ok || !got.Now.Equal(want.Now) || got.Entropy != want.Entropy || got.Again != want.Again || got.Limits != want.Limits {
		t.Errorf("%+v", got)
	}
	if _, ok := DecodeRenew([]byte(`{"Hold":true}`)); ok {
		t.Error("took another message")
	}
}

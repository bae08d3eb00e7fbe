package pid1

import (
	"bytes"
	"testing"
)

// reply is the wire form as C writes it.
func reply(r Reply) []byte {
	e := encoder{p: []byte{r.Kind}}
	e.int(r.Code)
	e.int(r.Signal)
	e.int(r.MemoryKiB)
	e.string(r.Text)
	return e.p
}

func TestReply(t *testing.T) {
	want := Reply{Kind: ReplyFailed, Code: 2, Signal: 9, MemoryKiB: 5, Text: "why"}
	whole := reply(want)
	if got, err := DecodeReply(whole); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(whole) - 1 {
		if _, err := DecodeReply(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were enough", n, len(whole))
		}
	}
}

// TestStringsEnd: C reads them where they lie.
func TestStringsEnd(t *testing.T) {
	got := Order{Signal: 19}.Encode()
	if want := []byte{'O', 19, 0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("%q", got)
	}
	got = Preload{Argv: []string{"/p", ""}, Filter: []byte{7}, Dir: "/"}.Encode()
	want := "L\x00\x00\x00\x00\x01\x00\x00\x00\x07\x02\x00\x00\x00\x02\x00\x00\x00/p\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00/\x00"
	if string(got) != want {
		t.Errorf("%q", got)
	}
}

// FuzzReply: what comes out of a sandbox may be anything.
func FuzzReply(f *testing.F) {
	f.Add(reply(Reply{Kind: ReplyParked}))
	f.Add(reply(Reply{Kind: ReplyFailed, Text: "x", Code: 1}))
	f.Add([]byte{'F', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := DecodeReply(p)
		if err == nil && len(r.Text) > len(p) {
			t.Errorf("%d bytes of text from %d", len(r.Text), len(p))
		}
	})
}

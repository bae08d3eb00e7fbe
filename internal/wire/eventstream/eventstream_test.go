package eventstream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sample() Message {
	return Message{Payload: []byte(`{"foo":"bar"}`), Headers: []Header{
		{"true", Bool(true)}, {"false", Bool(false)}, {"byte", Byte(-49)}, {"short", Short(42)}, {"int", Int(-40972)}, {"long", Long(42424242)},
		{"bytes", Bytes("\x00\xff")}, {"string", String("application/json")}, {"time", Timestamp(time.UnixMilli(8675309).UTC())},
		{"uuid", UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
	}}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	var stream []byte
	for range 3 {
		var err error
		if stream, err = Append(stream, &want); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(bytes.NewReader(stream))
	for range 3 {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("end of stream: %v", err)
	}
}

// TestKnownBytes holds the frame to bytes worked out by hand from the format:
// lengths 16 and 0, the checksum of these, and the checksum of all.
func TestKnownBytes(t *testing.T) {
	got, err := Append(nil, &Message{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "000000100000000005c248eb7d98c8ff"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

func TestDamage(t *testing.T) {
	m := sample()
	whole, err := Append(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x10
		if _, _, err := Decode(damaged); err == nil {
			t.Errorf("a damaged byte %d was not noticed", i)
		}
		if _, err := NewReader(bytes.NewReader(whole[:i])).Next(); err == nil {
			t.Errorf("a stream cut at %d was not noticed", i)
		}
	}
}

func TestBounds(t *testing.T) {
	for name, m := range map[string]Message{
		"no name":       {Headers: []Header{{"", Bool(true)}}},
		"long name":     {Headers: []Header{{strings.Repeat("n", 256), Bool(true)}}},
		"no value":      {Headers: []Header{{"n", nil}}},
		"long value":    {Headers: []Header{{"n", String(strings.Repeat("v", 32768))}}},
		"large payload": {Payload: make([]byte, PayloadMax+1)},
	} {
		if _, err := Append(nil, &m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	m := sample()
	whole, err := Append(nil, &m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, n, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Append(nil, m)
		if err != nil || !bytes.Equal(again, data[:n]) {
			t.Errorf("%x became %x (%v)", data[:n], again, err)
		}
	})
}

// FuzzHeaders gets past the checksums, which random bytes do not.
func FuzzHeaders(f *testing.F) {
	m := sample()
	whole, err := Append(nil, &m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[preludeSize : len(whole)-trailerSize-len(m.Payload)])
	f.Fuzz(func(t *testing.T, headers []byte) {
		for rest := headers; len(rest) > 0; {
			h, next, err := decodeHeader(rest)
			if err != nil {
				return
			}
			if h.Value == nil || len(next) >= len(rest) {
				t.Fatalf("header %v of %x leaves %x", h, rest, next)
			}
			rest = next
		}
	})
}

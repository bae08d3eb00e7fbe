package kernel

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestExtract finds the kernel among what a bzImage has before and after it.
func TestExtract(t *testing.T) {
	want := append([]byte("\x7fELF"), bytes.Repeat([]byte("kernel "), 1000)...)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(want)
	w.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	// Literals alone are a valid LZ4 block.
	block := []byte{0xf0}
	n := len(want) - 15
	for ; n >= 255; n -= 255 {
		block = append(block, 255)
	}
	block = append(append(block, byte(n)), want...)
	lz4 := binary.LittleEndian.AppendUint32([]byte{0x02, 0x21, 0x4c, 0x18}, uint32(len(block)))
	for name, packed := range map[string][]byte{"gzip": zipped.Bytes(), "zstd": encoder.EncodeAll(want, nil), "lz4": append(lz4, block...)} {
		image := append(append([]byte("MZ boot code"), packed...), 0x10, 0, 0, 0)
		if got, err := Extract(image); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := Extract(want); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not packed: %v", err)
	}
	if _, err := Extract([]byte("MZ nothing")); err == nil {
		t.Error("found a kernel in nothing")
	}
}

// TestLZ4Match: a match may overlap what it makes.
func TestLZ4Match(t *testing.T) {
	got, err := lz4Block(nil, []byte{0x26, 'a', 'b', 2, 0, 0x10, 'c'}, 1<<20)
	if err != nil || string(got) != "ababababababc" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzLZ4(f *testing.F) {
	f.Add([]byte{0x26, 'a', 'b', 2, 0, 0x10, 'c'})
	f.Fuzz(func(t *testing.T, p []byte) {
		if out, _ := lz4Block(nil, p, 1<<16); len(out) > 1<<16 {
			t.Errorf("%d bytes", len(out))
		}
	})
}

func TestRealPackage(t *testing.T) {
	for text, want := range map[string]string{
		"linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n": "linux-image-6.1.0-56-cloud-amd64",
		"linux-image-cloud-amd64\n  Depends: <linux-image>\n":                    "",
		"W: Unable to locate package":                                            "",
		"Depends: linux-image-6.1 ; rm -rf x":                                    "linux-image-6.1",
	} {
		if got := realPackage(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

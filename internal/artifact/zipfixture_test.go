package artifact

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"io/fs"
	"testing"
	"time"
)

// file is one entry of a test archive.
type file struct {
	name   string
	body   string
	mode   fs.FileMode // 0: as from a system without modes
	store  bool
	mtime  time.Time
	mangle func(*zip.FileHeader)
}

func zipOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: f.mtime}
		if f.store {
			h.Method = zip.Store
		}
		if f.mode != 0 {
			h.SetMode(f.mode)
		}
		if f.mangle != nil {
			f.mangle(h)
		}
		out, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(f.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// patchDirectory changes fields of the n-th central directory header.
func patchDirectory(t testing.TB, archive []byte, n int, patch func(header []byte)) []byte {
	t.Helper()
	at := -1
	for range n + 1 {
		next := bytes.Index(archive[at+1:], directoryHeader)
		if next < 0 {
			t.Fatalf("no directory header %d", n)
		}
		at += 1 + next
	}
	out := bytes.Clone(archive)
	patch(out[at:])
	return out
}

// Offsets in a central directory header. Source: APPNOTE.TXT 4.3.12.
func setFlags(h []byte, v uint16)     { binary.LittleEndian.PutUint16(h[8:], v) }
func setMethod(h []byte, v uint16)    { binary.LittleEndian.PutUint16(h[10:], v) }
func setCRC(h []byte, v uint32)       { binary.LittleEndian.PutUint32(h[16:], v) }
func setUncompressed(h []byte, v int) { binary.LittleEndian.PutUint32(h[24:], uint32(v)) }
func setHeaderOffset(h []byte, v int) { binary.LittleEndian.PutUint32(h[42:], uint32(v)) }
func setExternalMode(h []byte, v int) { binary.LittleEndian.PutUint32(h[38:], uint32(v)<<16) }

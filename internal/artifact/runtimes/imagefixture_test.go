package runtimes

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"io"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// entry is one tar entry of a test layer; a zero kind is a file.
type entry struct {
	name string
	body string
	kind byte
	link string
	mode int64
}

var layerTime = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: e.mode, Size: int64(len(e.body)), ModTime: layerTime, Format: tar.FormatPAX}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if e.mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testLayer is a layer that can lie about itself.
type testLayer struct {
	plain, packed []byte
	kind          types.MediaType
	digestOf      []byte // what the digest is of; nil tells the truth
	diffOf        []byte
}

func (l *testLayer) Digest() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(orBytes(l.digestOf, l.packed)))
	return h, err
}
func (l *testLayer) DiffID() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(orBytes(l.diffOf, l.plain)))
	return h, err
}
func (l *testLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.packed)), nil
}
func (l *testLayer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.plain)), nil
}
func (l *testLayer) Size() (int64, error)                { return int64(len(l.packed)), nil }
func (l *testLayer) MediaType() (types.MediaType, error) { return l.kind, nil }

func orBytes(b, def []byte) []byte {
	if b == nil {
		return def
	}
	return b
}

func layerOf(t testing.TB, entries ...entry) *testLayer {
	t.Helper()
	plain := tarOf(t, entries...)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(plain)
	z.Close()
	return &testLayer{plain: plain, packed: b.Bytes(), kind: types.OCILayer}
}

func zstdLayerOf(t testing.TB, entries ...entry) *testLayer {
	t.Helper()
	plain := tarOf(t, entries...)
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &testLayer{plain: plain, packed: z.EncodeAll(plain, nil), kind: types.OCILayerZStd}
}

func plainLayerOf(t testing.TB, entries ...entry) *testLayer {
	plain := tarOf(t, entries...)
	return &testLayer{plain: plain, packed: plain, kind: types.OCIUncompressedLayer}
}

func imageOf(t testing.TB, architecture string, env []string, layers ...v1.Layer) v1.Image {
	t.Helper()
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image, err := mutate.AppendLayers(image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env = "linux", platform(architecture).Architecture, env
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// layoutOf writes an image layout with the images for their platforms.
func layoutOf(t testing.TB, images ...v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.AppendImage(image, layout.WithPlatform(v1.Platform{OS: config.OS, Architecture: config.Architecture})); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// program is an ELF file that runs nothing, for a processor, with strings in it.
func programFile(machine elf.Machine, strings string) string {
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
		panic(err)
	}
	return b.String() + "\x00" + strings + "\x00"
}

func hostMachine() elf.Machine {
	if HostArchitecture() == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// pythonLayer looks like an image of Python.
func pythonLayer(version, full string) []entry {
	return []entry{
		{name: "usr/", kind: tar.TypeDir, mode: 0o755},
		{name: "usr/local/bin/python" + version, body: programFile(hostMachine(), full), mode: 0o755},
		{name: "usr/local/bin/python3", kind: tar.TypeSymlink, link: "python" + version},
		{name: "usr/local/lib/python" + version + "/os.py", body: "name = 'posix'"},
	}
}

var _ partial.Describable = (*testLayer)(nil)

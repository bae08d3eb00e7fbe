package artifact

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small bounds keep the tests quick; the bounds themselves are not what is tested.
var smallOptions = Options{ZipBytesMax: 4 << 20, UnzippedBytesMax: 1 << 20, FilesMax: 500}

func TestHostileZipsAreRefusedAndLeaveNothing(t *testing.T) {
	ok := file{name: "index.py", body: "x = 1"}
	many := make([]file, 501)
	for i := range many {
		many[i] = file{name: fmt.Sprintf("f%d", i)}
	}
	implied := make([]file, 20)
	for i := range implied {
		implied[i] = file{name: fmt.Sprintf("%d/%s/f", i, strings.Repeat("d/", 60))}
	}
	huge := file{name: "zeros", body: strings.Repeat("\x00", 2<<20)}
	plain := zipOf(t, ok, file{name: "second", body: strings.Repeat("hello ", 50)})
	link := func(name, target string) file { return file{name: name, body: target, mode: fs.ModeSymlink | 0o777} }

	tests := []struct {
		name    string
		archive []byte
		want    error
	}{
		{"nothing", nil, ErrNotZip},
		{"text", []byte("def handler(event, context): pass"), ErrNotZip},
		{"truncated", plain[:len(plain)-30], ErrNotZip},
		{"front cut off", plain[40:], ErrNotZip},
		{"empty archive", zipOf(t), ErrEmpty},
		{"over the zipped bound", bytes.Repeat([]byte("z"), 4<<20+1), ErrZipTooLarge},
		{"over the unzipped bound", zipOf(t, huge), ErrTooLarge},
		{"over the unzipped bound together", zipOf(t, file{name: "a", body: huge.body[:700<<10]}, file{name: "b", body: huge.body[:700<<10]}), ErrTooLarge},
		{"too many files", zipOf(t, many...), ErrTooMany},
		{"too many implied directories", zipOf(t, implied...), ErrTooMany},
		{"a count that lies", lyingCount(t, many), ErrTooMany},

		{"parent", zipOf(t, file{name: "../evil"}), ErrUnsafe},
		{"parent inside", zipOf(t, file{name: "a/../../evil"}), ErrUnsafe},
		{"parent that stays inside", zipOf(t, file{name: "a/../b"}), ErrUnsafe},
		{"absolute", zipOf(t, file{name: "/etc/cron.d/evil"}), ErrUnsafe},
		{"backslashes", zipOf(t, file{name: `..\..\evil`}), ErrUnsafe},
		{"NUL", zipOf(t, file{name: "a\x00b"}), ErrUnsafe},
		{"no name", zipOf(t, file{name: "", body: "x"}), ErrUnsafe},
		{"root as a file", zipOf(t, file{name: ".", body: "x"}), ErrUnsafe},
		{"name too long", zipOf(t, file{name: strings.Repeat("n", 256)}), ErrUnsafe},
		{"path too long", zipOf(t, file{name: strings.Repeat("n/", 2048) + "f"}), ErrUnsafe},
		{"too deep", zipOf(t, file{name: strings.Repeat("n/", 129) + "f"}), ErrUnsafe},
		{"flagged UTF-8 and is not", patchDirectory(t, zipOf(t, file{name: "a\xff\xfe", body: "x", mangle: func(h *zip.FileHeader) { h.NonUTF8 = true }}), 0, func(h []byte) { setFlags(h, 1<<11) }), ErrUnsafe},

		{"absolute link", zipOf(t, link("l", "/etc/passwd")), ErrUnsafe},
		{"link out", zipOf(t, link("l", "../x")), ErrUnsafe},
		{"link out from below", zipOf(t, link("a/b/l", "../../../x")), ErrUnsafe},
		{"link out through a link", zipOf(t, link("a/b/up", "../.."), link("m", "a/b/up/../x")), ErrUnsafe},
		{"link without target", zipOf(t, link("l", "")), ErrUnsafe},
		{"link to NUL", zipOf(t, link("l", "a\x00b")), ErrUnsafe},
		{"link with an endless target", zipOf(t, link("l", strings.Repeat("t", 5000))), ErrUnsafe},
		{"write through a link", zipOf(t, link("d", "sub"), file{name: "d/f", body: "x"}), ErrUnsafe},
		{"write through a link that comes later", zipOf(t, file{name: "d/f", body: "x"}, link("d", "sub")), ErrUnsafe},
		{"root as a link", zipOf(t, link("./.", "sub")), ErrUnsafe},
		{"file below a file", zipOf(t, ok, file{name: "index.py/x", body: "x"}), ErrUnsafe},
		{"file over a directory", zipOf(t, file{name: "a/x", body: "x"}, file{name: "a", body: "x"}), ErrUnsafe},

		{"device", zipOf(t, file{name: "null", mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}), ErrUnsafe},
		{"pipe", zipOf(t, file{name: "pipe", mode: fs.ModeNamedPipe | 0o666}), ErrUnsafe},
		{"socket", zipOf(t, file{name: "sock", mode: fs.ModeSocket | 0o666}), ErrUnsafe},

		{"encrypted", patchDirectory(t, plain, 0, func(h []byte) { setFlags(h, 1) }), ErrNotZip},
		{"bzip2", patchDirectory(t, plain, 0, func(h []byte) { setMethod(h, 12) }), ErrNotZip},
		{"wrong checksum", patchDirectory(t, plain, 1, func(h []byte) { setCRC(h, 42) }), ErrNotZip},
		{"larger than it says", patchDirectory(t, plain, 1, func(h []byte) { setUncompressed(h, 10) }), ErrNotZip},
		{"smaller than it says", patchDirectory(t, plain, 1, func(h []byte) { setUncompressed(h, 999) }), ErrNotZip},
		{"stored in two sizes", patchDirectory(t, zipOf(t, file{name: "a", body: "abc", store: true}), 0, func(h []byte) { setUncompressed(h, 4) }), ErrNotZip},
		{"header beyond the end", patchDirectory(t, plain, 1, func(h []byte) { setHeaderOffset(h, 1<<30) }), ErrNotZip},
		{"two entries, one body", patchDirectory(t, plain, 0, func(h []byte) {
			at := bytes.LastIndex(plain[:bytes.Index(plain, directoryHeader)], []byte("PK\x03\x04"))
			setHeaderOffset(h, at)
		}), ErrUnsafe},
		{"zip64 size beyond all bounds", zip64Lie(t), ErrTooLarge},
		{"directory with contents", patchDirectory(t, zipOf(t, file{name: "dx", body: "abc", mode: 0o644}), 0, func(h []byte) { setExternalMode(h, 0o040755) }), ErrNotZip},
	}
	dir := t.TempDir()
	s, err := Open(dir, smallOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := s.InspectZip(t.Context(), bytes.NewReader(tt.archive)); !errors.Is(err, tt.want) {
				t.Errorf("InspectZip: %v, want %v", err, tt.want)
			}
			_, err := s.PutZip(t.Context(), bytes.NewReader(tt.archive))
			if !errors.Is(err, tt.want) {
				t.Errorf("PutZip: %v, want %v", err, tt.want)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			wantFiles(t, dir, "LOCK")
		})
	}
}

// TestHarmlessOddities unpacks what looks odd and is not hostile.
func TestHarmlessOddities(t *testing.T) {
	link := func(name, target string) file { return file{name: name, body: target, mode: fs.ModeSymlink | 0o777} }
	plain := zipOf(t, file{name: "a", body: "1"})
	tests := []struct {
		name    string
		archive []byte
		want    []string // path:mode:contents
	}{
		{"no modes", zipOf(t, file{name: "d/a", body: "1"}), []string{"d:drwxr-xr-x:", "d/a:-rw-r--r--:1"}},
		{"setuid is stripped", zipOf(t, file{name: "a", body: "1", mode: fs.ModeSetuid | fs.ModeSetgid | 0o4755}), []string{"a:-rwxr-xr-x:1"}},
		{"private becomes readable", zipOf(t, file{name: "a", body: "1", mode: 0o600}, file{name: "b", body: "2", mode: 0o700}, file{name: "d/", mode: fs.ModeDir | 0o700}), []string{"a:-rw-r--r--:1", "b:-rwxr-xr-x:2", "d:drwxr-xr-x:"}},
		{"links inside", zipOf(t, file{name: "n/x.js", body: "1"}, link("n/.bin/x", "../x.js"), link("dir", "n"), link("self", "."), link("dangling", "no/where")),
			[]string{"dangling:link:no/where", "dir:link:n", "n:drwxr-xr-x:", "n/.bin:drwxr-xr-x:", "n/.bin/x:link:../x.js", "n/x.js:-rw-r--r--:1", "self:link:."}},
		{"links in a circle", zipOf(t, link("a", "b"), link("b", "a")), []string{"a:link:b", "b:link:a"}},
		{"dot and doubled slashes", zipOf(t, file{name: "./a//b", body: "1"}), []string{"a:drwxr-xr-x:", "a/b:-rw-r--r--:1"}},
		{"the later of two", zipOf(t, file{name: "a", body: "1"}, file{name: "./a", body: "2"}), []string{"a:-rw-r--r--:2"}},
		{"case", zipOf(t, file{name: "a", body: "1"}, file{name: "A", body: "2"}), []string{"A:-rw-r--r--:2", "a:-rw-r--r--:1"}},
		{"code page 437", zipOf(t, file{name: "caf\x82", body: "1", mangle: func(h *zip.FileHeader) { h.NonUTF8 = true }}), []string{"café:-rw-r--r--:1"}},
		{"something before", append([]byte("#!/usr/bin/env python3\n"), plain...), []string{"a:-rw-r--r--:1"}},
		{"something after", append(bytes.Clone(plain), "trailing"...), []string{"a:-rw-r--r--:1"}},
		{"only a directory", zipOf(t, file{name: "d/"}), []string{"d:drwxr-xr-x:"}},
		{"empty files share an offset", zipOf(t, file{name: "a", store: true}, file{name: "b", store: true}), []string{"a:-rw-r--r--:", "b:-rw-r--r--:"}},
	}
	s, err := Open(t.TempDir(), smallOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z, err := s.PutZip(t.Context(), bytes.NewReader(tt.archive))
			if err != nil {
				t.Fatal(err)
			}
			tree, err := s.Dir(t.Context(), z.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if got := listing(t, tree); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// lyingCount makes an end-of-directory record that tells of one entry modulo 2^16.
func lyingCount(t *testing.T, files []file) []byte {
	archive := zipOf(t, files...)
	end := bytes.LastIndex(archive, []byte("PK\x05\x06"))
	binary.LittleEndian.PutUint16(archive[end+8:], 1)
	binary.LittleEndian.PutUint16(archive[end+10:], 1)
	return archive
}

// zip64Lie declares an unzipped size of 2^62 in a zip64 extra field.
func zip64Lie(t *testing.T) []byte {
	extra := binary.LittleEndian.AppendUint16(nil, 1)
	extra = binary.LittleEndian.AppendUint16(extra, 8)
	extra = binary.LittleEndian.AppendUint64(extra, 1<<62)
	archive := zipOf(t, file{name: "a", body: "abc", mangle: func(h *zip.FileHeader) { h.Extra = extra }})
	return patchDirectory(t, archive, 0, func(h []byte) { setUncompressed(h, 0xffffffff) })
}

// wantFiles fails if anything but the named files is in the store's directory.
func wantFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	for _, line := range listing(t, dir) {
		name, _, _ := strings.Cut(line, ":")
		if name != "zips" && name != "staging" {
			got = append(got, name)
		}
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("in the store: %q, want %q", got, names)
	}
}

func listing(t testing.TB, dir string) (lines []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		switch e.Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			lines = append(lines, fmt.Sprintf("%s:link:%s", rel, target))
			return err
		case fs.ModeDir:
			info, err := e.Info()
			lines = append(lines, fmt.Sprintf("%s:%s:", rel, info.Mode()))
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		body, err := os.ReadFile(name)
		lines = append(lines, fmt.Sprintf("%s:%s:%s", rel, info.Mode(), body))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

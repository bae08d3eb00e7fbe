package image

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/erofs/go-erofs"
)

func TestImage(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a/b/file": "content", "top": strings.Repeat("x", 10_000)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../top", filepath.Join(dir, "a", "link")); err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	c, err := Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Dir: dir, Dirs: []string{"/proc"}, Entries: []Entry{{Path: "/etc/name", Content: "sandbox\n"}, {Path: "/lib", Content: "usr/lib", Link: true},
		{Path: "/bin/one", Source: filepath.Join(dir, "top")}}}
	f, err := c.Get(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tree, err := erofs.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"a/b/file": 7, "top": 10_000, "etc/name": 8, "bin/one": 10_000, "a/link": 10_000} {
		content, err := fs.ReadFile(tree, name)
		if err != nil && name != "a/link" || err == nil && len(content) != want {
			t.Errorf("%s: %d bytes, %v", name, len(content), err)
		}
	}
	if info, err := f.Stat(); err != nil || info.Size()%4096 != 0 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	count := func() int {
		list, err := filepath.Glob(filepath.Join(kept, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	again, err := c.Get(t.Context(), spec)
	if err != nil || count() != 1 {
		t.Fatalf("%d images of one content, %v", count(), err)
	}
	again.Close()
	if err := os.WriteFile(filepath.Join(dir, "top"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := c.Get(t.Context(), spec)
	if err != nil || count() != 2 {
		t.Fatalf("%d images of two contents, %v", count(), err)
	}
	changed.Close()
	if _, err := c.Get(t.Context(), Spec{Dir: filepath.Join(dir, "absent")}); err == nil {
		t.Error("made one of nothing")
	}
}

// TestInitramfs compares with what the format says, byte by byte where it matters.
func TestInitramfs(t *testing.T) {
	var out bytes.Buffer
	i := NewInitramfs(&out)
	i.File("modules/a.ko", 0o644, []byte("hello"))
	i.File("modules/b.ko", 0o644, nil)
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if out.Len()%4 != 0 {
		t.Errorf("%d bytes", out.Len())
	}
	if n := strings.Count(out.String(), "070701"); n != 4 { // the directory, once; two files; the end
		t.Errorf("%d entries", n)
	}
	if !strings.HasPrefix(out.String(), "07070100000001000041ed") || !strings.Contains(out.String(), "modules/a.ko\x00") || !strings.Contains(out.String(), "TRAILER!!!") {
		t.Errorf("%q", out.String())
	}
}

package runtimes

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzApplyTar unpacks whatever bytes come and checks that nothing beside the tree changed.
func FuzzApplyTar(f *testing.F) {
	f.Add(tarOf(f, entry{name: "a/b", body: "x"}, entry{name: "a/.wh.b"}, entry{name: "a/.wh..wh..opq"}))
	f.Add(tarOf(f, entry{name: "l", kind: tar.TypeSymlink, link: "../../outside"}, entry{name: "l/x", body: "x"}, entry{name: "h", kind: tar.TypeLink, link: "l/x"}))
	f.Add(tarOf(f, entry{name: "l", kind: tar.TypeSymlink, link: "/"}, entry{name: "l/l/l/x", body: "x"}, entry{name: "l", kind: tar.TypeDir, mode: 0o755}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		if len(archive) > 1<<20 {
			return
		}
		dir := t.TempDir()
		outside := filepath.Join(dir, "outside")
		if err := os.WriteFile(outside, []byte("untouched"), 0o600); err != nil {
			t.Fatal(err)
		}
		inside := filepath.Join(dir, "tree")
		if err := os.Mkdir(inside, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(inside)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		tree := newTree(root)
		if err := tree.applyTar(t.Context(), bytes.NewReader(archive)); err == nil {
			if err := tree.furnish(); err == nil {
				tree.identify(Spec{"python3.13", Python, "3.13", Supported}, HostArchitecture(), nil)
			}
		}
		raw, err := os.ReadFile(outside)
		entries, _ := os.ReadDir(dir)
		if err != nil || string(raw) != "untouched" || len(entries) != 2 {
			t.Fatalf("beside the tree: %q, %v, %v", raw, err, entries)
		}
	})
}

package artifact

import (
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// FuzzPutZip unpacks whatever bytes come, and checks that what is refused is refused for a reason
// callers know, that what is accepted lies inside its tree, and that both obey the bounds.
func FuzzPutZip(f *testing.F) {
	link := func(name, target string) file { return file{name: name, body: target, mode: fs.ModeSymlink | 0o777} }
	f.Add(zipOf(f, file{name: "index.py", body: "def handler(event, context): pass"}))
	f.Add(zipOf(f, file{name: "a/b/c", body: "x", mode: 0o755}, link("a/l", "b/c"), link("up", "../x")))
	f.Add(zipOf(f, link("d", "."), link("d2", "d/d/.."), file{name: "../x"}))
	f.Add(zipOf(f, file{name: "caf\x82", mangle: func(h *zip.FileHeader) { h.NonUTF8 = true }}, file{name: "s", body: "stored", store: true}))
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	s, err := Open(f.TempDir(), Options{ZipBytesMax: 1 << 20, UnzippedBytesMax: 1 << 20, FilesMax: 100})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	known := []error{ErrNotZip, ErrZipTooLarge, ErrTooLarge, ErrTooMany, ErrUnsafe, ErrEmpty}
	f.Fuzz(func(t *testing.T, archive []byte) {
		inspected, inspectErr := s.InspectZip(t.Context(), bytes.NewReader(archive))
		z, err := s.PutZip(t.Context(), bytes.NewReader(archive))
		if err != nil {
			for _, k := range known {
				if errors.Is(err, k) {
					return
				}
			}
			t.Fatalf("an error of no kind: %v", err)
		}
		defer s.Remove(z.Digest)
		if inspectErr != nil || inspected != z {
			t.Errorf("inspected %+v, %v; put %+v", inspected, inspectErr, z)
		}
		checkTree(t, s.tree(z.Digest), z.UnzippedBytes)
	})
}

// checkTree follows every link with the kernel, beneath the tree.
func checkTree(t *testing.T, tree string, bytesMax int64) {
	t.Helper()
	root, err := os.OpenRoot(tree)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var sum int64
	err = filepath.WalkDir(tree, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch info.Mode().Type() {
		case 0:
			sum += info.Size()
			if m := info.Mode(); m != modeFile && m != modeExecutable {
				t.Errorf("%s has the mode %s", name, m)
			}
		case fs.ModeDir:
			if info.Mode().Perm() != modeDir {
				t.Errorf("%s has the mode %s", name, info.Mode())
			}
		case fs.ModeSymlink:
			rel, _ := filepath.Rel(tree, name)
			if real, err := filepath.EvalSymlinks(name); err == nil && real != tree && !bytes.HasPrefix([]byte(real), []byte(tree+"/")) {
				t.Errorf("%s leads to %s", rel, real)
			}
			if _, err := root.Stat(rel); err != nil && !errors.Is(err, fs.ErrNotExist) && errors.Unwrap(err).Error() == "path escapes from parent" {
				t.Errorf("%s leads out", rel)
			}
		default:
			t.Errorf("%s is a %s", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if sum > bytesMax {
		t.Errorf("%d bytes, declared %d", sum, bytesMax)
	}
}

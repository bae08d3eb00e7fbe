package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Store, archive []byte) Zip {
	t.Helper()
	z, err := s.PutZip(context.Background(), bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestPutZip(t *testing.T) {
	s := openTest(t, Options{})
	mtime := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	archive := zipOf(t, file{name: "bootstrap", body: "#!/bin/sh\n", mode: 0o755, mtime: mtime}, file{name: "lib/x", body: "abc"})
	sum := sha256.Sum256(archive)
	want := Zip{Digest: Digest(hex.EncodeToString(sum[:])), Bytes: int64(len(archive)), UnzippedBytes: 13}
	for _, what := range []string{"first", "again"} {
		if z := put(t, s, archive); z != want {
			t.Errorf("%s: %+v, want %+v", what, z, want)
		}
	}
	if z, err := s.InspectZip(t.Context(), bytes.NewReader(archive)); err != nil || z != want {
		t.Errorf("InspectZip: %+v, %v", z, err)
	}
	if got := want.Digest.Base64(); got != base64.StdEncoding.EncodeToString(sum[:]) {
		t.Errorf("Base64: %s", got)
	}
	r, size, err := s.OpenZip(want.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, archive) || size != want.Bytes {
		t.Errorf("OpenZip: %d bytes, size %d, %v", len(got), size, err)
	}
	tree, err := s.Dir(t.Context(), want.Digest)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(tree, "bootstrap"))
	if err != nil || !info.ModTime().Equal(mtime) {
		t.Errorf("mtime %v, %v, want %v", info.ModTime(), err, mtime)
	}
	if staged := listing(t, s.staging()); len(staged) != 0 {
		t.Errorf("left in staging: %q", staged)
	}
}

func TestPutZipBroken(t *testing.T) {
	s := openTest(t, Options{})
	archive := zipOf(t, file{name: "a", body: "1"})
	broken := errors.New("connection lost")
	r := io.MultiReader(bytes.NewReader(archive[:20]), &failingReader{broken})
	if _, err := s.PutZip(t.Context(), r); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PutZip(gone, bytes.NewReader(archive)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantFiles(t, s.dir, "LOCK")
}

func TestConcurrentPutAndDir(t *testing.T) {
	s := openTest(t, Options{})
	archives := [][]byte{zipOf(t, file{name: "a", body: "1"}), zipOf(t, file{name: "b", body: "2"})}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			z, err := s.PutZip(context.Background(), bytes.NewReader(archives[i%2]))
			if err != nil {
				t.Error(err)
				return
			}
			release := s.Hold(z.Digest)
			defer release()
			dir, err := s.Dir(context.Background(), z.Digest)
			if err != nil {
				t.Error(err)
				return
			}
			if i%5 == 0 {
				os.Remove(s.marker(z.Digest)) // as if it had never been finished
				_, err = s.Dir(context.Background(), z.Digest)
			} else {
				err = s.Remove(z.Digest)
				if errors.Is(err, ErrHeld) {
					err = nil
				}
			}
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Dir(dir)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(s.slots) != 0 {
		t.Errorf("%d slots left", len(s.slots))
	}
	if all, err := s.Digests(); err != nil || len(all) != 2 {
		t.Errorf("Digests: %v, %v", all, err)
	}
}

// TestCrash leaves what a killed process leaves at each step, and opens again.
func TestCrash(t *testing.T) {
	archive := zipOf(t, file{name: "a", body: "1"}, file{name: "d/b", body: "2", mode: 0o755})
	tests := []struct {
		name  string
		leave func(t *testing.T, s *Store, d Digest)
		gone  bool // the zip was not yet acknowledged
	}{
		{"while spooling", func(t *testing.T, s *Store, d Digest) {
			must(t, os.RemoveAll(s.home(d)))
			must(t, os.Mkdir(filepath.Join(s.staging(), "zip-1"), 0o700))
			must(t, os.WriteFile(filepath.Join(s.staging(), "zip-1", "code.zip"), archive[:30], 0o600))
		}, true},
		{"before the rename", func(t *testing.T, s *Store, d Digest) {
			must(t, os.Rename(s.home(d), filepath.Join(s.staging(), "zip-2")))
		}, true},
		{"while removing", func(t *testing.T, s *Store, d Digest) {
			must(t, os.Mkdir(filepath.Join(s.staging(), "remove-1"), 0o700))
			must(t, os.Rename(s.home(d), filepath.Join(s.staging(), "remove-1", "old")))
		}, true},
		{"the tree is missing", func(t *testing.T, s *Store, d Digest) { must(t, os.RemoveAll(s.tree(d))) }, false},
		{"the tree was never finished", func(t *testing.T, s *Store, d Digest) {
			must(t, os.Remove(s.marker(d)))
			must(t, os.RemoveAll(filepath.Join(s.tree(d), "d")))
		}, false},
		{"the tree is of another boot", func(t *testing.T, s *Store, d Digest) {
			must(t, os.WriteFile(s.marker(d), []byte("11111111-2222-3333-4444-555555555555\n"), 0o600))
			must(t, os.Truncate(filepath.Join(s.tree(d), "a"), 0))
		}, false},
		{"between tree and marker", func(t *testing.T, s *Store, d Digest) { must(t, os.Remove(s.marker(d))) }, false},
		{"nothing happened", func(t *testing.T, s *Store, d Digest) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, Options{})
			must(t, err)
			d := put(t, s, archive).Digest
			tt.leave(t, s, d)
			must(t, s.Close())

			s, err = Open(dir, Options{})
			must(t, err)
			defer s.Close()
			if left := listing(t, s.staging()); len(left) != 0 {
				t.Errorf("left in staging: %q", left)
			}
			tree, err := s.Dir(t.Context(), d)
			if tt.gone {
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("got %v", err)
				}
				put(t, s, archive)
				tree, err = s.Dir(t.Context(), d)
			}
			must(t, err)
			want := "a:-rw-r--r--:1 d:drwxr-xr-x: d/b:-rwxr-xr-x:2"
			if got := strings.Join(listing(t, tree), " "); got != want {
				t.Errorf("tree %q, want %q", got, want)
			}
		})
	}
}

func TestDamagedZip(t *testing.T) {
	s := openTest(t, Options{})
	archive := zipOf(t, file{name: "a", body: "1"})
	d := put(t, s, archive).Digest
	must(t, os.Truncate(s.zipFile(d), 20))
	if _, err := s.Dir(t.Context(), d); err != nil {
		t.Errorf("the tree was complete: %v", err)
	}
	must(t, os.Remove(s.marker(d)))
	if _, err := s.Dir(t.Context(), d); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
	put(t, s, archive) // the same bytes again mend it
	if _, err := s.Dir(t.Context(), d); err != nil {
		t.Error(err)
	}
}

func TestOpenIsExclusive(t *testing.T) {
	s := openTest(t, Options{})
	if other, err := Open(s.dir, Options{}); err == nil {
		other.Close()
		t.Error("opened twice")
	}
}

func TestRemoveAndHold(t *testing.T) {
	s := openTest(t, Options{})
	d := put(t, s, zipOf(t, file{name: "a"})).Digest
	first, second := s.Hold(d), s.Hold(d)
	first()
	first()
	if err := s.Remove(d); !errors.Is(err, ErrHeld) {
		t.Errorf("held: %v", err)
	}
	second()
	for range 2 {
		if err := s.Remove(d); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Dir(t.Context(), d); !errors.Is(err, ErrNotFound) {
		t.Errorf("Dir: %v", err)
	}
	if _, _, err := s.OpenZip(d); !errors.Is(err, ErrNotFound) {
		t.Errorf("OpenZip: %v", err)
	}
	wantFiles(t, s.dir, "LOCK")
}

func TestSweep(t *testing.T) {
	s := openTest(t, Options{})
	old := time.Now().Add(-2 * time.Hour)
	age := func(z Zip) Digest { must(t, os.Chtimes(s.home(z.Digest), old, old)); return z.Digest }
	wanted := age(put(t, s, zipOf(t, file{name: "wanted"})))
	held := age(put(t, s, zipOf(t, file{name: "held"})))
	garbage := age(put(t, s, zipOf(t, file{name: "garbage"})))
	young := put(t, s, zipOf(t, file{name: "young"})).Digest
	again := zipOf(t, file{name: "again"})
	age(put(t, s, again))
	renewed := put(t, s, again).Digest
	release := s.Hold(held)
	defer release()

	n, err := s.Sweep(func(d Digest) bool { return d == wanted })
	if err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	for d, stays := range map[Digest]bool{wanted: true, held: true, garbage: false, young: true, renewed: true} {
		if _, err := s.Dir(t.Context(), d); (err == nil) != stays {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestForeignDigests(t *testing.T) {
	s := openTest(t, Options{})
	for _, bad := range []string{"", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("a", 63), strings.Repeat("a", 65)} {
		if _, err := ParseDigest(bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("ParseDigest(%q): %v", bad, err)
		}
		if _, err := s.Dir(t.Context(), Digest(bad)); !errors.Is(err, ErrNotFound) {
			t.Errorf("Dir(%q): %v", bad, err)
		}
		if _, _, err := s.OpenZip(Digest(bad)); !errors.Is(err, ErrNotFound) {
			t.Errorf("OpenZip(%q): %v", bad, err)
		}
		if err := s.Remove(Digest(bad)); !errors.Is(err, ErrNotFound) {
			t.Errorf("Remove(%q): %v", bad, err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

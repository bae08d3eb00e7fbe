package artifact

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
)

// TestRoom: packages leave free what the rest of lambdad needs to delete them again, whether it is their bytes or
// their trees that would take it, and what was refused takes nothing.
func TestRoom(t *testing.T) {
	ctx := t.Context()
	s := openTest(t, Options{FreeBytesMin: 100 << 20})
	for _, tc := range []struct {
		name  string
		free  int64
		bytes int // of the file in the package
		full  bool
	}{
		{"room for both", 200 << 20, 64 << 20, false},
		{"no room for the tree", 150 << 20, 65 << 20, true},
		{"no room for the zip", 100 << 20, 1, true},
		{"just enough", 101 << 20, 1 << 19, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.diskFree = func() (int64, error) { return tc.free, nil }
			z, err := s.PutZip(ctx, bytes.NewReader(zipOf(t, file{name: "x", body: string(make([]byte, tc.bytes))})))
			if full := errors.Is(err, syscall.ENOSPC); full != tc.full || !full && err != nil {
				t.Fatalf("%v, want a full disk: %v", err, tc.full)
			}
			if tc.full == (z.Digest != "") {
				t.Errorf("answered %+v", z)
			}
			if taken := s.taken.Load(); taken != 0 {
				t.Errorf("%d bytes stay taken", taken)
			}
			if staged := listing(t, s.staging()); len(staged) != 0 {
				t.Errorf("left in staging: %q", staged)
			}
		})
	}
}

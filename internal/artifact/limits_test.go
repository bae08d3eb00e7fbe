package artifact

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestAtTheRealBounds tries the bounds at full size: a million files and 300 MiB, in small archives.
func TestAtTheRealBounds(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("takes seconds, or minutes with the race detector; nothing in it is concurrent")
	}
	s := openTest(t, Options{})
	tests := []struct {
		name string
		make func(w *zip.Writer) error
		want error
	}{
		{"a million files", func(w *zip.Writer) error {
			for i := range 1_000_000 {
				if _, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d", i)}); err != nil {
					return err
				}
			}
			return nil
		}, ErrZipTooLarge}, // 30 and 46 bytes of headers each are over 50 MiB by themselves
		{"half a million files", func(w *zip.Writer) error {
			for i := range 500_000 {
				if _, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d", i)}); err != nil {
					return err
				}
			}
			return nil
		}, ErrTooMany},
		{"300 MiB", func(w *zip.Writer) error {
			f, err := w.Create("zeros")
			if err != nil {
				return err
			}
			_, err = io.CopyN(f, zeros{}, 300<<20)
			return err
		}, ErrTooLarge},
		{"links through links through links", func(w *zip.Writer) error {
			target := strings.Repeat("a/../", 800) + "l"
			for i := range 20_000 {
				h := &zip.FileHeader{Name: fmt.Sprintf("l%d", i), Method: zip.Deflate}
				h.SetMode(0o777 | 1<<27) // fs.ModeSymlink
				f, err := w.CreateHeader(h)
				if err != nil {
					return err
				}
				if _, err := io.WriteString(f, fmt.Sprintf("%s%d", target, i+1)); err != nil {
					return err
				}
			}
			return nil
		}, ErrUnsafe},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var archive bytes.Buffer
			w := zip.NewWriter(&archive)
			if err := tt.make(w); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := s.PutZip(context.Background(), bytes.NewReader(archive.Bytes())); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			t.Logf("%d bytes refused in %v", archive.Len(), time.Since(start))
			wantFiles(t, s.dir, "LOCK")
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

package pebble_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// TestDamagedLog: a log with bytes gone bad before commits that were acknowledged is refused, not cut off
// there in silence; also the very first log of a store.
func TestDamagedLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := pebble.Open(dir, pebble.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := s.Commit(t.Context(), store.Write{Kind: store.WritePut, Key: fmt.Sprint("k", i), Value: make([]byte, 500)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
	}
	largest := slices.MaxFunc(logs, func(a, b string) int { return int(size(t, a) - size(t, b)) })
	f, err := os.OpenFile(largest, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("these bytes were others once"), size(t, largest)/3)
	if closeErr := f.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	if s, err := pebble.Open(dir, pebble.Options{Log: quiet()}); err == nil {
		t.Error("a store whose log is damaged opens as if nothing were lost")
		s.Close()
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

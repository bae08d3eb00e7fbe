package pebble_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	spoil(t, filepath.Join(dir, "*.log"))
	if s, err := pebble.Open(dir, pebble.Options{Log: quiet()}); err == nil {
		t.Error("a store whose log is damaged opens as if nothing were lost")
		s.Close()
	}
}

// damagedVariable makes this test binary read all of the store that it names.
const damagedVariable = "STORE_TEST_DAMAGED"

// TestDamagedTable: reading what was not written ends the process with a line that tells which file it is.
func TestDamagedTable(t *testing.T) {
	const records = 200
	if dir := os.Getenv(damagedVariable); dir != "" {
		s, err := pebble.Open(dir, pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if _, err := s.Get(t.Context(), fmt.Sprint("k", i)); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "store")
	for range 2 { // the second opening makes a table of what the log holds
		s, err := pebble.Open(dir, pebble.Options{Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range records {
			if _, err := s.Commit(t.Context(), store.Write{Kind: store.WritePut, Key: fmt.Sprint("k", i), Value: make([]byte, 500)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	table := spoil(t, filepath.Join(dir, "*.sst"))
	child := exec.Command(os.Args[0], "-test.run=^TestDamagedTable$")
	child.Env = append(os.Environ(), damagedVariable+"="+dir)
	out, err := child.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("reading ended with %v", err)
	}
	if said := string(out); !strings.Contains(said, filepath.Base(table)) || strings.Contains(said, "goroutine ") {
		t.Errorf("it said %s", said)
	}
}

// spoil writes over bytes in the middle of the largest file of a pattern.
func spoil(t *testing.T, pattern string) (path string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	path = slices.MaxFunc(files, func(a, b string) int { return int(size(t, a) - size(t, b)) })
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("these bytes were others once"), size(t, path)/3)
	if closeErr := f.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	return path
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

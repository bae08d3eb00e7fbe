package pebble_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// TestPowerCut takes what a disk could hold if the power went at random
// moments: all that was synced, and some of what was not.
func TestPowerCut(t *testing.T) {
	const writers, cuts = 6, 12
	disk := vfs.NewCrashableMem()
	s, err := pebble.Open("data", pebble.Options{FS: disk, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	var acked [writers]atomic.Int64
	var queued atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer s.Close()
	defer wg.Wait()
	defer sync.OnceFunc(func() { close(stop) })()
	for w := range writers {
		wg.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				value := fmt.Append(nil, n)
				if _, err := s.Commit(t.Context(), store.Write{Key: fmt.Sprintf("%d/a", w), Value: value},
					store.Write{Key: fmt.Sprintf("%d/b", w), Value: value}); err != nil {
					t.Error(err)
					return
				}
				acked[w].Store(n)
				if w > 0 {
					continue
				}
				if _, err := s.Enqueue(t.Context(), "q", store.Message{Body: value}); err != nil {
					t.Error(err)
					return
				}
				queued.Store(n)
			}
		})
	}
	for cut := range cuts {
		target := acked[0].Load() + 1 + rand.Int64N(40)
		for acked[0].Load() < target && !t.Failed() {
			runtime.Gosched()
		}
		var before [writers]int64
		for w := range before {
			before[w] = acked[w].Load()
		}
		inQueue := queued.Load()
		seed := rand.Uint64()
		left := disk.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: []int{0, 50, 100}[cut%3], RNG: rand.New(rand.NewPCG(seed, 0)),
		})
		after, err := pebble.Open("data", pebble.Options{FS: left, Log: quiet()})
		if err != nil {
			t.Fatalf("cut %d (seed %d): %v", cut, seed, err)
		}
		for w, n := range before {
			var halves [2]int64
			for i, half := range []string{"a", "b"} {
				r, err := after.Get(t.Context(), fmt.Sprintf("%d/%s", w, half))
				if err == nil {
					fmt.Sscan(string(r.Value), &halves[i])
				}
			}
			if halves[0] != halves[1] || halves[0] < n {
				t.Errorf("cut %d (seed %d): writer %d has %v on disk, %d was acknowledged", cut, seed, w, halves, n)
			}
		}
		if d, err := after.Depth(t.Context(), "q"); err != nil || int64(d.Visible) < inQueue {
			t.Errorf("cut %d (seed %d): %d messages of %d acknowledged, %v", cut, seed, d.Visible, inQueue, err)
		}
		if err := after.Close(); err != nil {
			t.Errorf("cut %d: %v", cut, err)
		}
	}
}

// TestTornLastWrite cuts and damages the log within its last, unacknowledged
// write: all before it must be there, and it itself wholly or not at all.
func TestTornLastWrite(t *testing.T) {
	dir := t.TempDir()
	s, err := pebble.Open(dir, pebble.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 5 {
		if _, err := s.Commit(t.Context(), store.Write{Key: fmt.Sprintf("kept/%d", i), Value: []byte("v")}); err != nil {
			t.Fatal(err)
		}
	}
	before := logSizes(t, dir)
	torn := strings.Repeat("t", 300)
	if _, err := s.Commit(t.Context(), store.Write{Key: "torn/a", Value: []byte(torn)}, store.Write{Key: "torn/b", Value: []byte(torn)}); err != nil {
		t.Fatal(err)
	}
	after := logSizes(t, dir)
	var log string
	for name, size := range after {
		if size > before[name] {
			log = name
		}
	}
	if log == "" {
		t.Fatalf("no log grew: %v, %v", before, after)
	}
	for cut := before[log]; cut < after[log]; cut += 1 + rand.Int64N(60) {
		for _, damage := range []string{"truncated", "zeros", "garbage"} {
			t.Run(fmt.Sprintf("%s at %d", damage, cut-before[log]), func(t *testing.T) {
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				tear(t, filepath.Join(copied, log), cut, after[log], damage)
				checkTorn(t, copied, torn)
			})
		}
	}
}

func logSizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no log: %v", err)
	}
	sizes := make(map[string]int64)
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sizes[filepath.Base(name)] = info.Size()
	}
	return sizes
}

func tear(t *testing.T, name string, from, to int64, damage string) {
	t.Helper()
	if err := os.Truncate(name, from); err != nil {
		t.Fatal(err)
	}
	if damage == "truncated" {
		return
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tail := make([]byte, to-from)
	if damage == "garbage" {
		for i := range tail {
			tail[i] = byte(rand.Uint32())
		}
	}
	if _, err := f.Write(tail); err != nil {
		t.Fatal(err)
	}
}

func checkTorn(t *testing.T, dir, torn string) {
	t.Helper()
	s, err := pebble.Open(dir, pebble.Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if page, _, err := s.List(t.Context(), "kept/", "", 10); err != nil || len(page) != 5 {
		t.Errorf("%d records of 5, %v", len(page), err)
	}
	page, _, err := s.List(t.Context(), "torn/", "", 10)
	if err != nil || len(page) != 0 && len(page) != 2 {
		t.Errorf("half a commit: %d of 2 records, %v", len(page), err)
	}
	for _, r := range page {
		if string(r.Value) != torn {
			t.Errorf("%s is damaged", r.Key)
		}
	}
	if _, err := s.Commit(t.Context(), store.Write{Key: "next"}); err != nil {
		t.Errorf("the next commit: %v", err)
	}
}

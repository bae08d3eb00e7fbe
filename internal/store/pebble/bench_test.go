package pebble_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// The benchmark takes turns, so that a disk that is slow for a while is slow
// for everybody.
const (
	benchTurns = 5
	benchTurn  = 400 * time.Millisecond
)

var benchWriters = []int{1, 16, 64}

// BenchmarkDurableRecords prints acknowledged durable records a second beside
// the fdatasync calls a second of the same disk. Run it with -benchtime 1x; the
// folder is $LAMBDAD_BENCH_DIR or the system's for temporary files.
func BenchmarkDurableRecords(b *testing.B) {
	dir, err := os.MkdirTemp(os.Getenv("LAMBDAD_BENCH_DIR"), "lambdad-store-bench")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := pebble.Open(filepath.Join(dir, "data"), pebble.Options{Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for range b.N {
		syncs := make([]float64, 0, benchTurns)
		records := make(map[int][]float64)
		for range benchTurns {
			syncs = append(syncs, fdatasyncRate(b, filepath.Join(dir, "syncs")))
			for _, n := range benchWriters {
				records[n] = append(records[n], recordRate(b, s, n))
			}
		}
		disk := median(syncs)
		b.Logf("%-32s %10s %18s", "", "per second", "of the disk's syncs")
		b.Logf("%-32s %10.0f %18s", "fdatasync of 512 bytes", disk, "1.0")
		for _, n := range benchWriters {
			rate := median(records[n])
			b.Logf("%-32s %10.0f %18.1f", fmt.Sprintf("durable records, %d writers", n), rate, rate/disk)
			b.ReportMetric(rate, fmt.Sprintf("records/s@%d", n))
			b.ReportMetric(rate/disk, fmt.Sprintf("ratio@%d", n))
		}
		b.ReportMetric(disk, "fdatasync/s")
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// fdatasyncRate appends and syncs as a log does, over preallocated space.
func fdatasyncRate(b *testing.B, name string) float64 {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Fallocate(int(f.Fd()), 1 /* keep the size */, 0, 64<<20); err != nil {
		b.Logf("not preallocated: %v", err)
	}
	block := make([]byte, 512)
	n, start := 0, time.Now()
	for time.Since(start) < benchTurn {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds()
}

func recordRate(b *testing.B, s *pebble.Store, writers int) float64 {
	var n atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			value := make([]byte, 256)
			for i := 0; time.Since(start) < benchTurn; i++ {
				key := fmt.Sprintf("bench/%02d/%06d", w, i)
				if _, err := s.Commit(b.Context(), store.Write{Kind: store.WritePut, Key: key, Value: value}); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}

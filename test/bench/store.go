package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// benchStore counts acknowledged durable records beside bare fdatasync calls on the same disk.
func benchStore(ctx context.Context, b *bench) error {
	length := 4 * time.Second
	if b.quick {
		length = time.Second
	}
	dir, err := os.MkdirTemp("", "lambdad-bench-store-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	syncs, err := fdatasyncs(filepath.Join(dir, "probe"), length)
	if err != nil {
		return err
	}
	rows := [][]string{{"fdatasync after each 128-byte append", "1", fmt.Sprintf("%.0f", syncs), "1.00"}}
	s, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	for _, writers := range []int{1, 16, 64} {
		rate, err := commits(ctx, s, writers, length)
		if err != nil {
			return err
		}
		rows = append(rows, []string{"acknowledged records of 128 bytes", fmt.Sprint(writers), fmt.Sprintf("%.0f", rate), fmt.Sprintf("%.2f", rate/syncs)})
	}
	b.report.table("Store", []string{"what", "writers", "a second", "ratio to fdatasync"}, rows,
		"Every record is on disk when it is acknowledged; writers that wait at the same time share one flush.")
	return nil
}

func fdatasyncs(path string, length time.Duration) (perSecond float64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	record := make([]byte, 128)
	n := 0
	start := time.Now()
	for time.Since(start) < length {
		if _, err := f.Write(record); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

func commits(ctx context.Context, s store.Store, writers int, length time.Duration) (perSecond float64, err error) {
	var (
		wg    sync.WaitGroup
		total atomic.Int64
		once  sync.Once
		first error
	)
	value := make([]byte, 128)
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			for i := 0; time.Since(start) < length; i++ {
				if _, err := s.Commit(ctx, store.Write{Kind: store.WritePut, Key: fmt.Sprintf("bench/%d/%d/%d", writers, w, i), Value: value}); err != nil {
					once.Do(func() { first = err })
					return
				}
				total.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(total.Load()) / time.Since(start).Seconds(), first
}

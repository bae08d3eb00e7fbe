package pebble_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lambdad/lambdad/internal/store"
	"github.com/lambdad/lambdad/internal/store/pebble"
)

// fullDisk can refuse all further bytes, as a disk does that something else
// filled, and reports any free space it is told to.
type fullDisk struct {
	vfs.FS
	full atomic.Bool
	free atomic.Uint64
}

func (d *fullDisk) Unwrap() vfs.FS { return d.FS }

func (d *fullDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load()}, nil
}

func (d *fullDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() {
		return nil, &os.PathError{Op: "create", Path: name, Err: syscall.ENOSPC}
	}
	f, err := d.FS.Create(name, c)
	return fullFile{f, d}, err
}

type fullFile struct {
	vfs.File
	disk *fullDisk
}

// Write takes half of the bytes before it finds the disk full.
func (f fullFile) Write(p []byte) (int, error) {
	if !f.disk.full.Load() {
		return f.File.Write(p)
	}
	n, err := f.File.Write(p[:len(p)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

func openFullDisk(t *testing.T) (*fullDisk, *pebble.Store) {
	t.Helper()
	disk := &fullDisk{FS: vfs.NewMem()}
	disk.free.Store(1 << 40)
	s, err := pebble.Open("data", pebble.Options{FS: disk, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return disk, s
}

// eventually polls: what it waits for hangs on the store's own timers.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not come: %s", what)
		}
	}
}

func TestNearlyFullDiskRefusesWrites(t *testing.T) {
	disk, s := openFullDisk(t)
	ctx := t.Context()
	if _, err := s.Commit(ctx, store.Write{Key: "a", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enqueue(ctx, "q", store.Message{}); err != nil {
		t.Fatal(err)
	}
	disk.free.Store(40 << 20)
	eventually(t, "ErrFull", func() bool {
		_, err := s.Commit(ctx, store.Write{Key: "b"})
		return errors.Is(err, store.ErrFull)
	})
	if _, err := s.Enqueue(ctx, "q", store.Message{}); !errors.Is(err, store.ErrFull) {
		t.Errorf("Enqueue: %v, want ErrFull", err)
	}
	// What makes room is still let through.
	if _, err := s.Commit(ctx, store.Write{Kind: store.WriteDelete, Key: "a"}); err != nil {
		t.Errorf("delete: %v", err)
	}
	got, err := s.Lease(ctx, "q", 1, time.Minute)
	if err != nil || len(got) != 1 {
		t.Fatalf("Lease: %v %v", got, err)
	}
	if err := s.Ack(ctx, "q", got[0].Receipt); err != nil {
		t.Errorf("Ack: %v", err)
	}
	disk.free.Store(1 << 40)
	eventually(t, "room", func() bool {
		_, err := s.Commit(ctx, store.Write{Key: "b"})
		return err == nil
	})
}

// TestDiskFilledByOthers fills the disk under commits that are on their way:
// they wait and are acknowledged when there is room, others are refused.
func TestDiskFilledByOthers(t *testing.T) {
	disk, s := openFullDisk(t)
	ctx := t.Context()
	const writers = 6
	var acked [writers]atomic.Int64
	var refused atomic.Bool
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := int64(1); ; {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.Commit(ctx, store.Write{Key: fmt.Sprint(w), Value: fmt.Append(nil, n)})
				switch {
				case err == nil:
					acked[w].Store(n)
					n++
				case errors.Is(err, store.ErrFull):
					refused.Store(true)
					time.Sleep(time.Millisecond)
				default:
					t.Errorf("Commit: %v", err)
					return
				}
			}
		})
	}
	for range 3 {
		target := acked[0].Load() + 20
		eventually(t, "commits", func() bool { return acked[0].Load() >= target })
		refused.Store(false)
		disk.full.Store(true)
		eventually(t, "a refused commit", func() bool {
			// One that comes before the engine met the full disk waits with the others.
			wg.Go(func() {
				if _, err := s.Commit(ctx, store.Write{Kind: store.WriteCheck, Key: "probe"}); errors.Is(err, store.ErrFull) {
					refused.Store(true)
				}
			})
			return refused.Load()
		})
		disk.full.Store(false)
	}
	target := acked[0].Load() + 20
	eventually(t, "commits after the last full disk", func() bool { return acked[0].Load() >= target })
	close(stop)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := pebble.Open("data", pebble.Options{FS: disk, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for w := range acked {
		r, err := again.Get(ctx, fmt.Sprint(w))
		if err != nil || string(r.Value) != fmt.Sprint(acked[w].Load()) {
			t.Errorf("writer %d: %q %v on disk, %d was acknowledged", w, r.Value, err, acked[w].Load())
		}
	}
}

// TestCloseOnFullDisk stops while a commit waits for room that does not come.
func TestCloseOnFullDisk(t *testing.T) {
	disk, s := openFullDisk(t)
	ctx := t.Context()
	if _, err := s.Commit(ctx, store.Write{Key: "acknowledged"}); err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	waiting := make(chan error)
	go func() {
		_, err := s.Commit(ctx, store.Write{Key: "waiting"})
		waiting <- err
	}()
	eventually(t, "a refused commit", func() bool {
		_, err := s.Revision(ctx) // reads go on
		return err == nil && s.Full()
	})
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	for _, c := range []chan error{waiting, closed} {
		select {
		case <-c: // each may say what it could not do
		case <-time.After(20 * time.Second):
			t.Fatal("Close hangs on a full disk")
		}
	}
	disk.full.Store(false)
	again, err := pebble.Open("data", pebble.Options{FS: disk, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Get(ctx, "acknowledged"); err != nil {
		t.Error(err)
	}
}

// TestRealFullDisk fills a small file system of its own, to the last byte.
func TestRealFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	options := pebble.Options{Log: quiet()}
	s, err := pebble.Open(filepath.Join(mount, "data"), options)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	value := make([]byte, 256<<10)
	fill := func() (n int) {
		for i := range len(value) {
			value[i] = byte(rand.Uint32()) // so that nothing compresses
		}
		for ; ; n++ {
			_, err := s.Commit(ctx, store.Write{Key: fmt.Sprintf("v/%03d", n), Value: value})
			if errors.Is(err, store.ErrFull) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	n := fill()
	if n == 0 {
		t.Fatal("full at once")
	}
	// Somebody else takes what is left.
	hog := filepath.Join(mount, "hog")
	f, err := os.Create(hog)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := f.Write(value); err != nil {
			break
		}
	}
	f.Close()
	if _, err := s.Commit(ctx, store.Write{Key: "more", Value: value}); !errors.Is(err, store.ErrFull) {
		t.Errorf("Commit on a full disk: %v, want ErrFull", err)
	}
	for i := range n {
		if _, err := s.Get(ctx, fmt.Sprintf("v/%03d", i)); err != nil {
			t.Fatalf("v/%03d of %d acknowledged: %v", i, n, err)
		}
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	// A delete is let through and a bigger disk takes writes again.
	eventually(t, "a delete", func() bool {
		_, err := s.Commit(ctx, store.Write{Kind: store.WriteDelete, Key: "v/000"})
		return err == nil
	})
	if err := syscall.Mount("", mount, "", syscall.MS_REMOUNT, "size=320m"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a commit", func() bool {
		_, err := s.Commit(ctx, store.Write{Key: "more", Value: value})
		return err == nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = pebble.Open(filepath.Join(mount, "data"), options); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, _, err := s.List(ctx, "", "", store.ListLimitMax)
	if err != nil || len(page) != n {
		t.Errorf("%d records, want %d; %v", len(page), n, err)
	}
}

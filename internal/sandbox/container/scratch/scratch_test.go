package scratch

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t testing.TB) *Disks {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	d, err := Open(context.Background(), t.TempDir())
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		t.Skipf("no loop devices or no mke2fs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestMake(t *testing.T) {
	d := open(t)
	for _, mib := range []int{16, 512, 10240} {
		mount, err := d.Make(context.Background(), mib, 1234)
		if err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Fstatat(mount, ".", &stat, 0); err != nil || stat.Uid != 1234 || stat.Mode&0o7777 != 0o1777 {
			t.Errorf("%d MiB: %+v, %v", mib, stat, err)
		}
		var fs unix.Statfs_t
		if err := unix.Fstatfs(mount, &fs); err != nil {
			t.Fatal(err)
		}
		free := int64(fs.Bavail) * fs.Bsize >> 20
		t.Logf("%d MiB: %d free, %d files", mib, free, fs.Ffree)
		if free < int64(mib) || free > int64(mib+mib/100+6) || fs.Ffree < uint64(mib*32) {
			t.Errorf("%d MiB: %d MiB free, %d files", mib, free, fs.Ffree)
		}
		// Detached until now, so nobody else can hold it.
		if err := unix.Close(mount); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkMake(b *testing.B) {
	d := open(b)
	for b.Loop() {
		mount, err := d.Make(context.Background(), 512, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := unix.Close(mount); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// TestNodeOfOurOwn: a container's /dev may lack the device that is free.
func TestNodeOfOurOwn(t *testing.T) {
	d := open(t)
	const absent = 4000
	loop, err := d.openLoop(absent)
	// Nobody made this device: older kernels make it now, newer ones refuse.
	if err == nil {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
		if err := unix.IoctlSetInt(int(d.control.Fd()), unix.LOOP_CTL_REMOVE, absent); err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EACCES) {
		t.Error(err)
	}
}

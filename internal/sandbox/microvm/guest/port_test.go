package guest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCall: a connection that breaks is replaced where it is read, and what is written
// then goes to the new one.
func TestCall(t *testing.T) {
	pair := func() (ours, theirs int) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fds[0], fds[1]
	}
	guest, first := pair()
	copied, second := pair()
	refused := 2
	c := &call{fd: guest, dial: func() (int, error) {
		if refused > 0 { // the copy's host listens a little later
			refused--
			return -1, unix.ECONNREFUSED
		}
		return copied, nil
	}}
	said := make([]byte, 16)
	exchange := func(with int, text string) {
		t.Helper()
		if _, err := unix.Write(with, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(said); err != nil || string(said[:n]) != text {
			t.Fatalf("%q, %v", said[:n], err)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(with, said); err != nil || string(said[:n]) != text {
			t.Fatalf("%q, %v", said[:n], err)
		}
	}
	exchange(first, "first")
	if err := unix.Close(first); err != nil {
		t.Fatal(err)
	}
	exchange(second, "second")
	if err := errors.Join(c.Close(), unix.Close(second)); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(said); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestOnDrive(t *testing.T) {
	sys := t.TempDir()
	write := func(name, size string) {
		path := filepath.Join(sys, "block", name, "size")
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(size), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("vda", "32768\n")
	write("vdb", "1\n")
	write("vdc", "8\n")
	write("vdd", "many\n")
	for number, want := range map[int]string{TmpDisk: "/dev/vda", RootDisk: "", RootDisk + 1: "/dev/vdc", RootDisk + 2: "", RootDisk + 3: "", 100: "", StartDisk: ""} {
		if got, err := onDrive(sys, number); got != want || (err == nil) != (want != "") {
			t.Errorf("disk %d: %q, %v", number, got, err)
		}
	}
}

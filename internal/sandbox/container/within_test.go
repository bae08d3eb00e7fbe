package container

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// Requests of ioctl_ns(2).
const (
	nsGetParent   = 0xb702
	nsGetOwnerUID = 0xb704
)

func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Ino
}

// TestWithin: a sandbox whose user namespace is made within another sandbox's, by
// the program's user there, and that gets no program of its own.
func TestWithin(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	ctx := context.Background()
	d, err := New(Options{StateDir: t.TempDir(), Init: sandboxtest.Build(t, sandboxtest.InitPackage)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	h := sandboxtest.NewHarness(t, d)
	first, err := d.parkWithin(ctx, h.ParkSpec(), surroundings{})
	if err != nil {
		t.Fatal(err)
	}
	around, err := first.process.duplicate()
	if err != nil {
		t.Fatal(err)
	}
	defer around.Close()
	for range 3 { // the spawner is as it was before
		b, err := d.parkWithin(ctx, h.ParkSpec(), surroundings{process: around, root: first.rootID(), skipPIDs: true})
		if err != nil {
			t.Fatal(err)
		}
		parent, err := unix.IoctlRetInt(int(b.users.Fd()), nsGetParent)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := inode(t, parent), inode(t, int(first.users.Fd())); got != want {
			t.Errorf("made within %d, not %d", got, want)
		}
		unix.Close(parent)
		owner, err := unix.IoctlGetUint32(int(b.users.Fd()), nsGetOwnerUID)
		if err != nil || int(owner) != first.rootID()+1 {
			t.Errorf("owner %d, %v; the program is %d", owner, err, first.rootID()+1)
		}
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", b.process.pid))
		root := first.rootID()
		want := fmt.Sprintf("0 %d 1 993 %d 1 65534 %d 1", root, root+1, root+2)
		if got := strings.Join(strings.Fields(string(content)), " "); err != nil || got != want {
			t.Errorf("ids %q, %v; want %q", got, err, want)
		}
		if err := b.adopt(ctx, sandbox.StartSpec{CodeDir: t.TempDir(), Limits: sandbox.Limits{MemoryMiB: 64, TmpMiB: 512}}); err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.process.pid))
		for _, want := range []string{"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("process 1 without %q: %v\n%s", want, err, status)
			}
		}
		if _, err := b.Start(ctx, h.StartSpec("exit", "0")); err == nil {
			t.Error("started what has been adopted")
		}
		if err := b.Destroy(ctx); err != nil {
			t.Error(err)
		}
	}
}

package microvm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
)

func TestTSCKHz(t *testing.T) {
	for text, want := range map[string]int{"flags\t: fpu\nbogomips\t: 5199.99\n": 2599995, "nothing": 0, "bogomips\t: x": 0} {
		path := filepath.Join(t.TempDir(), "cpuinfo")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tscKHz(path); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	if got := tscKHz("/nowhere"); got != 0 {
		t.Errorf("without a file: %d", got)
	}
}

// TestSealed: nobody can write to the memory of a machine at rest, and a copy's
// own view of it can be written.
func TestSealed(t *testing.T) {
	f, err := newMemory(1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("template"), 0); err != nil {
		t.Fatal(err)
	}
	if err := seal(f); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("written")
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096); err == nil {
		t.Error("discarded")
	}
	if p, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("mapped for all", unix.Munmap(p))
	}
	view, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	copy(view, "mine")
	got := make([]byte, 8)
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != "template" {
		t.Errorf("%q, %v", got, err)
	}
	if err := unix.Munmap(view); err != nil {
		t.Error(err)
	}
}

// TestKVMAccess: by everybody, or by a group that is not root's.
func TestKVMAccess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := filepath.Join(t.TempDir(), "kvm")
	for _, c := range []struct {
		mode  os.FileMode
		gid   int
		group uint32
		ok    bool
	}{{0o600, 104, 0, false}, {0o660, 104, 104, true}, {0o660, 0, 0, false}, {0o666, 104, 0, true}, {0o640, 104, 0, false}} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 0, c.gid), os.Chmod(path, c.mode)); err != nil {
			t.Fatal(err)
		}
		if group, ok := kvmAccess(path); group != c.group || ok != c.ok {
			t.Errorf("%o of group %d: %d, %v", c.mode, c.gid, group, ok)
		}
	}
	if _, ok := kvmAccess("/nowhere"); ok {
		t.Error("it is not there")
	}
}

func TestCopySparse(t *testing.T) {
	from, err := os.Create(filepath.Join(t.TempDir(), "from"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(t.TempDir(), "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := from.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	if _, err := from.WriteAt([]byte("end"), 64<<20-3); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(to, from); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(to.Name())
	if err != nil || len(content) != 64<<20 || !bytes.HasSuffix(content, []byte("end")) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	if sizeOf(to) > 1<<20 {
		t.Errorf("takes %d bytes", sizeOf(to))
	}
}

func TestSizeFor(t *testing.T) {
	for _, c := range []struct {
		limits sandbox.Limits
		tmp    bool
		want   int // 0: refused
	}{
		{sandbox.Limits{MemoryMiB: 128}, false, 640}, {sandbox.Limits{MemoryMiB: 528}, false, 640}, {sandbox.Limits{MemoryMiB: 529}, false, 1280},
		{sandbox.Limits{MemoryMiB: 10240}, false, 11264}, {sandbox.Limits{MemoryMiB: 128, TmpMiB: 512}, true, 1280},
		{sandbox.Limits{MemoryMiB: 10240, TmpMiB: 10240}, true, 0},
	} {
		if got, err := sizeFor(c.limits, c.tmp); got.memoryMiB != c.want && (err == nil || c.want != 0) {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
}

func TestPlanRoot(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := planRoot(sandbox.Rootfs{Mounts: []sandbox.Mount{{Source: file, Target: "/bin/one"}, {Source: dir, Target: "/usr"}, {Source: file, Target: "/usr/over"}}})
	if err != nil {
		t.Fatal(err)
	}
	// The first file is in the root's own image; the one over a directory is mounted after it.
	if len(plan.images) != 3 || len(plan.park.Mounts) != 2 || plan.park.Mounts[1].File == "" || plan.park.Mounts[1].Disk != 3 {
		t.Errorf("%+v", plan)
	}
	for _, target := range []string{"/", "relative", "/a/../b"} {
		if _, err := planRoot(sandbox.Rootfs{Mounts: []sandbox.Mount{{Source: dir, Target: target}}}); err == nil {
			t.Errorf("planned a mount at %q", target)
		}
	}
}

// TestQMP: what a monitor answers, and what it may say in between.
func TestQMP(t *testing.T) {
	answers := make(chan answer, 1)
	q := &qmp{answers: answers, events: make(chan string, 1)}
	for line, want := range map[string]bool{`{"return": {}}`: true, `{"error": {"class": "GenericError", "desc": "no"}}`: true} {
		done := make(chan struct{})
		q.answers = make(chan answer, 1)
		go func() {
			q.readFrom(strings.NewReader(`{"QMP": {"version": {}}}` + "\n" + `{"event": "STOP"}` + "\n" + line + "\n"))
			close(done)
		}()
		_, ok := <-q.answers
		<-done
		if ok != want {
			t.Errorf("%s: %v", line, ok)
		}
	}
}

func FuzzQMP(f *testing.F) {
	f.Add(`{"return": {}}`)
	f.Add(`{"event": "STOP"}`)
	f.Fuzz(func(t *testing.T, text string) {
		q := &qmp{answers: make(chan answer), events: make(chan string, 1)}
		go q.readFrom(io.LimitReader(strings.NewReader(text), lineMax))
		for range q.answers {
		}
	})
}

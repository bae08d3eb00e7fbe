package clone

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// original starts a shell that runs script, with a connection of ours as its
// input, and that is a child of a process of its own, as in a sandbox.
func original(t *testing.T, script string) (pid int, output *bufio.Reader) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	parent := exec.Command("/bin/sh", "-c", `exec 3<&0; /bin/sh -c "$1" <&3 3<&- & echo $!; exec 3<&-; wait; sleep 1000`, "parent", script)
	parent.Stdin = theirs
	out, err := parent.StdoutPipe()
	if err == nil {
		err = parent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		parent.Process.Kill()
		parent.Wait()
	})
	output = bufio.NewReader(out)
	for ready := false; pid == 0 || !ready; { // the two lines come in any order
		line, err := output.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "ready\n" {
			ready = true
		} else if pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
			t.Fatal(err)
		}
	}
	return pid, output
}

var kinds = []struct {
	name string
	flag int
}{{"mnt", unix.CLONE_NEWNS}, {"pid", unix.CLONE_NEWPID}, {"net", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}}

// elsewhere makes namespaces with the hostname "elsewhere".
func elsewhere(t *testing.T) []Namespace {
	t.Helper()
	first := exec.Command("/bin/sh", "-c", "echo elsewhere >/proc/sys/kernel/hostname; echo ready; exec sleep 1000")
	flags := uintptr(0)
	for _, k := range kinds {
		flags |= uintptr(k.flag)
	}
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	out, err := first.StdoutPipe()
	if err == nil {
		err = first.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		first.Process.Kill()
		first.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	var list []Namespace
	for _, k := range kinds {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", first.Process.Pid, k.name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		list = append(list, Namespace{File: f, Kind: k.flag})
	}
	return list
}

func seize(t *testing.T, pid int) *Original {
	t.Helper()
	o, err := Seize(pid)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// copied makes a copy and returns what it wrote and how it ended.
func copied(t *testing.T, o *Original, spec Spec) (string, unix.WaitStatus) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	broken, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	input := os.NewFile(uintptr(broken[0]), "input")
	defer input.Close()
	unix.Close(broken[1])
	spec.Replaced = []Replacement{{FD: 0, With: input}, {FD: 1, With: writer}}
	p, err := o.Copy(spec)
	if err = errors.Join(err, writer.Close()); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p.PIDFD)
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(p.PIDFD), Events: unix.POLLIN}}, -1); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	status, err := o.Reap(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), status
}

func spec(t *testing.T) Spec {
	return Spec{
		Namespaces: elsewhere(t), Kept: []int{2}, Dir: "/usr",
		Attach: func(int) error { return nil },
	}
}

func TestCopy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	secret := 40
	pid, _ := original(t, `x=`+strconv.Itoa(secret)+`; echo ready; read line; echo "$? $((x+=2)) $(cat /proc/sys/kernel/hostname)"; pwd -P
sed -n 's/^\(Cap.*\|TracerPid\):[^0-9a-f]*/\1 /p' /proc/self/status; kill -0 0 && exit 7`)
	o := seize(t, pid)
	if err := o.Prepare(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	none := strings.Repeat("0", 16)
	want := "1 42 elsewhere\n/usr\nTracerPid 0\nCapInh " + none + "\nCapPrm " + none + "\nCapEff " + none + "\nCapBnd " + none + "\nCapAmb " + none + "\n"
	for range 3 { // the original stays as it was
		got, status := copied(t, o, spec(t))
		if got != want || status.ExitStatus() != 7 {
			t.Errorf("wrote %q, ended with %d; want %q, 7", got, status.ExitStatus(), want)
		}
	}
}

// TestFailure: a copy that comes to nothing leaves nothing behind, and others go on.
func TestFailure(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	pid, _ := original(t, `echo ready; read line; echo alive; exit 3`)
	o := seize(t, pid)
	if err := o.Prepare(); err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	refused := errors.New("no group")
	bad := spec(t)
	bad.Attach = func(int) error { return refused }
	if _, err := o.Copy(bad); !errors.Is(err, refused) {
		t.Error(err)
	}
	bad = spec(t)
	bad.Dir = "/nowhere"
	if _, err := o.Copy(bad); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil || len(strings.Fields(string(children))) != 0 {
		t.Errorf("left children %q, %v", children, err)
	}
	if got, status := copied(t, o, spec(t)); got != "alive\n" || status.ExitStatus() != 3 {
		t.Errorf("%q, %d", got, status.ExitStatus())
	}
}

// TestRelease: a process that was looked at and let go does not notice.
func TestRelease(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	pid, output := original(t, `echo ready; sleep 0.05; echo on; read line; echo off`)
	o := seize(t, pid)
	if err := o.Release(); err != nil {
		t.Fatal(err)
	}
	if line, err := output.ReadString('\n'); line != "on\n" {
		t.Fatalf("%q, %v", line, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.Contains(string(status), "TracerPid:\t0\n") {
		t.Errorf("%s, %v", status, err)
	}
}

func TestGaps(t *testing.T) {
	const end = 1<<32 - 1
	for _, c := range []struct {
		open []int
		want [][2]uint64
	}{
		{nil, [][2]uint64{{0, end}}},
		{[]int{2, 0, 1}, [][2]uint64{{3, end}}},
		{[]int{5, 0, 5, 3}, [][2]uint64{{1, 2}, {4, 4}, {6, end}}},
	} {
		if got := gaps(c.open); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.open, got, c.want)
		}
	}
}

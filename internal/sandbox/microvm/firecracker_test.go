package microvm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

const fireDouble = "github.com/lambdad/lambdad/internal/sandbox/microvm/testdata/firecracker"

// fireHost is a host's side whose Firecracker is a double; mode says where it fails.
func fireHost(t *testing.T, mode string) (Options, string) {
	t.Helper()
	program := sandboxtest.Build(t, fireDouble)
	if err := os.Chmod(filepath.Dir(filepath.Dir(program)), 0o755); err != nil { // the double reads its mode
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]string{"kernel/vmlinux": "kernel", "kernel/release": "1.2.3\n", "kernel/modules/list": "", "guest": "guest"}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(program+".mode", []byte(mode), 0o600), os.Chmod(program+".mode", 0o666)); err != nil {
		t.Fatal(err)
	}
	return Options{StateDir: filepath.Join(dir, "state"), KernelDir: dir, Guest: filepath.Join(dir, "guest"), Firecracker: program,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, program + ".mode"
}

// openFire opens the driver on a host where "KVM" can be opened.
func openFire(t *testing.T, options Options) *Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	d, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(options.StateDir, "machines")); err == nil && len(left) > 0 {
			t.Errorf("machines are left: %v", left)
		}
	})
	d.host.kvmDevice = os.DevNull
	return d
}

func fireRoot(t *testing.T) sandbox.Rootfs {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "program"), []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	return sandbox.Rootfs{Base: dir}
}

func fireStart(t *testing.T) sandbox.StartSpec {
	return sandbox.StartSpec{Argv: []string{"/program"}, CodeDir: fireRoot(t).Base, LayerDirs: []string{fireRoot(t).Base},
		Limits: sandbox.Limits{MemoryMiB: 128, TmpMiB: 16}, Template: true}
}

// firstLine reads the program's first line.
func firstLine(t *testing.T, p sandbox.Program) {
	t.Helper()
	text, err := bufio.NewReader(p.Output()).ReadString('\n')
	if err != nil || text != "the program runs\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestFirecrackerLife is a sandbox's whole life, and that of its copies, through the
// driver: the double takes no request that the documented API would not.
func TestFirecrackerLife(t *testing.T) {
	options, _ := fireHost(t, "")
	d := openFire(t, options)
	ctx := t.Context()
	spec := fireStart(t)
	box, err := d.Park(ctx, sandbox.ParkSpec{ID: "one", Rootfs: fireRoot(t)})
	if err != nil {
		t.Fatal(err)
	}
	if d.host.monitor.name() != "firecracker" {
		t.Fatalf("machines are %s's", d.host.monitor.name())
	}
	p, err := box.Start(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	firstLine(t, p)
	if err := errors.Join(box.Freeze(ctx), box.Thaw(ctx)); err != nil {
		t.Error(err)
	}
	template, err := d.Template(ctx, box)
	if err != nil {
		t.Fatal(err)
	}
	defer template.Close()
	// The zeros that were written take nothing.
	if n := template.MemoryBytes(); n == 0 || n > 1<<20 {
		t.Errorf("a template takes %d bytes", n)
	}
	for _, id := range []sandbox.ID{"two", "three"} {
		copied, err := template.Park(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := copied.Start(ctx, spec); err != nil {
			t.Fatal(err)
		}
		if err := copied.Destroy(ctx); err != nil {
			t.Error(err)
		}
	}
}

// TestFirecrackerFails: whatever step refuses, hangs or dies, the next machine is tried.
func TestFirecrackerFails(t *testing.T) {
	for _, step := range []string{"listen", "PUT /machine-config", "PUT /boot-source", "PUT /drives/d3", "PUT /vsock", "PUT /entropy", "PUT /actions", "guest"} {
		for _, what := range []string{"refuse", "hang", "die"} {
			t.Run(what+" "+strings.ReplaceAll(step, "/", "_"), func(t *testing.T) {
				options, _ := fireHost(t, "1 "+what+" "+step)
				d := openFire(t, options)
				begin := time.Now()
				l, err := watched(t.Context(), time.Second, 2, func(ctx context.Context) (*link, error) {
					memory, err := newMemory(16)
					if err != nil {
						return nil, err
					}
					return bootOnce(ctx, d.host.firecracker, config{memoryMiB: 16, cpus: 1, memory: memory}, guestEvents{})
				})
				if err != nil {
					t.Fatalf("after %s: %v", time.Since(begin), err)
				}
				l.end()
			})
		}
	}
}

// TestFirecrackerCopyFails: the steps of a copy and of saving.
func TestFirecrackerCopyFails(t *testing.T) {
	for _, mode := range []string{"1 refuse PUT /snapshot/create", "1 die PUT /snapshot/create", "1 refuse PATCH /drives/d1", "1 die PATCH /drives/d1",
		"1 refuse PUT /snapshot/load", "1 die PUT /snapshot/load", "1 die PATCH /vm", "2 refuse PUT /snapshot/load"} {
		t.Run(strings.ReplaceAll(mode, "/", "_"), func(t *testing.T) {
			options, _ := fireHost(t, mode)
			d := openFire(t, options)
			box, err := d.Park(t.Context(), sandbox.ParkSpec{ID: "one", Rootfs: fireRoot(t)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := box.Start(t.Context(), fireStart(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFirecrackerCopyHangs: a copy that hangs is ended when its time is over, and the
// next one is made.
func TestFirecrackerCopyHangs(t *testing.T) {
	for _, step := range []string{"PUT /snapshot/load", "PATCH /vm", "guest", "renew"} {
		t.Run(strings.ReplaceAll(step, "/", "_"), func(t *testing.T) {
			options, mode := fireHost(t, "")
			d := openFire(t, options)
			rest, err := d.origins.booted(t.Context(), size{16, 1})
			if err != nil {
				t.Fatal(err)
			}
			defer rest.drop()
			if err := os.WriteFile(mode, []byte("1 hang "+step), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := d.origins.inGroup(func(group *cgroup.Group) (*saved, error) {
				l, err := watched(t.Context(), time.Second, 2, func(ctx context.Context) (*link, error) {
					return d.resume(ctx, rest, resumption{group: group})
				})
				if err == nil {
					l.end()
				}
				return nil, err
			}); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(d.host.firecracker.dir); err != nil || len(left) > 0 {
				t.Errorf("%v are left, %v", left, err)
			}
		})
	}
}

// TestFirecrackerDies: a program ends with its monitor.
func TestFirecrackerDies(t *testing.T) {
	options, _ := fireHost(t, "")
	d := openFire(t, options)
	made, err := d.Park(t.Context(), sandbox.ParkSpec{ID: "one", Rootfs: fireRoot(t)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := made.Start(t.Context(), fireStart(t))
	if err != nil {
		t.Fatal(err)
	}
	made.(*box).link.machine.kill()
	select {
	case <-p.Done():
		if exit := p.Exit(); exit.Signal == 0 {
			t.Errorf("%+v", exit)
		}
	case <-time.After(10 * time.Second):
		t.Error("it runs without its machine")
	}
}

// TestLineIsTheMonitors: who connects before the monitor does is not its guest.
func TestLineIsTheMonitors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "line")
	i, err := listenLine(path)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	i.from(os.Getpid() + 1)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
	select {
	case <-i.ready:
		t.Error("taken for the guest")
	default:
	}
}

// TestFirecrackerTold: what a monitor finds wrong is in the error, and so is its console.
func TestFirecrackerTold(t *testing.T) {
	options, _ := fireHost(t, "9 refuse PUT /vsock")
	d := openFire(t, options)
	memory, err := newMemory(16)
	if err != nil {
		t.Fatal(err)
	}
	_, err = bootOnce(t.Context(), d.host.firecracker, config{memoryMiB: 16, cpus: 1, memory: memory}, guestEvents{})
	if err == nil || !strings.Contains(err.Error(), "refused for a test") || !strings.Contains(err.Error(), "double: refuse at PUT /vsock") {
		t.Error(err)
	}
}

// TestFirecrackerChosen: by its path and by the probe; what the probe found is remembered.
func TestFirecrackerChosen(t *testing.T) {
	options, mode := fireHost(t, "1 die PUT /actions")
	d := openFire(t, options)
	choose := func() string {
		m, err := d.host.choose(t.Context())
		if err != nil {
			return "none"
		}
		return m.name()
	}
	d.host.accel, d.host.binary = "", "" // no QEMU either
	if got := choose(); got != "none" {
		t.Errorf("one that does not boot: %s", got)
	}
	again := func(binary, accel string) string {
		h := d.host
		d.host = &hostSide{log: h.log, dir: h.dir, kernelState: h.kernelState, release: h.release, kvmDevice: h.kvmDevice, firecracker: h.firecracker,
			binary: binary, accel: accel, kernel: h.kernel, initramfs: h.initramfs, launcher: h.launcher}
		return choose()
	}
	if got := again("", ""); got != "none" {
		t.Errorf("it boots now, but that it does not was remembered: %s", got)
	}
	if got := again("/qemu", "kvm"); got != "qemu/kvm" {
		t.Errorf("with QEMU: %s", got)
	}
	if err := os.Chtimes(strings.TrimSuffix(mode, ".mode"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if got := again("/qemu", ""); got != "firecracker" {
		t.Errorf("another program at the same place: %s", got)
	}
	if got := again("/qemu", "tcg"); got != "qemu/tcg" {
		t.Errorf("without virtualisation: %s", got)
	}
	d.host.kvmDevice = "/nowhere"
	if got := again("/qemu", "tcg"); got != "qemu/tcg" {
		t.Errorf("without a device: %s", got)
	}
}

func TestFindFirecracker(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, firecrackerProgram)
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", "")
	for name, c := range map[string]struct {
		options Options
		want    string
		fails   bool
	}{
		"nowhere": {}, "tools": {Options{ToolsDir: dir}, path, false}, "named": {Options{Firecracker: path}, path, false},
		"off": {Options{ToolsDir: dir, Firecracker: FirecrackerOff}, "", false}, "named, not there": {Options{ToolsDir: dir, Firecracker: "/nowhere"}, "", true},
	} {
		got, err := findFirecracker(c.options)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if f := probeFirecracker(c.options); f.Works && c.fails || f.Detail == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	t.Setenv("PATH", dir)
	if got, err := findFirecracker(Options{}); got != path || err != nil {
		t.Errorf("in PATH: %q, %v", got, err)
	}
}

func TestSlots(t *testing.T) {
	var seen []int
	for number := range 1000 {
		if slot, ok := guest.Slot(number); ok {
			if slices.Contains(seen, slot) || slot >= guest.Slots {
				t.Errorf("disk %d has drive %d", number, slot)
			}
			seen = append(seen, slot)
		}
	}
	if len(seen) != guest.Slots {
		t.Errorf("%d drives of %d", len(seen), guest.Slots)
	}
	if _, err := slotOf(disk{number: rootDisk + guest.RootSlots}); !errors.Is(err, sandbox.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := slotOf(disk{number: rootDisk, writable: true}); !errors.Is(err, sandbox.ErrUnsupported) {
		t.Error(err)
	}
}

func TestPunchZeros(t *testing.T) {
	f, err := newMemory(4)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := make([]byte, 4<<20)
	for _, at := range []int{0, 5 << 12, 1<<20 - 1, 4<<20 - 1} {
		want[at] = 1
	}
	if _, err := f.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	if err := punchZeros(f); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another content: %v", err)
	}
	if n := sizeOf(f); n != 4*pageBytes {
		t.Errorf("takes %d bytes", n)
	}
}

func FuzzFireAnswer(f *testing.F) {
	f.Add("HTTP/1.1 204 \r\n\r\n")
	f.Add("HTTP/1.1 400 \r\nContent-Length: 21\r\n\r\n{\"fault_message\":\"x\"}")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		request, err := http.NewRequest("PUT", "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = readAnswer(bufio.NewReader(io.LimitReader(strings.NewReader(text), answerMax)), request)
	})
}

package container_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// stamp runs in the sandbox: its first statement tells the time of the host's
// monotonic clock. What the Go runtime takes before it is in every figure.
const stamp = "stamp"

func benchDriver(b *testing.B) *sandboxtest.Harness {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	d, err := container.New(container.Options{StateDir: b.TempDir(), Init: sandboxtest.Build(b, sandboxtest.InitPackage)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return sandboxtest.NewHarness(b, d)
}

func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // the clock exists
	}
	return now.Nano()
}

// BenchmarkPark makes a sandbox without a program.
func BenchmarkPark(b *testing.B) {
	h := benchDriver(b)
	for b.Loop() {
		s, err := h.Driver.Park(context.Background(), h.ParkSpec())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkStart is what is left on an invoke's way: a parked sandbox is given
// its code and its program. p50-us and p90-us end inside the program.
func BenchmarkStart(b *testing.B) { benchStart(b, false) }

// BenchmarkStartNative has a program without a start of its own.
func BenchmarkStartNative(b *testing.B) { benchStartOf(b, false, native(b)) }

// BenchmarkParkStart has nothing parked.
func BenchmarkParkStart(b *testing.B) { benchStart(b, true) }

// BenchmarkParkStart100MiB is that in a process as large as a lambdad under
// load, which must not matter.
func BenchmarkParkStart100MiB(b *testing.B) {
	ballast := make([]byte, 100<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	benchStart(b, true)
	runtime.KeepAlive(ballast)
}

func benchStart(b *testing.B, parkToo bool) { benchStartOf(b, parkToo, "") }

// native compiles the smallest program that tells the time, and returns its directory.
func native(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	out, err := exec.Command("../../../test/bench/testdata/native/build.sh", filepath.Join(dir, "program")).CombinedOutput()
	if err != nil {
		b.Skipf("%v: %s", err, out)
	}
	return dir
}

// benchStartOf starts the suite's program, or the one in the directory.
func benchStartOf(b *testing.B, parkToo bool, program string) {
	h := benchDriver(b)
	code := b.TempDir()
	var inside samples
	for b.Loop() {
		b.StopTimer()
		var began int64
		if parkToo {
			b.StartTimer()
			began = monotonic()
		}
		s, err := h.Driver.Park(context.Background(), h.ParkSpec())
		if err != nil {
			b.Fatal(err)
		}
		spec := h.StartSpec(stamp)
		spec.CodeDir = code
		if program != "" {
			spec.CodeDir, spec.Argv = program, []string{"/var/task/program"}
		}
		if !parkToo {
			b.StartTimer()
			began = monotonic()
		}
		p, err := s.Start(context.Background(), spec)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		out, err := io.ReadAll(p.Output())
		if err != nil {
			b.Fatal(err)
		}
		at, err := strconv.ParseInt(string(bytes.TrimSpace(out)), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		inside = append(inside, at-began)
		if err := s.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	inside.report(b)
}

// samples are nanoseconds until the program's first statement. Medians: on a
// busy machine a mean tells about the others.
type samples []int64

func (s samples) report(b *testing.B) {
	b.Helper()
	slices.Sort(s)
	b.ReportMetric(float64(s[len(s)/2])/1000, "p50-us")
	b.ReportMetric(float64(s[len(s)*9/10])/1000, "p90-us")
}

// BenchmarkRate16 is whole lives, sixteen at a time.
func BenchmarkRate16(b *testing.B) { benchRate(b, "") }

// BenchmarkRate16Native is that of a program without a start of its own.
func BenchmarkRate16Native(b *testing.B) { benchRate(b, native(b)) }

func benchRate(b *testing.B, program string) {
	h := benchDriver(b)
	began := time.Now()
	var wait sync.WaitGroup
	tokens := make(chan struct{}, b.N)
	for range b.N {
		tokens <- struct{}{}
	}
	close(tokens)
	for range 16 {
		wait.Go(func() {
			for range tokens {
				s, err := h.Driver.Park(context.Background(), h.ParkSpec())
				if err != nil {
					b.Error(err)
					return
				}
				spec := h.StartSpec("exit", "0")
				if program != "" {
					spec.CodeDir, spec.Argv = program, []string{"/var/task/program"}
				}
				p, err := s.Start(context.Background(), spec)
				if err != nil {
					b.Error(err)
					return
				}
				<-p.Done()
				if err := s.Destroy(context.Background()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "sandboxes/s")
}

// BenchmarkPeers runs the same program with the OCI runtimes of the host.
func BenchmarkPeers(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	program := sandboxtest.Build(b, sandboxtest.ProgramPackage)
	for _, name := range []string{"crun", "runc"} {
		b.Run(name, func(b *testing.B) {
			path, err := exec.LookPath(name)
			if err != nil {
				b.Skip(name + " is not installed")
			}
			bundle := ociBundle(b, program)
			var inside samples
			for n := 0; b.Loop(); n++ {
				began := monotonic()
				// crun 1.8 refuses hybrid hosts: hide the unified hierarchy in a
				// mount namespace of its own.
				script := fmt.Sprintf("umount /sys/fs/cgroup/unified 2>/dev/null; exec %s --root %s run --bundle %s lambdad-bench-%d-%d",
					path, filepath.Join(bundle, "state"), bundle, os.Getpid(), n)
				out, err := exec.Command("unshare", "-m", "sh", "-c", script).CombinedOutput()
				if err != nil {
					b.Skipf("%s does not run here: %v: %s", name, err, out)
				}
				at, err := strconv.ParseInt(string(bytes.TrimSpace(out)), 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				inside = append(inside, at-began)
			}
			inside.report(b)
		})
	}
}

func ociBundle(b *testing.B, program string) string {
	b.Helper()
	dir := b.TempDir()
	for _, d := range []string{"rootfs/usr/local/bin", "rootfs/proc", "rootfs/tmp", "rootfs/dev", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	content, err := os.ReadFile(program)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/usr/local/bin/program"), content, 0o755); err != nil {
		b.Fatal(err)
	}
	type m = map[string]any
	config := m{
		"ociVersion": "1.0.2",
		"process": m{"terminal": false, "user": m{"uid": 65534, "gid": 65534}, "args": []string{"/usr/local/bin/program", stamp},
			"env": []string{"GOTRACEBACK=none"}, "cwd": "/", "noNewPrivileges": true},
		"root":     m{"path": "rootfs", "readonly": true},
		"hostname": "sandbox",
		"mounts": []m{{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": []string{"size=16m", "mode=1777"}}},
		"linux": m{"namespaces": []m{{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}},
			"cgroupsPath": fmt.Sprintf("/lambdad-bench-%d", os.Getpid()),
			"resources":   m{"memory": m{"limit": 128 << 20}, "pids": m{"limit": 1024}}},
	}
	content, err = json.Marshal(config)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), content, 0o644); err != nil {
		b.Fatal(err)
	}
	return dir
}

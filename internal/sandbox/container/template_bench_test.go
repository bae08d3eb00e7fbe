package container

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// twoClients loads boto3 and makes two clients.
const twoClients = `
import gc, boto3
clients = boto3.client("s3", region_name="us-east-1"), boto3.resource("dynamodb", region_name="us-east-1")
gc.collect(); gc.freeze()
`

// askAgain waits in the Runtime API, and asks again in a copy.
const askAgain = `
import socket
while True:
    with socket.create_connection(("127.0.0.1", 9001)) as s:
        s.sendall(b"GET /2018-06-01/runtime/restore/next HTTP/1.0\r\n\r\n")
        try: s.recv(1)
        except OSError: pass
`

// bench makes sandboxes with a program, and askAgain behind it.
type bench struct {
	b      testing.TB
	driver *Driver
	mounts []sandbox.Mount
	spec   sandbox.StartSpec
	n      int
}

func newBench(b testing.TB, program string) *bench {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	imports, _, _ := strings.Cut(program, "\nclients")
	out, err := exec.Command("python3", "-c", imports+"\nimport sys; print(sys.prefix); print(sys.executable)").Output()
	if err != nil {
		b.Skip("needs a python3 that has boto3")
	}
	lines := strings.Fields(string(out))
	d, err := New(Options{StateDir: b.TempDir(), Init: sandboxtest.Build(b, sandboxtest.InitPackage)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	code := b.TempDir()
	if err := os.WriteFile(filepath.Join(code, "app.py"), []byte(program+askAgain), 0o644); err != nil {
		b.Fatal(err)
	}
	mounts := []sandbox.Mount{{Source: "/usr", Target: "/usr"}}
	if lines[0] != "/usr" {
		mounts = append(mounts, sandbox.Mount{Source: lines[0], Target: lines[0]})
	}
	return &bench{b: b, driver: d, mounts: mounts, spec: sandbox.StartSpec{
		Argv: []string{lines[1], "/var/task/app.py"}, Env: []string{"HOME=/tmp"}, CodeDir: code, Template: true,
		Limits: sandbox.Limits{MemoryMiB: 512, CPUMilli: 2000, TmpMiB: 512},
	}}
}

func (x *bench) id() sandbox.ID { x.n++; return sandbox.ID(fmt.Sprintf("b%d", x.n)) }

func (x *bench) park() sandbox.Sandbox {
	x.b.Helper()
	s, err := x.driver.Park(context.Background(), sandbox.ParkSpec{ID: x.id(), Rootfs: sandbox.Rootfs{Mounts: x.mounts}})
	if err != nil {
		x.b.Fatal(err)
	}
	return s
}

// start starts in s, and returns when the program asks.
func (x *bench) start(s sandbox.Sandbox) net.Conn {
	x.b.Helper()
	p, err := s.Start(context.Background(), x.spec)
	if err != nil {
		x.b.Fatal(err)
	}
	go io.Copy(os.Stderr, p.Output())
	c, err := s.RuntimeAPI().Accept()
	if err == nil {
		_, err = c.Read(make([]byte, 128))
	}
	if err != nil {
		x.b.Fatal(err)
	}
	return c
}

func (x *bench) template() sandbox.Template {
	x.b.Helper()
	s := x.park()
	x.start(s)
	t, err := x.driver.Template(context.Background(), s)
	if err != nil {
		x.b.Skip(err)
	}
	return t
}

// BenchmarkCopy: from a parked sandbox to a copy that asks for its identity.
func BenchmarkCopy(b *testing.B) {
	x := newBench(b, twoClients)
	t := x.template()
	var park, start, destroy []time.Duration
	for b.Loop() {
		began := time.Now()
		s, err := t.Park(context.Background(), x.id())
		if err != nil {
			b.Fatal(err)
		}
		park, began = append(park, time.Since(began)), time.Now()
		c := x.start(s)
		start, began = append(start, time.Since(began)), time.Now()
		if err := s.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
		destroy = append(destroy, time.Since(began))
		c.Close()
	}
	for name, list := range map[string][]time.Duration{"park": park, "start": start, "destroy": destroy} {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(list[len(list)*9/10].Microseconds()), name+"-p90-us")
	}
}

// BenchmarkUncopied: the same, with the whole of INIT.
func BenchmarkUncopied(b *testing.B) {
	x := newBench(b, twoClients)
	var start []time.Duration
	for b.Loop() {
		s := x.park()
		began := time.Now()
		c := x.start(s)
		start = append(start, time.Since(began))
		if err := s.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	slices.Sort(start)
	b.ReportMetric(float64(start[len(start)/2].Microseconds()), "start-p50-us")
}

// copiesCount is how many BenchmarkCopiesMemory makes.
const copiesCount = 1000

// BenchmarkCopiesMemory: what copies that have asked hold, beside as many programs.
func BenchmarkCopiesMemory(b *testing.B) {
	for _, kind := range []string{"copies", "programs"} {
		count := copiesCount
		if kind == "programs" {
			count = 50 // each is like any other, and all of them would not fit
		}
		b.Run(fmt.Sprintf("%s=%d", kind, count), func(b *testing.B) {
			x := newBench(b, twoClients)
			var t sandbox.Template
			if kind == "copies" {
				t = x.template()
			}
			for b.Loop() {
				var all []sandbox.Sandbox
				pss, private := 0, 0
				began := time.Now()
				for range count {
					var s sandbox.Sandbox
					if t == nil {
						s = x.park()
					} else if made, err := t.Park(context.Background(), x.id()); err != nil {
						b.Fatal(err)
					} else {
						s = made
					}
					x.start(s)
					all = append(all, s)
				}
				b.ReportMetric(time.Since(began).Seconds(), "made-s")
				if t != nil {
					b.ReportMetric(float64(t.MemoryBytes()>>10), "template-KiB")
				}
				for _, s := range all {
					one, own := rollup(b, s)
					pss, private = pss+one, private+own
				}
				b.ReportMetric(float64(pss)/float64(count), "pss-KiB/each")
				b.ReportMetric(float64(private)/float64(count), "private-KiB/each")
				for _, s := range all {
					if err := s.Destroy(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// rollup adds up what the processes of a sandbox hold, in KiB.
func rollup(b *testing.B, s sandbox.Sandbox) (pss, private int) {
	b.Helper()
	var group *box
	switch s := s.(type) {
	case *box:
		group = s
	case *copied:
		group = s.box
	}
	dir, err := group.group.Directory()
	if err != nil || dir == nil {
		b.Skip("needs version 2 of control groups")
	}
	defer dir.Close()
	pids, err := os.ReadFile(filepath.Join(dir.Name(), "cgroup.procs"))
	if err != nil {
		b.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(pids)) {
		text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		if err != nil {
			b.Fatal(err)
		}
		pss += int(statusBytes(string(text), "Pss") >> 10)
		private += int(statusBytes(string(text), "Private_Dirty") >> 10)
	}
	return pss, private
}

package cgroup

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	mountsV1 = `30 23 0:26 / /sys/fs/cgroup ro shared:4 - tmpfs tmpfs ro
32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
35 30 0:32 / /sys/fs/cgroup/memory rw shared:6 - cgroup cgroup rw,memory
36 30 0:33 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
37 30 0:34 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
38 30 0:35 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
`
	mountV2       = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	mountV2Only   = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountNested   = "700 690 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	mountOutside  = "700 690 0:26 /../.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	selfV1        = "5:pids:/\n4:memory:/a/b\n3:freezer:/\n2:cpu,cpuacct:/c\n1:name=systemd:/x\n"
	selfV2        = "0::/user.slice/u.scope\n"
	selfContained = "0::/docker/abc/leaf\n"
	selfAside     = "0::/user.slice/u.scope/" + daemonLeaf + "\n"
)

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		name, mounts, self, version, memory, cpu, v2 string
	}{
		{"v1", mountsV1, selfV1, "v1", "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/cpu,cpuacct/c", ""},
		{"hybrid", mountsV1 + mountV2, selfV1 + "0::/h\n", "hybrid", "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/cpu,cpuacct/c", "/sys/fs/cgroup/unified/h"},
		{"v2", mountV2Only, selfV2, "v2", "", "", "/sys/fs/cgroup/user.slice/u.scope"},
		{"stepped aside before", mountV2Only, selfAside, "v2", "", "", "/sys/fs/cgroup/user.slice/u.scope"},
		{"in a container", mountNested, selfContained, "v2", "", "", "/sys/fs/cgroup/leaf"},
		{"root out of view", mountOutside, "0::/\n", "v2", "", "", "/sys/fs/cgroup"},
		{"none", "", "", "none", "", "", ""},
		{"nonsense", "a b c\n- - -\n1 - cgroup\n", "x\n:\n", "none", "", "", ""},
	} {
		dir := t.TempDir()
		for name, content := range map[string]string{"mountinfo": c.mounts, "self": c.self} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h, err := detect(filepath.Join(dir, "mountinfo"), filepath.Join(dir, "self"))
		if err != nil || h.Version() != c.version || h.V1[memory] != c.memory || h.V1[cpu] != c.cpu || h.V2 != c.v2 {
			t.Errorf("%s: %s %+v, %v", c.name, h.Version(), h, err)
		}
	}
}

// fakeV2 is a directory that has the files of a version-2 group, as far as
// directories can.
func fakeV2(t *testing.T, dir string, files ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// TestVersion2 looks at what is written, where no real hierarchy is at hand.
func TestVersion2(t *testing.T) {
	root := t.TempDir()
	fakeV2(t, root, "cgroup.subtree_control")
	offer(t, root, "cpuset cpu io memory pids")
	fakeV2(t, filepath.Join(root, "node"), "cgroup.subtree_control")
	p, err := OpenParent(Host{V2: root, V2Root: root}, "node")
	if err != nil || len(p.Unenforced()) != 0 || !p.CanFreeze() {
		t.Fatalf("%+v %q, %v", p, p.Unenforced(), err)
	}
	if got := content(t, root, "cgroup.subtree_control"); !strings.Contains(got, "+pids") {
		t.Errorf("subtree_control: %q", got)
	}
	g, err := p.Make("box")
	if err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(root, "node", "box")
	fakeV2(t, box, "memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.freeze", "cgroup.procs")
	if err := g.Limit(Limits{MemoryBytes: 128 << 20, CPUMilli: 72, Processes: 1024}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"memory.max": "134217728", "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "1440 20000", "pids.max": "1024",
	} {
		if got := content(t, box, file); got != want {
			t.Errorf("%s: %q", file, got)
		}
	}
	if err := g.Limit(Limits{CPUMilli: 1}); err != nil || content(t, box, "cpu.max") != "1000 20000" {
		t.Errorf("the least share: %q, %v", content(t, box, "cpu.max"), err)
	}
	for file, text := range map[string]string{
		"memory.current": "10\n", "memory.peak": "20\n", "memory.events": "low 0\noom 2\noom_kill 1\n", "cpu.stat": "usage_usec 1500\nuser_usec 1\n",
		"cgroup.events": "populated 1\nfrozen 1\n",
	} {
		if err := os.WriteFile(filepath.Join(box, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	u, err := g.Usage()
	if err != nil || u.MemoryBytes != 10 || u.MemoryPeakBytes != 20 || u.OOMKills != 1 || u.CPU.Microseconds() != 1500 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := g.Freeze(context.Background()); err != nil || content(t, box, "cgroup.freeze") != "1" {
		t.Error(err)
	}
	if err := g.Thaw(); err != nil || !strings.HasPrefix(content(t, box, "cgroup.freeze"), "0") {
		t.Error(err)
	}
}

// offer says which controllers the children of a fake group can have.
func offer(t *testing.T, dir, controllers string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte(controllers+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPlaces: where most limits can be had wins, and our own group among equals.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name, own, root, place string
		unenforced             []string
	}{
		{"a delegated group", "cpuset cpu io memory pids", "cpuset cpu io memory pids", "own", nil},
		{"a service with fewer controllers", "memory pids", "cpuset cpu io memory pids", ".", nil},
		{"fewer controllers, and the root out of reach", "memory pids", "", "own", []string{"cpu"}},
		{"no controllers", "", "", "own", []string{"memory", "cpu", "processes"}},
	} {
		root := t.TempDir()
		for dir, controllers := range map[string]string{root: c.root, filepath.Join(root, "own"): c.own} {
			fakeV2(t, dir, "cgroup.subtree_control")
			fakeV2(t, filepath.Join(dir, "node"), "cgroup.subtree_control")
			offer(t, dir, controllers)
		}
		p, err := OpenParent(Host{V2: filepath.Join(root, "own"), V2Root: root}, "node")
		if err != nil || p.v2 != filepath.Join(root, c.place, "node") || !slices.Equal(p.Unenforced(), c.unenforced) {
			t.Errorf("%s: %+v, not enforced %q, %v", c.name, p, p.Unenforced(), err)
		}
	}
}

// TestUndelegated: a hierarchy that is not ours costs limits, not the start.
func TestUndelegated(t *testing.T) {
	root := t.TempDir()
	p, err := OpenParent(Host{V2: filepath.Join(root, "absent"), V2Root: filepath.Join(root, "absent")}, "node")
	if err != nil || p.CanFreeze() {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := p.Unenforced(); !slices.Equal(got, []string{"memory", "cpu", "processes"}) {
		t.Errorf("%q", got)
	}
	g, err := p.Make("box")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Limit(Limits{MemoryBytes: 1, CPUMilli: 1, Processes: 1}); err != nil {
		t.Error(err)
	}
	if u, err := g.Usage(); err != nil || u != (Usage{}) {
		t.Errorf("%+v, %v", u, err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// TestReal uses the machine's own hierarchies, version 1 alone too.
func TestReal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	host, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	hosts := map[string]Host{host.Version(): host}
	if host.Version() == "hybrid" {
		hosts["v1"] = Host{V1: host.V1}
	}
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) { real(t, host) })
	}
}

func real(t *testing.T, host Host) {
	p, err := OpenParent(host, "lambdad-test-"+filepath.Base(t.TempDir())+"-"+strings.ReplaceAll(t.Name(), "/", "-"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
	}()
	if !p.CanFreeze() {
		t.Skip("nothing to freeze with")
	}
	g, err := p.Make("box")
	if err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Attach(sleeper.Process.Pid, false); err != nil {
		t.Error(err)
	}
	if err := g.Limit(Limits{MemoryBytes: 64 << 20, CPUMilli: 100, Processes: 10}); err != nil {
		t.Error(err)
	}
	for _, step := range []func() error{
		func() error { return g.Freeze(context.Background()) }, g.Thaw,
		func() error { return g.Freeze(context.Background()) },
	} {
		if err := step(); err != nil {
			t.Error(err)
		}
	}
	orphans, err := p.Orphans()
	if err != nil || len(orphans) != 1 || orphans["box"] == nil {
		t.Errorf("%v, %v", orphans, err)
	}
	// Frozen, it dies all the same.
	done := make(chan error, 1)
	go func() { done <- sleeper.Wait() }()
	if err := g.Kill(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("not killed")
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if orphans, err := p.Orphans(); err != nil || len(orphans) != 0 {
		t.Errorf("%v, %v", orphans, err)
	}
}

package probe

import (
	"context"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// TestHost: every finding says something, and whoever has no remedy needs none.
func TestHost(t *testing.T) {
	init := sandboxtest.Build(t, sandboxtest.InitPackage)
	seen := map[string]Finding{}
	for _, f := range HostWith(context.Background(), Options{Init: init}) {
		t.Logf("%-24s %-9s %s %s", f.Name, f.Status, f.Detail, f.Remedy)
		if f.Name == "" || f.Detail == "" || (f.Status == OK && f.Remedy != "") {
			t.Errorf("%+v", f)
		}
		if _, twice := seen[f.Name]; twice {
			t.Errorf("%s twice", f.Name)
		}
		seen[f.Name] = f
	}
	for _, name := range []string{"kernel", "root", "user namespace", "network namespace", "control groups", "freezer", "favordynmods",
		"overlay", "erofs", "seccomp", "no_new_privs", "internet for functions", "sandbox", "kvm", "criu", "gvisor"} {
		if _, ok := seen[name]; !ok {
			t.Errorf("nothing about %s", name)
		}
	}
	// A host that parks a sandbox has all of its namespaces.
	if seen["sandbox"].Status == OK {
		if _, ok := seen["limits"]; !ok {
			t.Error("nothing about limits")
		}
		for name, f := range seen {
			if strings.HasSuffix(name, "namespace") && f.Status != OK {
				t.Errorf("a sandbox was parked without %s: %s", name, f.Detail)
			}
		}
	}
}

func TestGroupsRemedy(t *testing.T) {
	for _, c := range []struct {
		version string
		uid     int
		systemd bool
		want    string
	}{
		{"v2", 1000, true, "systemd-run --user"},
		{"v2", 1000, false, "user 1000 a group of its own"},
		{"hybrid", 1000, true, "user 1000 a group of its own"}, // systemd delegates version 1 to nobody
		{"v1", 1000, true, "user 1000 a group of its own"},
		{"v2", 0, true, "--privileged"},
	} {
		if got := groupsRemedy(c.version, c.uid, c.systemd); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		unenforced []string
		status     Status
		want       string
	}{
		{nil, OK, "memory, cpu, processes, descriptors and /tmp are enforced"},
		{[]string{"memory", "cpu", "x"}, Degraded, "NOT enforced: memory, cpu, x; enforced: processes, descriptors, the size of /tmp"},
		{[]string{"x"}, Degraded, "NOT enforced: x; enforced: memory, cpu, processes, descriptors, the size of /tmp"},
	} {
		if f := limits(c.unenforced); f.Status != c.status || f.Detail != c.want {
			t.Errorf("%q: %+v", c.unenforced, f)
		}
	}
}

func TestOlderThan(t *testing.T) {
	for _, c := range []struct {
		release string
		want    bool
	}{{"5.11.0", true}, {"5.12.0-rc1", false}, {"6.1.0-18-amd64", false}, {"4.18.0-553.el8", true}, {"odd", false}} {
		if got := olderThan(c.release, kernelMin); got != c.want {
			t.Errorf("%s: %v", c.release, got)
		}
	}
}

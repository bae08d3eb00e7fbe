// Package cgroup limits, meters, freezes and kills the processes of one sandbox
// through the kernel's control groups: version 1, version 2, or both at once
// as hybrid hosts mount them. It writes plain files: of a library's thousands
// of lines a sandbox needs these few, and it needs them fast. It must never
// import the driver: a group knows nothing of what runs in it.
package cgroup

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The controllers that sandboxes use.
const (
	memory  = "memory"
	cpu     = "cpu"
	cpuacct = "cpuacct"
	pids    = "pids"
	freezer = "freezer"
)

var controllers = []string{memory, cpu, cpuacct, pids, freezer}

// Host is where this process stands in the host's hierarchies.
type Host struct {
	// V1 maps a controller to the directory of our own group in its version-1 hierarchy.
	V1 map[string]string
	// V2 is our own group's directory in the unified hierarchy (the one above, if
	// we stepped aside into a leaf of it), V2Root the topmost one we can see; ""
	// if it is not mounted.
	V2, V2Root string
}

// Version tells how the host mounts control groups: "v1", "v2", "hybrid" or "none".
func (h Host) Version() string {
	switch {
	case len(h.V1) > 0 && h.V2 != "":
		return "hybrid"
	case len(h.V1) > 0:
		return "v1"
	case h.V2 != "":
		return "v2"
	default:
		return "none"
	}
}

// Detect reads /proc/self/mountinfo and /proc/self/cgroup.
func Detect() (Host, error) { return detect("/proc/self/mountinfo", "/proc/self/cgroup") }

func detect(mountinfo, self string) (Host, error) {
	own, err := ownPaths(self)
	if err != nil {
		return Host{}, fmt.Errorf("cgroup: %w", err)
	}
	file, err := os.Open(mountinfo)
	if err != nil {
		return Host{}, fmt.Errorf("cgroup: %w", err)
	}
	defer file.Close()
	host := Host{V1: map[string]string{}}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		m, ok := parseMount(lines.Text())
		if !ok {
			continue
		}
		if m.kind == "cgroup2" {
			if host.V2 == "" {
				host.V2, host.V2Root = aboveLeaf(m.directory(own[""])), m.point
			}
			continue
		}
		for _, c := range controllers {
			if _, seen := host.V1[c]; !seen && m.options[c] {
				host.V1[c] = m.directory(own[c])
			}
		}
	}
	return host, nil
}

// ownPaths maps each version-1 controller, and "" for version 2, to our path.
func ownPaths(path string) (map[string]string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(content)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			own[name] = parts[2]
		}
	}
	return own, nil
}

type mount struct {
	root, point, kind string
	options           map[string]bool
}

// parseMount reads one line of mountinfo, if it is a cgroup mount:
// 32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !ok || len(left) < 5 || len(right) < 3 || (right[0] != "cgroup" && right[0] != "cgroup2") {
		return mount{}, false
	}
	m := mount{root: left[3], point: left[4], kind: right[0], options: map[string]bool{}}
	for option := range strings.SplitSeq(right[2], ",") {
		m.options[option] = true
	}
	return m, true
}

// directory is where the group at path shows in this mount. Under a cgroup
// namespace or in a container the mount's root may lie outside our view;
// then the mount point itself is the best we have.
func (m mount) directory(path string) string {
	relative, err := filepath.Rel(m.root, path)
	if err != nil || strings.HasPrefix(relative, "..") {
		return m.point
	}
	return filepath.Join(m.point, relative)
}

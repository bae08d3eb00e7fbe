package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ociRuntime is crun or runc, run by hand on a bundle of our own: the same interpreter,
// the same code, the same kinds of isolation.
type ociRuntime struct {
	name string
	path string
	// skipped says why it cannot run here, "" if it can.
	skipped string
}

func ociRuntimes() []ociRuntime {
	var found []ociRuntime
	for _, name := range []string{"crun", "runc"} {
		r := ociRuntime{name: name}
		if path, err := exec.LookPath(name); err != nil {
			r.skipped = "not installed"
		} else {
			r.path = path
		}
		found = append(found, r)
	}
	return found
}

// bundle writes an OCI bundle whose root is the host's read-only system folders and
// whose code folder is at /var/task.
func bundle(dir, code string, extraMounts, args, env []string) error {
	root := filepath.Join(dir, "rootfs")
	for _, d := range []string{"proc", "dev", "tmp", "usr", "var/task", "sys", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	type mount struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options,omitempty"`
	}
	mounts := []mount{
		{"/proc", "proc", "proc", nil},
		{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "mode=755"}},
		{"/tmp", "tmpfs", "tmpfs", []string{"nosuid", "nodev", "size=512m"}},
		{"/usr", "bind", "/usr", []string{"rbind", "ro"}},
		{"/var/task", "bind", code, []string{"rbind", "ro"}},
	}
	for _, l := range []string{"bin", "lib", "lib64", "sbin"} {
		target, err := os.Readlink("/" + l)
		if err == nil {
			os.Remove(filepath.Join(root, l))
			if err := os.Symlink(target, filepath.Join(root, l)); err != nil {
				return err
			}
		}
	}
	for _, m := range extraMounts {
		if err := os.MkdirAll(filepath.Join(root, m), 0o755); err != nil {
			return err
		}
		mounts = append(mounts, mount{m, "bind", m, []string{"rbind", "ro"}})
	}
	namespaces := []map[string]string{}
	for _, n := range []string{"pid", "network", "ipc", "uts", "mount"} {
		namespaces = append(namespaces, map[string]string{"type": n})
	}
	spec := map[string]any{
		"ociVersion": "1.0.2",
		"process": map[string]any{"terminal": false, "user": map[string]int{"uid": 65534, "gid": 65534}, "args": args,
			"env": append([]string{"PATH=/usr/bin:/bin"}, env...), "cwd": "/var/task", "noNewPrivileges": true,
			"capabilities": map[string][]string{"bounding": {}, "effective": {}, "permitted": {}}},
		"root":     map[string]any{"path": "rootfs", "readonly": true},
		"hostname": "peer",
		"mounts":   mounts,
		"linux":    map[string]any{"namespaces": namespaces, "resources": map[string]any{"memory": map[string]int64{"limit": 512 << 20}, "pids": map[string]int64{"limit": 1024}}},
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
}

// runBundle runs one container to its end and returns how long that took.
func (r ociRuntime) runBundle(ctx context.Context, dir, id string) (time.Duration, error) {
	// crun of Debian 12 refuses a hybrid hierarchy: hide the empty cgroup2 from it, in a mount
	// namespace of its own, made outside of the measured time.
	start := time.Now()
	cmd := exec.CommandContext(ctx, r.path, "run", "--bundle", dir, id)
	if hybrid() {
		script := `umount /sys/fs/cgroup/unified 2>/dev/null; s=$(date +%s%N); "$0" run --bundle "$1" "$2" >/dev/null; c=$?; e=$(date +%s%N); echo $((e-s)); exit $c`
		cmd = exec.CommandContext(ctx, "unshare", "-m", "sh", "-c", script, r.path, dir, id)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s run: %w: %s", r.name, err, errs.String())
	}
	took := time.Since(start)
	if hybrid() {
		var ns int64
		if _, err := fmt.Sscan(strings.TrimSpace(string(out)), &ns); err != nil {
			return 0, fmt.Errorf("%s run: read its time: %w", r.name, err)
		}
		took = time.Duration(ns)
	}
	return took, nil
}

func hybrid() bool {
	_, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers")
	return err == nil
}

package gvisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

const (
	// rootKiB and rootInodes bound what a bench holds: empty directories, mount
	// points, a few short files.
	rootKiB    = 1024
	rootInodes = 4096
)

// capabilities of process 1 inside. All are of gVisor's kernel; it gives them
// up before the program starts.
var capabilities = []string{"CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_KILL"}

// The parts of an OCI bundle's config.json that are used.
// Source: OCI runtime specification 1.2, config.md.
type bundle struct {
	Version  string        `json:"ociVersion"`
	Hostname string        `json:"hostname"`
	Process  bundleProcess `json:"process"`
	Root     bundleRoot    `json:"root"`
	Mounts   []bundleMount `json:"mounts"`
	Linux    bundleLinux   `json:"linux"`
}

type bundleProcess struct {
	User struct {
		UID int `json:"uid"`
		GID int `json:"gid"`
	} `json:"user"`
	Args            []string            `json:"args"`
	Env             []string            `json:"env"`
	Cwd             string              `json:"cwd"`
	Capabilities    map[string][]string `json:"capabilities"`
	Rlimits         []bundleRlimit      `json:"rlimits"`
	NoNewPrivileges bool                `json:"noNewPrivileges"`
}

type bundleRlimit struct {
	Type string `json:"type"`
	Hard uint64 `json:"hard"`
	Soft uint64 `json:"soft"`
}

type bundleRoot struct {
	Path     string `json:"path"`
	Readonly bool   `json:"readonly"`
}

type bundleMount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Options     []string `json:"options"`
}

type bundleLinux struct {
	Namespaces []bundleNamespace `json:"namespaces"`
}

type bundleNamespace struct {
	Type string `json:"type"`
	Path string `json:"path,omitempty"`
}

func newBundle(root, shelf, netns string) bundle {
	b := bundle{
		Version:  "1.2.0",
		Hostname: isolate.Hostname,
		Process: bundleProcess{
			Args: []string{filepath.Join(inside.Shelf, inside.Name)},
			// One thread less to collect: process 1 hardly makes garbage.
			Env:          []string{"GOMAXPROCS=1", "GOTRACEBACK=none"},
			Cwd:          "/",
			Capabilities: map[string][]string{"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
			Rlimits: []bundleRlimit{
				{"RLIMIT_NOFILE", sandbox.DescriptorsMax, sandbox.DescriptorsMax},
				{"RLIMIT_NPROC", sandbox.ProcessesMax, sandbox.ProcessesMax},
				{"RLIMIT_CORE", 0, 0},
			},
			NoNewPrivileges: true,
		},
		Root: bundleRoot{Path: root, Readonly: true},
		Mounts: []bundleMount{
			{"/proc", "proc", "proc", []string{"nosuid", "nodev", "noexec"}},
			{"/dev", "tmpfs", "tmpfs", []string{"nosuid", "mode=755"}},
			{inside.Shelf, "bind", shelf, []string{"rbind", "rw", "rslave"}},
		},
	}
	for _, kind := range []string{"pid", "mount", "ipc", "uts"} {
		b.Linux.Namespaces = append(b.Linux.Namespaces, bundleNamespace{Type: kind})
	}
	b.Linux.Namespaces = append(b.Linux.Namespaces, bundleNamespace{Type: "network", Path: netns})
	return b
}

func (b bundle) encode() ([]byte, error) {
	content, err := json.MarshalIndent(b, "", " ")
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return content, nil
}

// furnish makes the directories and files of a root. A base's own directories
// are kept; the files say who the program is, and replace the base's.
func furnish(root *os.Root, rootfs sandbox.Rootfs) error {
	for _, dir := range append(isolate.Directories(), "/sys", inside.Shelf) {
		if err := root.MkdirAll(dir[1:], 0o755); err != nil {
			return err
		}
	}
	for _, f := range isolate.Files(rootfs) {
		name := f.Path[1:]
		if rootfs.Base != "" {
			if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		var err error
		if f.Link {
			err = root.Symlink(f.Content, name)
		} else {
			err = root.WriteFile(name, []byte(f.Content), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

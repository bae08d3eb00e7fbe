package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Parent holds the groups of one node, and nothing else: whatever lies in it
// at start-up is an orphan of an earlier process.
type Parent struct {
	v1 map[string]string // controller -> directory
	v2 string            // "" if not usable
	// v2Controllers are those that v2 limits with; the others are v1's.
	v2Controllers map[string]bool
}

// idle is a version-1 group that stays frozen for ever. While one is, thawing
// another takes 10-30 us in place of 150: the kernel keeps its freezer switched on.
const idle = "idle.frozen"

// OpenParent makes (or finds again) the groups called name. A hierarchy that
// this process may not write is left out; Unenforced tells what that costs.
func OpenParent(host Host, name string) (*Parent, error) {
	p := &Parent{v1: map[string]string{}, v2Controllers: map[string]bool{}}
	for controller, own := range host.V1 {
		dir := filepath.Join(own, name)
		if err := makeDir(dir); err != nil {
			if notOurs(err) {
				continue
			}
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		p.v1[controller] = dir
	}
	if err := p.openV2(host, name); err != nil {
		return nil, err
	}
	if dir, ok := p.v1[freezer]; ok && p.v2 == "" {
		if err := makeDir(filepath.Join(dir, idle)); err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		if err := write(filepath.Join(dir, idle), "freezer.state", "FROZEN"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Unenforced names the limits that this host gives us no means to enforce.
func (p *Parent) Unenforced() []string {
	var names []string
	for _, c := range []struct{ controller, limit string }{{memory, "memory"}, {cpu, "cpu"}, {pids, "processes"}} {
		if _, ok := p.v1[c.controller]; !ok && !p.v2Controllers[c.controller] {
			names = append(names, c.limit)
		}
	}
	return names
}

// CanFreeze tells whether groups can be frozen at all.
func (p *Parent) CanFreeze() bool { return p.v2 != "" || p.v1[freezer] != "" }

// Make creates the group of one sandbox.
func (p *Parent) Make(id string) (*Group, error) {
	g := p.group(id)
	for _, dir := range g.dirs() {
		if err := makeDir(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("cgroup: %w", err), g.Remove())
		}
	}
	return g, nil
}

func (p *Parent) group(id string) *Group {
	g := &Group{v1: map[string]string{}, v2Controllers: p.v2Controllers}
	for controller, dir := range p.v1 {
		g.v1[controller] = filepath.Join(dir, id)
	}
	if p.v2 != "" {
		g.v2 = filepath.Join(p.v2, id)
	}
	return g
}

// Orphans returns the groups that are there now.
func (p *Parent) Orphans() (map[string]*Group, error) {
	found := map[string]*Group{}
	for _, dir := range p.dirs() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && e.Name() != idle && found[e.Name()] == nil {
				found[e.Name()] = p.group(e.Name())
			}
		}
	}
	return found, nil
}

// Remove takes the node's own groups away; they must be empty.
func (p *Parent) Remove() error {
	var errs []error
	if dir, ok := p.v1[freezer]; ok {
		errs = append(errs, removeDir(filepath.Join(dir, idle)))
	}
	for _, dir := range p.dirs() {
		errs = append(errs, removeDir(dir))
	}
	return errors.Join(errs...)
}

func (p *Parent) dirs() []string {
	var dirs []string
	for _, dir := range p.v1 {
		dirs = append(dirs, dir)
	}
	if p.v2 != "" {
		dirs = append(dirs, p.v2)
	}
	return dirs
}

func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// notOurs tells errors that mean "this hierarchy is not delegated to us".
func notOurs(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrNotExist)
}

// write avoids os.OpenFile, which asks the kernel more about a file than its one
// write costs: a sandbox's life has thirty of them.
func write(dir, file, value string) error {
	path := filepath.Join(dir, file)
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "cgroup: open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Write(fd, []byte(value))
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return &fs.PathError{Op: "cgroup: write", Path: path, Err: err}
	}
	return nil
}

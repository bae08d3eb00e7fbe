package runtimes

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Added runtimes lie in the catalog's directory:
//
//	NAME-ARCH.json      an Installed; written by one rename, so it is old or new
//	trees/ID/rootfs/    the root filesystem that it names
//	trees/ID/lock       held shared by each process that gave the tree to sandboxes
//	staging/            work in progress
//
// A tree is deleted when no manifest names it, an earlier one (earlier.go) included, and nobody holds its lock. So a runtime can be
// replaced under a running server, which goes on with the old tree until its sandboxes end.

// manifestBytesMax bounds a manifest.
const manifestBytesMax = 64 << 10

// Installed is a runtime that was added.
type Installed struct {
	Identifier   string
	Architecture string
	Version      string
	Interpreter  string `json:",omitempty"`
	Env          []string
	Source       string // what it was made from, for people
	Digest       string // of the image manifest, or "" for a bootstrap
	Tree         string // its directory's name
	Bytes        int64  // unpacked
	Added        time.Time
}

func (c *Catalog) manifestFile(identifier, architecture string) string {
	return filepath.Join(c.dir, identifier+"-"+architecture+".json")
}

func (c *Catalog) rootfs(tree string) string { return filepath.Join(c.dir, "trees", tree, "rootfs") }

// resolveInstalled reads the manifest each time: another process may have added one.
func (c *Catalog) resolveInstalled(spec Spec, architecture string) (rt Runtime, ok bool, err error) {
	in, err := readManifest(c.manifestFile(spec.Identifier, architecture))
	if errors.Is(err, os.ErrNotExist) {
		return Runtime{}, false, nil
	}
	if err == nil {
		err = c.hold(in.Tree)
	}
	if err != nil {
		return Runtime{}, false, fmt.Errorf("%w: the added %s is damaged: run `lambdad runtime add %s` again: %w", ErrNoRuntime, spec.Identifier, spec.Identifier, err)
	}
	in.Architecture = architecture
	return c.installed(spec, in), true, nil
}

func (c *Catalog) installed(spec Spec, in Installed) Runtime {
	return Runtime{
		Identifier: spec.Identifier, Architecture: in.Architecture, Language: spec.Language, Version: in.Version,
		Origin: OriginInstalled, Rootfs: Rootfs{Base: c.rootfs(in.Tree)}, Interpreter: in.Interpreter, Env: in.Env,
		build: in.Digest + in.Tree,
	}
}

// VersionID is that of the runtime that functions get of it.
func (c *Catalog) VersionID(in Installed) string {
	spec, _ := Lookup(in.Identifier)
	return c.installed(spec, in).VersionID()
}

// hold keeps a tree from being deleted until this catalog is closed.
func (c *Catalog) hold(tree string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trees[tree] != nil {
		_, err := os.Stat(c.rootfs(tree))
		return err
	}
	f, err := os.Open(filepath.Join(c.dir, "trees", tree, "lock"))
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("it is being removed: %w", err)
	}
	if _, err := os.Stat(c.rootfs(tree)); err != nil {
		f.Close()
		return err
	}
	c.trees[tree] = f
	return nil
}

// List names what was added, in the order of the identifiers.
func (c *Catalog) List() ([]Installed, error) {
	files, err := filepath.Glob(filepath.Join(c.dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("runtimes: list: %w", err)
	}
	var all []Installed
	for _, f := range files {
		in, err := readManifest(f)
		if err != nil {
			return nil, fmt.Errorf("runtimes: list: %w", err)
		}
		all = append(all, in)
	}
	slices.SortFunc(all, func(a, b Installed) int {
		return strings.Compare(a.Identifier+a.Architecture, b.Identifier+b.Architecture)
	})
	return all, nil
}

// Remove takes an added runtime away, with what it was before. Sandboxes that run on it keep its files until they end.
func (c *Catalog) Remove(identifier, architecture string) error {
	if _, ok := Lookup(identifier); !ok {
		return fmt.Errorf("%w: %q", ErrUnknown, short(identifier))
	}
	unlock, err := c.change()
	if err != nil {
		return err
	}
	defer unlock()
	earlier, err := c.Earlier(identifier, architecture)
	if err != nil {
		return err
	}
	err = os.Remove(c.manifestFile(identifier, orHost(architecture)))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s for %s was not added", ErrNoRuntime, identifier, orHost(architecture))
	}
	if err == nil {
		err = c.forgetEarlier(earlier)
	}
	if err != nil {
		return fmt.Errorf("runtimes: remove: %w", err)
	}
	return c.prune()
}

// change keeps other processes from adding or removing at the same time, and clears what
// one that was killed left behind.
func (c *Catalog) change() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(c.dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("runtimes: another `lambdad runtime` is at work: %w", err)
	}
	if err := os.RemoveAll(c.staging()); err != nil {
		f.Close()
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	return func() { f.Close() }, nil
}

func (c *Catalog) staging() string { return filepath.Join(c.dir, "staging") }

// prune deletes trees that nobody names and nobody uses.
func (c *Catalog) prune() error {
	installed, err := c.List()
	if err != nil {
		return err
	}
	kept, err := c.keptTrees()
	if err != nil {
		return fmt.Errorf("runtimes: prune: %w", err)
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, "trees"))
	if err != nil {
		return fmt.Errorf("runtimes: prune: %w", err)
	}
	var failed []error
	for _, e := range entries {
		if kept[e.Name()] || slices.ContainsFunc(installed, func(in Installed) bool { return in.Tree == e.Name() }) {
			continue
		}
		if err := pruneTree(filepath.Join(c.dir, "trees", e.Name())); err != nil {
			failed = append(failed, fmt.Errorf("runtimes: prune: %w", err))
		}
	}
	return errors.Join(failed...)
}

func pruneTree(dir string) error {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err == nil {
		defer lock.Close()
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return nil // in use
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}

func readManifest(name string) (Installed, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Installed{}, err
	}
	if info.Size() > manifestBytesMax {
		return Installed{}, fmt.Errorf("%s is too large", name)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return Installed{}, err
	}
	var in Installed
	if err := json.Unmarshal(raw, &in); err != nil {
		return Installed{}, fmt.Errorf("%s: %w", name, err)
	}
	if in.Tree == "" || filepath.Base(in.Tree) != in.Tree {
		return Installed{}, fmt.Errorf("%s names no tree", name)
	}
	return in, nil
}

func orHost(architecture string) string {
	if architecture == "" {
		return HostArchitecture()
	}
	return architecture
}

package runtimes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// What an added runtime was before it was added again stays beside it, for functions that are held to a
// version:
//
//	earlier/NAME-ARCH-TREE.json   the Installed that it was
//
// earlierMax bounds them for each identifier; the oldest goes first.
const earlierMax = 8

func (c *Catalog) earlierDir() string { return filepath.Join(c.dir, "earlier") }

func (c *Catalog) earlierFile(in Installed) string {
	return filepath.Join(c.earlierDir(), in.Identifier+"-"+in.Architecture+"-"+in.Tree+".json")
}

// ResolveVersion finds the build of a runtime with a version id: the one that functions get now, or an earlier
// one that was added and is still here.
func (c *Catalog) ResolveVersion(ctx context.Context, identifier, architecture, versionID string) (Runtime, error) {
	now, err := c.Resolve(ctx, identifier, architecture)
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrWrongArchitecture) || ctx.Err() != nil {
		return Runtime{}, err
	}
	if err == nil && now.VersionID() == versionID {
		return now, nil
	}
	earlier, err := c.Earlier(identifier, architecture)
	if err != nil {
		return Runtime{}, err
	}
	spec, _ := Lookup(identifier)
	for _, in := range earlier {
		rt := c.installed(spec, in)
		if rt.VersionID() != versionID {
			continue
		}
		if err := c.hold(in.Tree); err != nil {
			return Runtime{}, fmt.Errorf("%w: this version of %s is damaged: %w", ErrNoRuntime, identifier, err)
		}
		return rt, nil
	}
	return Runtime{}, fmt.Errorf("%w: the version of %s that the function is held to is not on this machine any more: change its runtime management", ErrNoRuntime, identifier)
}

// Earlier names what was added before what functions get now, the newest first.
func (c *Catalog) Earlier(identifier, architecture string) ([]Installed, error) {
	files, err := filepath.Glob(filepath.Join(c.earlierDir(), identifier+"-"+orHost(architecture)+"-*.json"))
	if err != nil {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	current, err := readManifest(c.manifestFile(identifier, orHost(architecture)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	var all []Installed
	for _, f := range files {
		in, err := readManifest(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed this moment
		}
		if err != nil {
			return nil, fmt.Errorf("runtimes: %w", err)
		}
		if in.Tree != current.Tree { // killed between the two steps of keep
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b Installed) int { return b.Added.Compare(a.Added) })
	return all, nil
}

// keep leaves what a runtime is beside what it becomes. Only what was published can be kept, so a kill in
// between loses nothing.
func (c *Catalog) keep(identifier, architecture string) error {
	manifest := c.manifestFile(identifier, architecture)
	in, err := readManifest(manifest)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.earlierDir(), 0o700); err != nil {
		return err
	}
	if err := os.Link(manifest, c.earlierFile(in)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := syncDir(c.earlierDir()); err != nil {
		return err
	}
	all, err := c.Earlier(identifier, architecture) // without the one that is linked now
	if err != nil || len(all) < earlierMax {
		return err
	}
	return c.forgetEarlier(all[earlierMax-1:])
}

func (c *Catalog) forgetEarlier(all []Installed) error {
	for _, in := range all {
		if err := os.Remove(c.earlierFile(in)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// RemoveEarlier takes away what a runtime was before; functions that are held to one of these do not run any more.
func (c *Catalog) RemoveEarlier(identifier, architecture string) (removed int, err error) {
	if _, ok := Lookup(identifier); !ok {
		return 0, fmt.Errorf("%w: %q", ErrUnknown, short(identifier))
	}
	unlock, err := c.change()
	if err != nil {
		return 0, err
	}
	defer unlock()
	all, err := c.Earlier(identifier, architecture)
	if err != nil {
		return 0, err
	}
	if err := c.forgetEarlier(all); err != nil {
		return 0, fmt.Errorf("runtimes: remove: %w", err)
	}
	return len(all), c.prune()
}

// keptTrees are those of all earlier builds.
func (c *Catalog) keptTrees() (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(c.earlierDir(), "*.json"))
	if err != nil {
		return nil, err
	}
	kept := map[string]bool{}
	for _, f := range files {
		in, err := readManifest(f)
		if err != nil {
			return nil, err
		}
		kept[in.Tree] = true
	}
	return kept, nil
}

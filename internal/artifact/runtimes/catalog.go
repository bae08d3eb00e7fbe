package runtimes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Options of a Catalog.
type Options struct {
	// Dir is where added runtimes live, DATA/runtimes.
	Dir string
	// Nearest lets the host's nearest version of a language stand in for the one asked for.
	Nearest bool
	// NoHost leaves the host's own interpreters alone; only added runtimes are used.
	NoHost bool
	// Search names further interpreters, or directories of them, tried before PATH and the usual places.
	Search []string
	// SearchOnly looks at nothing but Search.
	SearchOnly bool
}

// Catalog knows which runtime an identifier gets on this machine. Its methods may be
// called concurrently.
type Catalog struct {
	dir     string
	nearest bool
	noHost  bool
	search  search

	probing    chan struct{}  // one token while the host is searched
	baseMounts func() []Mount // of the host, for OS-only runtimes

	mu       sync.Mutex
	searched bool
	found    []interpreter
	resolved map[string]Runtime // of the host, by executable
	trees    map[string]*os.File
}

// Open makes dir if it is not there. The host is searched for interpreters at the
// first need of one, which takes about a second.
func Open(o Options) (*Catalog, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("runtimes: open: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "trees"), 0o700); err != nil {
		return nil, fmt.Errorf("runtimes: open: %w", err)
	}
	return &Catalog{
		dir: dir, nearest: o.Nearest, noHost: o.NoHost, search: hostSearch(o.Search, o.SearchOnly),
		probing:    make(chan struct{}, 1),
		baseMounts: sync.OnceValue(func() []Mount { return newHostMounts().sorted() }),
		resolved:   map[string]Runtime{},
		trees:      map[string]*os.File{},
	}, nil
}

// Close lets go of the added runtimes that were resolved. No sandbox may use one any more.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.trees {
		f.Close()
	}
	clear(c.trees)
	return nil
}

// Resolve finds the runtime for an identifier: an added one, or else the host's interpreter of
// that version, or else, if allowed, of the nearest. It is ErrUnknown or ErrNoRuntime otherwise.
func (c *Catalog) Resolve(ctx context.Context, identifier, architecture string) (Runtime, error) {
	spec, ok := Lookup(identifier)
	if !ok {
		return Runtime{}, fmt.Errorf("%w: %q", ErrUnknown, short(identifier))
	}
	if architecture != HostArchitecture() {
		return Runtime{}, fmt.Errorf("%w: %w: this machine is %s, the function wants %q: set the function's Architectures to [%s] or run it on another machine",
			ErrNoRuntime, ErrWrongArchitecture, HostArchitecture(), short(architecture), HostArchitecture())
	}
	if rt, ok, err := c.resolveInstalled(spec, architecture); ok || err != nil {
		return rt, err
	}
	if c.noHost {
		return Runtime{}, fmt.Errorf("%w: %s is not added and the host's own interpreters are not used: run `lambdad runtime add %s`", ErrNoRuntime, identifier, identifier)
	}
	if spec.Language == Provided {
		return c.resolveProvided(spec), nil
	}
	if _, ok := programFor(spec.Language); !ok {
		return Runtime{}, fmt.Errorf("%w: %s runs only from an image that brings its own runtime client: run `lambdad runtime add %s --image REFERENCE`", ErrNoRuntime, identifier, identifier)
	}
	return c.resolveHost(ctx, spec)
}

// resolveProvided gives OS-only runtimes the host's shell and libraries.
func (c *Catalog) resolveProvided(spec Spec) Runtime {
	return Runtime{
		Identifier: spec.Identifier, Architecture: HostArchitecture(), Language: spec.Language,
		Origin: OriginHost, Rootfs: Rootfs{Mounts: slices.Clone(c.baseMounts())}, build: osBuild(),
	}
}

func (c *Catalog) resolveHost(ctx context.Context, spec Spec) (Runtime, error) {
	found, err := c.interpreters(ctx)
	if err != nil {
		return Runtime{}, err
	}
	in, ok := choose(found, spec, c.nearest)
	if ok && !in.current() { // replaced by an upgrade since
		c.forget()
		if found, err = c.interpreters(ctx); err != nil {
			return Runtime{}, err
		}
		in, ok = choose(found, spec, c.nearest)
	}
	if !ok {
		return Runtime{}, noRuntime(spec, found)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := spec.Identifier + "\x00" + in.executable + "\x00" + in.stamp
	if rt, ok := c.resolved[key]; ok {
		return rt, nil
	}
	rt := hostRuntime(spec, in)
	c.resolved[key] = rt
	return rt, nil
}

func hostRuntime(spec Spec, in interpreter) Runtime {
	mounts, missing := mountsOf(in)
	rt := Runtime{
		Identifier: spec.Identifier, Architecture: HostArchitecture(), Language: spec.Language, Version: in.version,
		Origin: OriginHost, Rootfs: Rootfs{Mounts: mounts}, Interpreter: in.executable, build: in.stamp,
	}
	if !spec.fits(in.version) {
		rt.Origin = OriginNearest
		rt.Note = fmt.Sprintf("%s is not on this machine; the function runs on %s %s, the nearest version found (`lambdad runtime add %s` adds the right one)",
			spec.Identifier, spec.Language, in.version, spec.Identifier)
	}
	if note := missingNote(missing); note != "" {
		rt.Note = strings.TrimPrefix(rt.Note+"; "+note, "; ")
	}
	return rt
}

// choose takes the first exact version (interpreters come in order of preference), or
// the nearest.
func choose(found []interpreter, spec Spec, nearest bool) (interpreter, bool) {
	var best interpreter
	for _, in := range found {
		switch {
		case in.language != spec.Language:
		case spec.fits(in.version):
			return in, true
		case nearest && (best.version == "" || spec.distance(in.version) < spec.distance(best.version)):
			best = in
		}
	}
	return best, best.version != ""
}

func noRuntime(spec Spec, found []interpreter) error {
	var others []string
	for _, in := range found {
		if in.language == spec.Language && !slices.Contains(others, in.version) {
			others = append(others, in.version)
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("%w: this machine has no %s %s: run `lambdad runtime add %s`", ErrNoRuntime, spec.Language, spec.Version, spec.Identifier)
	}
	return fmt.Errorf("%w: this machine has %s %s, not %s: run `lambdad runtime add %s`, or start lambdad with --runtimes=nearest",
		ErrNoRuntime, spec.Language, strings.Join(others, ", "), spec.Version, spec.Identifier)
}

// interpreters searches the host once, however many ask.
func (c *Catalog) interpreters(ctx context.Context) ([]interpreter, error) {
	if found, ok := c.remembered(); ok {
		return found, nil
	}
	select {
	case c.probing <- struct{}{}:
		defer func() { <-c.probing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if found, ok := c.remembered(); ok {
		return found, nil
	}
	found := c.search.find(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err // what was found in the meantime is not all there is
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found, c.searched = found, true
	return found, nil
}

func (c *Catalog) remembered() ([]interpreter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found, c.searched
}

func (c *Catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.searched = false
}

// Finding is what an identifier gets on this machine, for doctor.
type Finding struct {
	Identifier  string
	Phase       Phase
	Origin      Origin // "" if there is nothing
	Version     string
	Interpreter string
	Note        string // what to say or to do about it
}

// Report tells for each identifier that a function can be created with.
func (c *Catalog) Report(ctx context.Context) ([]Finding, error) {
	var all []Finding
	for _, spec := range Specs() {
		if spec.Phase == Refused {
			continue
		}
		rt, err := c.Resolve(ctx, spec.Identifier, HostArchitecture())
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f := Finding{Identifier: spec.Identifier, Phase: spec.Phase, Origin: rt.Origin, Version: rt.Version, Interpreter: rt.Interpreter, Note: rt.Note}
		if err != nil {
			f.Note = err.Error()
		}
		all = append(all, f)
	}
	return all, nil
}

// osBuild changes when the distribution is upgraded.
func osBuild() string {
	raw, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	return string(raw)
}

// short keeps what a caller sent short in errors.
func short(s string) string { return s[:min(len(s), 64)] }

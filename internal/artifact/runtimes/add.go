package runtimes

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// AddOptions say what to add and from where: from exactly one of Layout, Image and Bootstrap.
type AddOptions struct {
	Identifier   string // e.g. "python3.13"
	Architecture string // "" is the host's
	// Layout is the directory of an OCI image layout.
	Layout string
	// Image is a reference in a registry, PlainHTTP allows one without TLS.
	Image     string
	PlainHTTP bool
	// Bootstrap installs a Debian release's packages.
	Bootstrap *Bootstrap
}

// Add makes a root filesystem, checks that it holds the runtime that it is to be called, and puts
// it in the place of an earlier one. Functions get it from their next environment on.
func (c *Catalog) Add(ctx context.Context, o AddOptions, progress Progress) (Installed, error) {
	spec, ok := Lookup(o.Identifier)
	if !ok {
		return Installed{}, fmt.Errorf("%w: %q", ErrUnknown, short(o.Identifier))
	}
	if progress == nil {
		progress = func(string, int64, int64) {}
	}
	arch := orHost(o.Architecture)
	if arch != HostArchitecture() {
		return Installed{}, fmt.Errorf("%w: this machine is %s, not %s", ErrWrongArchitecture, HostArchitecture(), short(arch))
	}
	if err := o.oneSource(); err != nil {
		return Installed{}, err
	}
	unlock, err := c.change()
	if err != nil {
		return Installed{}, err
	}
	defer unlock()
	defer os.RemoveAll(c.staging())

	in := Installed{Identifier: spec.Identifier, Architecture: arch, Tree: strings.ToLower(rand.Text()), Added: time.Now().UTC()}
	work := filepath.Join(c.staging(), in.Tree)
	if err := c.build(ctx, o, spec, work, &in, progress); err != nil {
		return Installed{}, err
	}
	progress("write to disk", 0, 0)
	if err := c.publish(work, in); err != nil {
		return Installed{}, fmt.Errorf("runtimes: add: %w", err)
	}
	return in, c.prune()
}

func (o AddOptions) oneSource() error {
	n := 0
	for _, given := range []bool{o.Layout != "", o.Image != "", o.Bootstrap != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("runtimes: add: name exactly one source: an image layout directory, an image in a registry, or a Debian bootstrap")
	}
	return nil
}

// build fills work/rootfs and in.
func (c *Catalog) build(ctx context.Context, o AddOptions, spec Spec, work string, in *Installed, progress Progress) error {
	rootfs := filepath.Join(work, "rootfs")
	if err := os.MkdirAll(rootfs, 0o755); err != nil {
		return fmt.Errorf("runtimes: add: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, "lock"), nil, 0o600); err != nil {
		return fmt.Errorf("runtimes: add: %w", err)
	}
	var image v1.Image
	var err error
	switch {
	case o.Layout != "":
		in.Source = "layout " + o.Layout
		image, err = fromLayout(o.Layout, "", in.Architecture)
	case o.Image != "":
		in.Source = "image " + o.Image
		progress("ask the registry", 0, 0)
		image, err = fromRegistry(ctx, o.Image, in.Architecture, o.PlainHTTP)
	default:
		in.Source, err = o.Bootstrap.run(ctx, spec, rootfs, progress)
	}
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return fmt.Errorf("runtimes: add: %w", err)
	}
	defer root.Close()
	t := newTree(root)
	var env []string
	if image != nil {
		digest, err := image.Digest()
		if err != nil {
			return fmt.Errorf("runtimes: add: %w", err)
		}
		in.Digest = digest.String()
		config, err := t.unpackImage(ctx, image, in.Architecture, progress)
		if err != nil {
			return fmt.Errorf("runtimes: add %s: %w", in.Identifier, err)
		}
		env = config.Config.Env
	}
	if o.Bootstrap != nil {
		if t.bytes, err = sizeOf(root); err != nil {
			return fmt.Errorf("runtimes: add: %w", err)
		}
	}
	found, err := t.identify(spec, in.Architecture, env)
	if err != nil {
		return fmt.Errorf("runtimes: add %s: %w", in.Identifier, err)
	}
	if err := t.furnish(); err != nil {
		return fmt.Errorf("runtimes: add %s: %w", in.Identifier, err)
	}
	in.Interpreter, in.Version, in.Env, in.Bytes = found.interpreter, found.version, keptEnv(env), t.bytes
	return nil
}

// sizeOf adds up the files of a tree that a tool made.
func sizeOf(root *os.Root) (bytes int64, err error) {
	err = fs.WalkDir(root.FS(), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

// keptEnv is what of an image's environment its programs need to find their own files. PATH and
// the rest are the function's, as AWS documents them.
func keptEnv(env []string) (kept []string) {
	for _, name := range []string{"LD_LIBRARY_PATH", "JAVA_HOME", "GEM_HOME", "GEM_PATH", "PYTHONHOME", "DOTNET_ROOT", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v := envValue(env, name); v != "" {
			kept = append(kept, name+"="+v)
		}
	}
	return kept
}

// publish makes the tree durable, and then by one rename the answer to who asks for it.
func (c *Catalog) publish(work string, in Installed) error {
	dir, err := os.Open(work)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(dir.Fd()))
	dir.Close()
	if err != nil {
		return err
	}
	if err := os.Rename(work, filepath.Join(c.dir, "trees", in.Tree)); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		return err
	}
	draft := filepath.Join(c.staging(), "manifest")
	if err := writeSynced(draft, append(raw, '\n')); err != nil {
		return err
	}
	if err := c.keep(in.Identifier, in.Architecture); err != nil {
		return err
	}
	if err := os.Rename(draft, c.manifestFile(in.Identifier, in.Architecture)); err != nil {
		return err
	}
	return syncDir(c.dir)
}

func writeSynced(name string, raw []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func syncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

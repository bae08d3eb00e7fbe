// Package kernel owns the guest's kernel: it fetches a distribution's own
// through the machine's package manager, unpacks it, and puts the modules in the
// order in which they load. It must never import the driver, or fetch from
// anywhere else: the package manager knows whom to trust.
package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// prepareMax bounds the fetch.
const prepareMax = 10 * time.Minute

// ErrMissing means that no kernel was prepared.
var ErrMissing = errors.New("kernel: none is prepared; run: lambdad microvm prepare")

// Kernel is one that was prepared.
type Kernel struct {
	Release string
	// Image is the kernel as an ELF file, which can be booted without firmware.
	Image string
	// Modules are paths of those that a guest needs, in order.
	Modules []string
}

const (
	folder    = "kernel"
	imageName = "vmlinux"
)

// metapackage names Debian's kernel for virtual machines; it depends on the real one.
func metapackage() string { return "linux-image-cloud-" + runtime.GOARCH }

// Prepare fetches the kernel into dir, and says what it does. One that is there already is kept.
func Prepare(ctx context.Context, dir string, say func(string)) (Kernel, error) {
	if k, err := Find(dir); err == nil {
		say("kernel " + k.Release + " is ready in " + dir)
		return k, nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareMax)
	defer cancel()
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return Kernel{}, fmt.Errorf("kernel: %s is needed: this machine's packages are not Debian's. Put an uncompressed kernel and its modules into %s as docs/guide/isolation.md says: %w", tool, filepath.Join(dir, folder), err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	work, err := os.MkdirTemp(dir, "fetch-")
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	k, err := prepare(ctx, dir, work, say)
	return k, errors.Join(err, os.RemoveAll(work))
}

func prepare(ctx context.Context, dir, work string, say func(string)) (Kernel, error) {
	depends, err := run(ctx, work, "apt-cache", "depends", "--important", metapackage())
	if err != nil {
		return Kernel{}, err
	}
	name := realPackage(depends)
	if name == "" {
		return Kernel{}, fmt.Errorf("kernel: apt knows no %s; run apt-get update as root first", metapackage())
	}
	say("fetching " + name + " with apt-get download (26 MB; apt checks its signature and checksum)")
	if _, err := run(ctx, work, "apt-get", "download", "-q", name); err != nil {
		return Kernel{}, err
	}
	found, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(found) != 1 {
		return Kernel{}, fmt.Errorf("kernel: apt-get download left %q: %w", found, errors.Join(err, os.ErrNotExist))
	}
	say("unpacking it")
	tree := filepath.Join(work, "tree")
	if _, err := run(ctx, work, "dpkg-deb", "-x", found[0], tree); err != nil {
		return Kernel{}, err
	}
	if err := keep(tree, filepath.Join(work, folder)); err != nil {
		return Kernel{}, err
	}
	if err := os.RemoveAll(filepath.Join(dir, folder)); err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	if err := os.Rename(filepath.Join(work, folder), filepath.Join(dir, folder)); err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	k, err := Find(dir)
	if err == nil {
		say("kernel " + k.Release + " is ready in " + dir)
	}
	return k, err
}

var dependency = regexp.MustCompile(`Depends:\s*(linux-image-[a-z0-9.+~-]+)`)

// realPackage finds the kernel's own package in what apt-cache depends prints.
func realPackage(depends string) string {
	if m := dependency.FindStringSubmatch(depends); m != nil {
		return m[1]
	}
	return ""
}

// outputMax bounds what is kept of a tool's output.
const outputMax = 64 << 10

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "LC_ALL=C")
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &limited{&out}, &limited{&said}
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("kernel: %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

type limited struct{ *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(0, outputMax-l.Len()))])
	return len(p), nil
}

// keep takes what a guest needs of a kernel's package.
func keep(tree, to string) error {
	images, err := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("kernel: the package holds the kernels %q", images)
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	modules, err := order(tree, release)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "modules"), 0o755); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	compressed, err := os.ReadFile(images[0])
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	image, err := Extract(compressed)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, imageName), image, 0o644); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	var list strings.Builder
	for _, path := range modules {
		content, name, err := readModule(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, "modules", name), content, 0o644); err != nil {
			return fmt.Errorf("kernel: %w", err)
		}
		fmt.Fprintln(&list, name)
	}
	if err := os.WriteFile(filepath.Join(to, "modules", "list"), []byte(list.String()), 0o644); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	// Last: it says that the rest is whole.
	return os.WriteFile(filepath.Join(to, "release"), []byte(release+"\n"), 0o644)
}

// Find returns the kernel that was prepared in dir.
func Find(dir string) (Kernel, error) {
	base := filepath.Join(dir, folder)
	release, err := os.ReadFile(filepath.Join(base, "release"))
	if errors.Is(err, os.ErrNotExist) {
		return Kernel{}, ErrMissing
	}
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(base, "modules", "list"))
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	k := Kernel{Release: strings.TrimSpace(string(release)), Image: filepath.Join(base, imageName)}
	for name := range strings.FieldsSeq(string(list)) {
		if filepath.Base(name) != name {
			return Kernel{}, fmt.Errorf("kernel: a module at %q", name)
		}
		k.Modules = append(k.Modules, filepath.Join(base, "modules", name))
	}
	if _, err := os.Stat(k.Image); err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	return k, nil
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return content, err
}

package runtimes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
)

// Bounds of an added root filesystem, ours.
const (
	treeBytesMax   = 8 << 30   // unpacked
	treeFilesMax   = 1_000_000 // files, links and directories, those that a later layer hides included
	layersMax      = 128
	linkTargetMax  = artifact.LinkTargetBytesMax
	linksOnPathMax = 40
)

// tree is a root filesystem under construction. Names in it are relative, clean and use
// slashes; "." is its root. All access goes through an os.Root, so that nothing in it, whatever
// an image holds, can lead out of it; and links are followed as they will be when the tree is
// somebody's root, absolute ones from its top.
type tree struct {
	root  *os.Root
	bytes int64
	files int
	// bytesMax bounds bytes.
	bytesMax int64

	dirName, dirAt string // the last directory resolved
	buffer         []byte
}

func newTree(root *os.Root) *tree {
	return &tree{root: root, bytesMax: treeBytesMax, buffer: make([]byte, 128<<10)}
}

// cleanName checks a name from an archive.
func cleanName(name string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("%w: %q: %s", artifact.ErrUnsafe, short(name), why)
	}
	if len(name) > artifact.PathBytesMax || strings.ContainsRune(name, 0) {
		return refuse("no path")
	}
	parts := strings.Split(name, "/")
	if slices.Contains(parts, "..") {
		return refuse("its path has ..")
	}
	if len(parts) > artifact.DepthMax {
		return refuse("it lies too deep")
	}
	for _, p := range parts {
		if len(p) > artifact.NameBytesMax {
			return refuse("its name is too long")
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" {
		clean = "."
	}
	return clean, nil
}

// resolve follows all links in name, the last one too. What does not exist is kept as it is.
func (t *tree) resolve(name string) (string, error) {
	var here []string
	rest := []string{name}
	for followed := 0; len(rest) > 0; {
		step := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		if strings.HasPrefix(step, "/") {
			here = nil
			step = strings.TrimLeft(step, "/")
		}
		first, more, found := strings.Cut(step, "/")
		if found {
			rest = append(rest, strings.TrimLeft(more, "/"))
		}
		switch first {
		case "", ".":
			continue
		case "..":
			here = here[:max(0, len(here)-1)] // a root's parent is the root
			continue
		}
		at := path.Join(append(here, first)...)
		info, err := t.root.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("runtimes: %w", err)
		case info.Mode().Type() == fs.ModeSymlink:
			if followed++; followed > linksOnPathMax {
				return "", fmt.Errorf("%w: %q: links lead in a circle", artifact.ErrUnsafe, short(name))
			}
			target, err := t.root.Readlink(at)
			if err != nil {
				return "", fmt.Errorf("runtimes: %w", err)
			}
			rest = append(rest, target)
			continue
		}
		here = append(here, first)
		if len(here) > artifact.DepthMax {
			return "", fmt.Errorf("%w: %q: it lies too deep", artifact.ErrUnsafe, short(name))
		}
	}
	if len(here) == 0 {
		return ".", nil
	}
	return path.Join(here...), nil
}

// place is where an entry goes: its directory, made if it is not there, with links followed, and
// its own name, not followed.
func (t *tree) place(name string) (string, error) {
	if name == "." {
		return ".", nil
	}
	dir, base := path.Split(name)
	dir = path.Clean("/" + dir)[1:]
	if t.dirName != dir || t.dirAt == "" {
		at, err := t.resolve(dir)
		if err != nil {
			return "", err
		}
		if err := t.mkdirAll(at); err != nil {
			return "", err
		}
		t.dirName, t.dirAt = dir, at
	}
	return path.Join(t.dirAt, base), nil
}

// mkdirAll makes a directory that no archive entry describes, and those above it.
func (t *tree) mkdirAll(at string) error {
	if at == "." {
		return nil
	}
	info, err := t.root.Lstat(at)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%w: %q is no directory and has entries", artifact.ErrUnsafe, short(at))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %q: %w", artifact.ErrUnsafe, short(at), err)
	}
	if err := t.mkdirAll(path.Dir(at)); err != nil {
		return err
	}
	if err := t.count(); err != nil {
		return err
	}
	return t.mkdir(at, 0o755)
}

// moved forgets what was resolved, after something that could be on the way was changed.
func (t *tree) moved() { t.dirName, t.dirAt = "", "" }

func (t *tree) count() error {
	if t.files++; t.files > treeFilesMax {
		return fmt.Errorf("%w: more than %d", artifact.ErrTooMany, treeFilesMax)
	}
	return nil
}

func (t *tree) mkdir(at string, mode fs.FileMode) error {
	info, err := t.root.Lstat(at)
	if err == nil && !info.IsDir() {
		if err := t.remove(at); err != nil {
			return err
		}
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = t.root.Mkdir(at, 0o700)
	}
	if err != nil {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	// The owner keeps the right to write, or nobody but root could delete the tree again.
	return t.root.Chmod(at, mode.Perm()|0o700)
}

// replace makes room for an entry that is no directory.
func (t *tree) replace(at string) error {
	if at == "." {
		return fmt.Errorf("%w: it would replace the root", artifact.ErrUnsafe)
	}
	if _, err := t.root.Lstat(at); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return t.remove(at)
}

func (t *tree) remove(at string) error {
	t.moved()
	if err := t.root.RemoveAll(at); err != nil {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	return nil
}

// write keeps the time of the file: interpreters compare it with that in their compiled files.
func (t *tree) write(ctx context.Context, at string, mode fs.FileMode, mtime time.Time, r io.Reader) error {
	if err := t.replace(at); err != nil {
		return err
	}
	out, err := t.root.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	defer out.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(t.buffer)
		if t.bytes += int64(n); t.bytes > t.bytesMax {
			return fmt.Errorf("%w: more than %d bytes", artifact.ErrTooLarge, t.bytesMax)
		}
		if _, werr := out.Write(t.buffer[:n]); werr != nil {
			return fmt.Errorf("runtimes: unpack: %w", werr)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("runtimes: unpack %q: %w", short(at), err)
		}
	}
	if err := out.Chmod(mode.Perm() | 0o400); err != nil { // setuid, setgid and sticky are dropped
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	if mtime.Unix() <= 0 || mtime.Year() > 2200 { // none, or beyond what file systems hold
		return nil
	}
	return t.root.Chtimes(at, mtime, mtime)
}

// furnish makes the places that a sandbox mounts over. They must be real directories and files: a
// link there would send a mount elsewhere.
func (t *tree) furnish() error {
	t.moved()
	for _, dir := range []string{"etc", "var"} {
		info, err := t.root.Lstat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%w: /%s is no directory", artifact.ErrUnsafe, dir)
		}
	}
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "run", "etc", "opt", "var", "var/task", "var/runtime", "var/tmp"} {
		info, err := t.root.Lstat(dir)
		if err == nil && info.IsDir() {
			continue
		}
		if err := t.mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	for _, file := range []string{"etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/passwd", "etc/group", "etc/nsswitch.conf"} {
		info, err := t.root.Lstat(file)
		if err == nil && info.Mode().IsRegular() {
			continue
		}
		if err := t.write(context.Background(), file, 0o644, time.Time{}, strings.NewReader("")); err != nil {
			return err
		}
	}
	return t.root.Chmod(".", 0o755)
}

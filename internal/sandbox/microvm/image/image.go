// Package image makes what a virtual machine reads from disks: EROFS images of
// directories, kept by what is in them, and the initial root in memory. It must
// never import the driver: it knows files, and nothing of machines.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/erofs/go-erofs"
)

// Bounds of an image, and of all that are kept.
const (
	filesMax = 1_000_000
	bytesMax = 16 << 30
	keptMax  = 48 << 30
	suffix   = ".erofs"
)

// Entry is a file that an image holds beside those of a directory.
type Entry struct {
	Path    string // absolute, in the image
	Content string
	Link    bool   // a symbolic link to Content
	Source  string // a file of the host, in place of Content
}

// Spec says what is in an image.
type Spec struct {
	Dir     string // a directory of the host, or ""
	Dirs    []string
	Entries []Entry
}

// Cache keeps images in a directory.
type Cache struct {
	dir string

	mu     sync.Mutex
	making map[string]*making
}

type making struct {
	done chan struct{}
	err  error
}

// Open makes a cache; images of an earlier one are found.
func Open(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	half, err := filepath.Glob(filepath.Join(dir, "*.tmp-*"))
	for _, path := range half {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return &Cache{dir: dir, making: map[string]*making{}}, nil
}

// Get opens the image, made first if there is none. It stays readable when it
// is dropped from the cache. Making goes on when ctx ends: the next one finds it.
func (c *Cache) Get(ctx context.Context, spec Spec) (*os.File, error) {
	key, err := fingerprint(spec)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	path := filepath.Join(c.dir, key+suffix)
	if f, err := os.Open(path); err == nil {
		now := time.Now()
		return f, os.Chtimes(path, now, now) // for what is dropped first
	}
	c.mu.Lock()
	m := c.making[key]
	if m == nil {
		m = &making{done: make(chan struct{})}
		c.making[key] = m
		go func() {
			m.err = c.write(path, spec)
			c.mu.Lock()
			delete(c.making, key)
			c.mu.Unlock()
			close(m.done)
		}()
	}
	c.mu.Unlock()
	select {
	case <-m.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("image: of %s is still being made: %w", spec.Dir, ctx.Err())
	}
	if m.err != nil {
		return nil, fmt.Errorf("image: %w", m.err)
	}
	return os.Open(path)
}

// Wait returns when nothing is being made.
func (c *Cache) Wait() {
	for {
		c.mu.Lock()
		var one *making
		for _, m := range c.making {
			one = m
		}
		c.mu.Unlock()
		if one == nil {
			return
		}
		<-one.done
	}
}

func (c *Cache) write(path string, spec Spec) error {
	f, err := os.CreateTemp(c.dir, filepath.Base(path)+".tmp-")
	if err != nil {
		return err
	}
	w := erofs.Create(f, erofs.WithTempDir(c.dir), erofs.WithBuildTime(1, 0))
	err = fill(w, spec)
	if err == nil {
		err = w.Close()
	}
	err = errors.Join(err, pad(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return c.trim()
}

// pad makes the image whole sectors, which is what a disk has.
func pad(f *os.File) error {
	const sector = 4096
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return f.Truncate((size + sector - 1) / sector * sector)
}

// trim drops what was not used for longest while there is too much.
func (c *Cache) trim() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var kept []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), suffix) {
			kept = append(kept, info)
			total += info.Size()
		}
	}
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range kept {
		if total <= keptMax {
			break
		}
		if err := os.Remove(filepath.Join(c.dir, info.Name())); err != nil {
			return err
		}
		total -= info.Size()
	}
	return nil
}

// version is that of the images' form: another makes all of them anew.
const version = 1

// fingerprint tells two contents apart without reading them: by names, sizes,
// times and file numbers.
func fingerprint(spec Spec) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q\n", version, spec.Dirs)
	for _, e := range spec.Entries {
		fmt.Fprintf(h, "%q %q %v\n", e.Path, e.Content, e.Link)
		if e.Source != "" {
			info, err := os.Stat(e.Source)
			if err != nil {
				return "", err
			}
			identity(h, e.Source, info)
		}
	}
	if spec.Dir == "" {
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	top, err := os.Stat(spec.Dir)
	if err != nil {
		return "", err
	}
	if !top.IsDir() {
		return "", fmt.Errorf("%s is no directory", spec.Dir)
	}
	files, bytes := 0, int64(0)
	err = walk(spec.Dir, func(name string, e fs.DirEntry) error {
		info, err := e.Info()
		if err != nil {
			return err
		}
		files++
		if info.Mode().IsRegular() {
			bytes += info.Size()
		}
		if files > filesMax || bytes > bytesMax {
			return fmt.Errorf("%s holds more than %d files or %d GiB", spec.Dir, filesMax, bytesMax>>30)
		}
		identity(h, name, info)
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(filepath.Join(spec.Dir, name))
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%q\n", target)
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func identity(h io.Writer, name string, info fs.FileInfo) {
	fmt.Fprintf(h, "%q %o %d %d", name, info.Mode(), info.Size(), info.ModTime().UnixNano())
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		fmt.Fprintf(h, " %d %d %d", s.Dev, s.Ino, s.Ctim.Nano())
	}
	fmt.Fprintln(h)
}

// walk visits everything below a directory, the directory itself as ".".
func walk(dir string, visit func(name string, e fs.DirEntry) error) error {
	// A link at the top is followed: it is what the caller means.
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) && path != dir {
			return fs.SkipDir // the function may not read it either
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return visit(name, e)
	})
}

func fill(w *erofs.Writer, spec Spec) error {
	if spec.Dir != "" {
		dir, err := filepath.EvalSymlinks(spec.Dir)
		if err != nil {
			return err
		}
		if err := walk(dir, func(name string, e fs.DirEntry) error { return add(w, dir, name, e) }); err != nil {
			return err
		}
	}
	for _, d := range spec.Dirs {
		if err := w.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for _, e := range spec.Entries {
		var err error
		switch {
		case e.Link:
			err = w.Symlink(e.Content, e.Path)
		case e.Source != "":
			var info fs.FileInfo
			if info, err = os.Stat(e.Source); err == nil {
				err = copyFile(w, e.Source, e.Path, info)
			}
		default:
			err = writeFile(w, e.Path, strings.NewReader(e.Content))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add puts one file of a directory into the image, as root's. Devices, sockets
// and pipes are left out: nothing that runs code has them.
func add(w *erofs.Writer, dir, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	target := filepath.Join("/", name)
	switch mode := info.Mode(); {
	case mode.IsDir():
		if err := w.Mkdir(target, mode.Perm()); err != nil {
			return err
		}
		if mode&(fs.ModeSticky|fs.ModeSetgid|fs.ModeSetuid) != 0 {
			if err := w.Chmod(target, mode.Perm()); err != nil {
				return err
			}
		}
		return w.Chtimes(target, info.ModTime(), info.ModTime())
	case mode&fs.ModeSymlink != 0:
		to, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		return w.Symlink(to, target)
	case mode.IsRegular():
		return copyFile(w, filepath.Join(dir, name), target, info)
	}
	return nil
}

func copyFile(w *erofs.Writer, source, target string, info fs.FileInfo) error {
	f, err := os.Open(source)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	// What grows meanwhile is another image.
	if err := writeFile(w, target, io.LimitReader(f, info.Size())); err != nil {
		return err
	}
	// setuid means nothing where nobody may gain privileges.
	if err := w.Chmod(target, info.Mode().Perm()); err != nil {
		return err
	}
	return w.Chtimes(target, info.ModTime(), info.ModTime())
}

func writeFile(w *erofs.Writer, target string, from io.Reader) error {
	out, err := w.Create(target)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	return errors.Join(err, out.Close())
}

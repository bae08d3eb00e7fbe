package gvisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// imageSpareBytes must stay free on the disk when a template is written.
const imageSpareBytes = 256 << 20

// template is a checkpoint of a sandbox: gVisor's kernel with every process in it,
// as files. Nothing of it runs.
type template struct {
	driver *Driver
	of     *box // the sandbox that was taken over; its sentry has ended
	dir    string
	bytes  int64

	mu     sync.RWMutex // held for reading while a restore reads the image
	closed bool
}

// Template implements sandbox.Templater. The program may have any number of
// threads, processes and descriptors: the checkpoint has them all. Its connections
// break, and what it had in /tmp would be lost.
func (d *Driver) Template(ctx context.Context, s sandbox.Sandbox) (sandbox.Template, error) {
	b, ok := s.(*box)
	if !ok || b.driver != d {
		return nil, fmt.Errorf("gvisor: a sandbox of another driver: %w", sandbox.ErrUnsupported)
	}
	if err := b.Alive(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	ready := b.started && b.spec.Template && !b.taken
	b.mu.Unlock()
	if !ready {
		return nil, fmt.Errorf("gvisor: %s was not started for a template", b.ID())
	}
	if err := b.emptyTmp(); err != nil {
		return nil, err
	}
	t := &template{driver: d, of: b, dir: filepath.Join(d.imagesDir(), string(b.ID()))}
	if err := t.write(ctx); err != nil {
		return nil, errors.Join(b.Told("checkpoint", err), os.RemoveAll(t.dir))
	}
	return t, nil
}

func (d *Driver) imagesDir() string { return filepath.Join(d.dir, "images") }

// emptyTmp refuses a program that left something in /tmp: copies get a new one.
func (b *box) emptyTmp() error {
	var names []string
	err := b.driver.workshop.do(func() error {
		for _, p := range b.shelved {
			if !p.tmp {
				continue
			}
			entries, err := os.ReadDir(filepath.Join(b.bench, "shelf", p.name))
			if err != nil {
				return err
			}
			for _, e := range entries {
				names = append(names, "/tmp/"+e.Name())
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("gvisor: /tmp of %s: %w", b.ID(), err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "/tmp/lost+found" })
	if len(names) > 0 {
		return &sandbox.UnclonableError{Reason: fmt.Sprintf("it has %s, which a copy would not have", names[0])}
	}
	return nil
}

// write makes the checkpoint, which ends the sentry.
func (t *template) write(ctx context.Context) error {
	usage, err := t.of.group.Usage()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(t.dir, &disk); err != nil {
		return err
	}
	if free := int64(disk.Bavail) * disk.Bsize; free < usage.MemoryBytes+imageSpareBytes {
		return fmt.Errorf("%d MiB are free on the disk, too few for %d MiB: %w", free>>20, usage.MemoryBytes>>20, syscall.ENOSPC)
	}
	// The program's end is the template's doing, and nobody's news.
	t.of.mu.Lock()
	t.of.taken = true
	t.of.mu.Unlock()
	argv := append(t.of.flags(), "checkpoint", "-image-path", t.dir, "-compression", "none", "-exclude-committed-zero-pages", containerName)
	c := exec.CommandContext(ctx, t.driver.runsc, argv...)
	c.Env, c.Dir = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "/"
	if words, err := c.CombinedOutput(); err != nil {
		t.of.mu.Lock()
		t.of.taken = false
		t.of.mu.Unlock()
		return fmt.Errorf("%w: %s %s", err, strings.TrimSpace(string(words)), t.of.complaint())
	}
	if err := t.of.group.Kill(ctx); err != nil {
		return err
	}
	files, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return err
		}
		t.bytes += info.Size()
	}
	return nil
}

// MemoryBytes implements sandbox.Template. They are on the disk, and in memory as
// far as the kernel caches it.
func (t *template) MemoryBytes() int64 { return t.bytes }

// Close implements sandbox.Template.
func (t *template) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	return errors.Join(os.RemoveAll(t.dir), t.of.Destroy(context.Background()))
}

// Park implements sandbox.Template. The copy waits in its Runtime API as soon as it
// is restored; that is of the template's owner already.
func (t *template) Park(ctx context.Context, id sandbox.ID) (sandbox.Sandbox, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed {
		return nil, fmt.Errorf("gvisor: template of %s: %w", t.of.ID(), sandbox.ErrDestroyed)
	}
	b, err := t.driver.park(ctx, id, func(ctx context.Context, b *box) error { return b.restore(ctx, t) })
	if err != nil {
		return nil, err
	}
	return b, nil
}

// restore parks a copy.
func (b *box) restore(ctx context.Context, t *template) error {
	of := t.of
	b.template = t
	b.parked, b.spec, b.points = of.parked, of.spec, of.points
	if err := b.furnish(ctx, of.parked); err != nil {
		return err
	}
	for _, p := range of.points {
		if err := mountPoint(b.root, p.name, p.file); err != nil {
			return err
		}
	}
	places, err := b.shelfOf(ctx, of)
	if err != nil {
		return errors.Join(err, closePlaces(places))
	}
	if err := b.driver.workshop.put(places); err != nil {
		return err
	}
	of.mu.Lock()
	own := of.own
	of.mu.Unlock()
	b.own = own
	if err := b.limit(of.spec.Limits); err != nil {
		return err
	}
	return b.boot(ctx, "restore", "-detach", "-image-path", t.dir, "-bundle", b.bench)
}

// shelfOf lays down what another sandbox had on its shelf, under the same names.
func (b *box) shelfOf(ctx context.Context, of *box) ([]place, error) {
	var places []place
	for _, p := range of.shelved {
		var fd int
		var err error
		if p.tmp {
			fd, err = b.newTmp(ctx, of.spec.Limits.TmpMiB)
		} else {
			err = b.driver.workshop.do(func() error {
				var err error
				fd, err = unix.OpenTree(unix.AT_FDCWD, filepath.Join(of.bench, "shelf", p.name), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
				return err
			})
		}
		if err != nil {
			return places, err
		}
		places = append(places, place{fd: fd, file: p.file, root: b.shelf, name: p.name})
	}
	b.shelved = of.shelved
	return places, nil
}

// startCopy gives a copy what its template could not give it.
func (b *box) startCopy(spec sandbox.StartSpec) error {
	if spec.Limits.TmpMiB != b.spec.Limits.TmpMiB {
		return fmt.Errorf("/tmp of %d MiB, and the template has %d", spec.Limits.TmpMiB, b.spec.Limits.TmpMiB)
	}
	return b.limit(spec.Limits)
}

var _ sandbox.Templater = (*Driver)(nil)

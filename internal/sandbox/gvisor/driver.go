// Package gvisor is the sandbox driver made of gVisor: a program's system calls
// are answered by a kernel in user space, runsc's sentry, and the host's kernel
// sees only what that needs. It is for code of many owners. It must never import
// the rooms that decide what runs (worker and above), nor a network or artifact
// room: paths and limits come in, listeners and exits go out.
//
// A sandbox is parked ahead of need: its sentry has booted and process 1
// (package inside) waits for orders. Start mounts code and /tmp where the sentry
// finds them, and sends it one message, so no runsc is on an invoke's way.
package gvisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/scratch"
	"github.com/lambdad/lambdad/internal/sandbox/container/seccomp"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
)

const (
	parkMax  = 30 * time.Second // a sentry boots in a tenth of a second, or never
	startMax = 20 * time.Second
	killMax  = 20 * time.Second
	// parksPerCPU bounds how many sentries boot at once: each is mostly work of
	// a processor, and more at a time only makes all of them slower.
	parksPerCPU = 2
)

// Options of a driver.
type Options struct {
	// StateDir is the driver's own directory on the host, and names the node:
	// two drivers with the same one exclude each other.
	StateDir string
	// Runsc is the path of gVisor's runsc; "" lets FindRunsc look.
	Runsc string
	// ToolsDir is where FindRunsc looks first, beside the program and PATH.
	ToolsDir string
	// Init is the path of lambdad-gvisor-init; "" lets FindInit look.
	Init string
	// Platform is how the sentry runs code: "systrap" (the default) or "kvm".
	Platform string
	// ResolvConf names the resolvers of sandboxes with egress; "" is the host's.
	ResolvConf string
	Log        *slog.Logger
}

// Driver makes gVisor sandboxes.
type Driver struct {
	log        *slog.Logger
	dir        string
	runsc      string
	init       string
	platform   string
	filter     []byte
	lock       *os.File
	groups     *cgroup.Parent
	workshop   *workshop
	egress     egressDoor
	disks      *scratch.Disks // nil if /tmp must be in memory
	parks      chan struct{}  // a token for each sandbox being made
	unenforced []string

	mu     sync.Mutex
	boxes  map[sandbox.ID]*box
	closed bool
}

// New opens the driver. It makes no sandbox and removes nothing; call Reap before
// the first Park. Where this host cannot run gVisor it fails with ErrUnsupported.
func New(options Options) (*Driver, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("gvisor: needs root: %w", sandbox.ErrUnsupported)
	}
	if options.StateDir == "" {
		return nil, errors.New("gvisor: no state directory")
	}
	dir, err := filepath.Abs(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	d := &Driver{
		log:      options.Log,
		dir:      dir,
		platform: options.Platform,
		filter:   seccomp.Filter(),
		parks:    make(chan struct{}, parksPerCPU*runtime.NumCPU()),
		boxes:    map[sandbox.ID]*box{},
	}
	switch d.platform {
	case "":
		d.platform = "systrap"
	case "systrap", "kvm":
	default:
		return nil, fmt.Errorf("gvisor: no platform %q", d.platform)
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.runsc = options.Runsc; d.runsc == "" {
		if d.runsc, err = FindRunsc(options.ToolsDir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	if d.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	if err := d.open(options); err != nil {
		if d.groups != nil {
			if orphans, listed := d.groups.Orphans(); listed == nil && len(orphans) == 0 {
				err = errors.Join(err, d.groups.Remove())
			}
		}
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

func (d *Driver) open(options Options) error {
	name := sha256.Sum256([]byte(d.dir))
	d.egress.options = egress.Options{
		Node:       hex.EncodeToString(name[:3]),
		StateDir:   d.dir,
		ResolvConf: options.ResolvConf,
		Log:        d.log,
	}
	var err error
	if d.init = options.Init; d.init == "" {
		if d.init, err = FindInit(d.dir); err != nil {
			return err
		}
	}
	host, err := cgroup.Detect()
	if err != nil {
		return fmt.Errorf("gvisor: %w", err)
	}
	if d.groups, err = cgroup.OpenParent(host, "lambdad-"+hex.EncodeToString(name[:6])); err != nil {
		return fmt.Errorf("gvisor: %w", err)
	}
	// A sentry is ended and frozen as a group: it may start processes at any time.
	if !d.groups.CanFreeze() {
		return fmt.Errorf("gvisor: no control groups to hold a sentry: %w", sandbox.ErrUnsupported)
	}
	for _, limit := range d.groups.Unenforced() {
		if limit != "processes" { // those the sentry itself counts
			d.unenforced = append(d.unenforced, limit)
		}
	}
	if d.disks, err = scratch.Open(context.Background(), d.dir); err != nil {
		d.log.Warn("/tmp is in memory and counts towards a function's limit", "error", err)
		d.unenforced = append(d.unenforced, tmpInMemory)
	}
	d.workshop, err = newWorkshop(filepath.Join(d.dir, "workshop"))
	return err
}

// lockDir makes sure that no other process uses the directory: it would reap
// sandboxes that are alive.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("gvisor: %s is in use by another lambdad: %w", dir, err), f.Close())
	}
	return f, nil
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "gvisor" }

// Unenforced names the limits that this host gives no means to enforce.
func (d *Driver) Unenforced() []string { return d.unenforced }

// runDir is where runsc keeps its state, one directory a sandbox.
func (d *Driver) runDir() string { return filepath.Join(d.dir, "run") }

// Reap implements sandbox.Driver. When lambdad dies, process 1 of each sandbox
// finds its control socket closed and ends, and the sentry with it; a frozen one,
// and the control groups, stay until they are found here.
func (d *Driver) Reap(ctx context.Context) (int, error) {
	orphans, err := d.groups.Orphans()
	if err != nil {
		return 0, fmt.Errorf("gvisor: reap: %w", err)
	}
	reaped := 0
	errs := []error{d.egress.reap()}
	for id, group := range orphans {
		if d.alive(sandbox.ID(id)) {
			continue
		}
		if err := group.Kill(ctx); err != nil {
			errs = append(errs, fmt.Errorf("gvisor: reap %s: %w", id, err))
			continue
		}
		if err := group.Remove(); err != nil {
			errs = append(errs, fmt.Errorf("gvisor: reap %s: %w", id, err))
			continue
		}
		reaped++
	}
	for _, dir := range []string{d.runDir(), d.imagesDir()} {
		left, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range left {
			if !d.alive(sandbox.ID(e.Name())) {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	return reaped, errors.Join(errs...)
}

func (d *Driver) alive(id sandbox.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boxes[id] != nil
}

// Close implements sandbox.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	boxes := make([]*box, 0, len(d.boxes))
	for _, b := range d.boxes {
		boxes = append(boxes, b)
	}
	d.mu.Unlock()
	// Whoever holds a token is still making a sandbox, and will see that the
	// driver is closed.
	for range cap(d.parks) {
		d.parks <- struct{}{}
	}
	for range cap(d.parks) { // and who waited for one learns it too
		<-d.parks
	}
	errs := make([]error, len(boxes))
	var wait sync.WaitGroup
	for i, b := range boxes {
		wait.Go(func() { errs[i] = b.Destroy(context.Background()) })
	}
	wait.Wait()
	return errors.Join(errors.Join(errs...), os.RemoveAll(d.imagesDir()), d.groups.Remove(), d.egress.close(), d.release())
}

// release gives up what the driver holds.
func (d *Driver) release() error {
	var errs []error
	if d.workshop != nil {
		d.workshop.close()
	}
	if d.disks != nil {
		errs = append(errs, d.disks.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

func (d *Driver) register(b *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return fmt.Errorf("gvisor: driver closed: %w", sandbox.ErrDestroyed)
	}
	if d.boxes[b.id] != nil {
		return fmt.Errorf("gvisor: sandbox %q exists", b.id)
	}
	d.boxes[b.id] = b
	return nil
}

func (d *Driver) forget(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, b.id)
}

// Package microvm is the sandbox driver that gives each environment a virtual
// machine of its own, for untrusted code: a kernel that is nobody else's, one
// serial line to the host, disks that are read-only but for /tmp, and no network.
// It must never import the rooms that decide what runs (worker and above):
// paths and limits come in, listeners and exits go out.
//
// A machine boots once for each size and root filesystem and is saved when it
// waits; every sandbox is a copy of one, made from the same memory by
// copy-on-write, and a template is the same again with a program that has
// finished its INIT.
package microvm

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

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/seccomp"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/image"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

// Options of a driver.
type Options struct {
	// StateDir is the driver's own directory, and names the node: two drivers
	// with the same one exclude each other.
	StateDir string
	// KernelDir is where `lambdad microvm prepare` put the kernel; "" is StateDir.
	KernelDir string
	// CgroupParent names the node's control groups; "" derives it from StateDir.
	CgroupParent string
	// Guest is the path of lambdad-guest; "" lets FindGuest look.
	Guest string
	// Alone boots a machine for every sandbox: none shares memory with others, nor what
	// a kernel draws once at its boot. It takes as long as it takes.
	Alone bool
	// Firecracker is the path of that monitor; "" looks in ToolsDir, beside this program and in
	// PATH; FirecrackerOff never uses it. It is used where a machine boots with it, else QEMU.
	Firecracker string
	ToolsDir    string
	// Accel is "kvm", "tcg", or "" for kvm where a machine boots with it, else tcg,
	// which only QEMU has.
	Accel string
	Log   *slog.Logger
}

// Driver makes sandboxes that are virtual machines.
type Driver struct {
	log     *slog.Logger
	dir     string
	lock    *os.File
	groups  *cgroup.Parent
	images  *image.Cache
	tmps    *tmpDisks
	host    *hostSide
	filter  []byte
	alone   bool
	parks   chan struct{} // a token for each sandbox being made
	origins *origins

	mu     sync.Mutex
	boxes  map[sandbox.ID]*box
	closed bool
}

// parksPerCPU bounds how many machines are resumed at once.
const parksPerCPU = 2

// New opens the driver. It boots nothing, and removes nothing; call Reap before the first Park.
func New(options Options) (*Driver, error) {
	if options.StateDir == "" {
		return nil, errors.New("microvm: no state directory")
	}
	dir, err := filepath.Abs(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	d := &Driver{log: options.Log, dir: dir, alone: options.Alone, filter: seccomp.Filter(), boxes: map[sandbox.ID]*box{}, parks: make(chan struct{}, parksPerCPU*runtime.NumCPU())}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	if err := d.open(options); err != nil {
		return nil, errors.Join(err, d.release())
	}
	return d, nil
}

func (d *Driver) open(options Options) error {
	if options.KernelDir == "" {
		options.KernelDir = d.dir
	}
	k, err := kernel.Find(options.KernelDir)
	if err != nil {
		return fmt.Errorf("microvm: %w", err)
	}
	if options.Guest == "" {
		if options.Guest, err = FindGuest(d.dir); err != nil {
			return err
		}
	}
	if d.host, err = openHost(options, d.dir, k, d.log); err != nil {
		return err
	}
	host, err := cgroup.Detect()
	if err != nil {
		return fmt.Errorf("microvm: %w", err)
	}
	parent := options.CgroupParent
	if parent == "" {
		name := sha256.Sum256([]byte(d.dir))
		parent = "lambdad-vm-" + hex.EncodeToString(name[:6])
	}
	if d.groups, err = cgroup.OpenParent(host, parent); err != nil {
		return fmt.Errorf("microvm: %w", err)
	}
	if missing := d.groups.Unenforced(); len(missing) > 0 {
		d.log.Warn("the machine monitors' own processes are not limited; the guests' limits hold", "limits", missing)
	}
	if d.images, err = image.Open(filepath.Join(d.dir, "images")); err != nil {
		return err
	}
	d.tmps = openTmpDisks(d.dir, d.log)
	d.origins = newOrigins(d)
	return nil
}

// lockDir makes sure that no other process uses the directory.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: %s is in use by another lambdad: %w", dir, err), f.Close())
	}
	return f, nil
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "microvm" }

// Monitor names what runs the machines, "" if none boots. The first call finds out.
func (d *Driver) Monitor(ctx context.Context) string {
	m, err := d.host.choose(ctx)
	if err != nil {
		return ""
	}
	return m.name()
}

// Egress tells why sandboxes with NetworkEgress reach nothing but the endpoint.
func (d *Driver) Egress() error {
	return fmt.Errorf("microvm: a virtual machine has no network device yet: %w", sandbox.ErrUnsupported)
}

// Unenforced names the limits that this host gives no means to enforce.
func (d *Driver) Unenforced() []string { return d.tmps.unenforced() }

// Reap implements sandbox.Driver. Monitors die with the lambdad that started
// them, and their memory with them; their control groups stay.
func (d *Driver) Reap(ctx context.Context) (int, error) {
	orphans, err := d.groups.Orphans()
	if err != nil {
		return 0, fmt.Errorf("microvm: reap: %w", err)
	}
	reaped := 0
	var errs []error
	for id, group := range orphans {
		d.mu.Lock()
		alive := d.boxes[sandbox.ID(id)] != nil
		d.mu.Unlock()
		if alive || d.origins.has(id) {
			continue
		}
		if err := errors.Join(group.Kill(ctx), group.Remove()); err != nil {
			errs = append(errs, fmt.Errorf("microvm: reap %s: %w", id, err))
			continue
		}
		reaped++
	}
	return reaped, errors.Join(errs...)
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
	errs := make([]error, len(boxes))
	var wait sync.WaitGroup
	for i, b := range boxes {
		wait.Go(func() { errs[i] = b.Destroy(context.Background()) })
	}
	wait.Wait()
	for range cap(d.parks) { // whoever still makes one sees that the driver is closed
		d.parks <- struct{}{}
	}
	for range cap(d.parks) {
		<-d.parks
	}
	return errors.Join(errors.Join(errs...), d.origins.close(), d.groups.Remove(), d.release())
}

func (d *Driver) release() error {
	var errs []error
	if d.images != nil {
		d.images.Wait()
	}
	if d.host != nil {
		errs = append(errs, d.host.close())
	}
	return errors.Join(append(errs, d.lock.Close())...)
}

// register takes the id.
func (d *Driver) register(b *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return fmt.Errorf("microvm: driver closed: %w", sandbox.ErrDestroyed)
	case d.boxes[b.id] != nil:
		return fmt.Errorf("microvm: sandbox %q exists", b.id)
	}
	d.boxes[b.id] = b
	return nil
}

func (d *Driver) forget(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.boxes[b.id] == b {
		delete(d.boxes, b.id)
	}
}

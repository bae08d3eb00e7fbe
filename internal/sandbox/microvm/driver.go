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
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/seccomp"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
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
	state   *isolate.StateDir
	groups  *cgroup.Parent
	images  *image.Cache
	tmps    *tmpDisks
	host    *hostSide
	filter  []byte
	alone   bool
	origins *origins

	boxes *isolate.List[*box]
}

// parksPerCPU bounds how many machines are resumed at once.
const parksPerCPU = 2

// New opens the driver. It boots nothing, and removes nothing; call Reap before the first Park.
func New(options Options) (*Driver, error) {
	state, err := isolate.OpenStateDir(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	d := &Driver{log: options.Log, state: state, dir: state.Path, alone: options.Alone, filter: seccomp.Filter(), boxes: isolate.NewList[*box](parksPerCPU)}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
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
		parent = d.state.GroupName("lambdad-vm-")
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
	reaped, err := isolate.Reap(ctx, d.groups, func(id string) bool { return d.boxes.Has(sandbox.ID(id)) || d.origins.has(id) })
	if err != nil {
		return reaped, fmt.Errorf("microvm: %w", err)
	}
	return reaped, nil
}

// Close implements sandbox.Driver.
func (d *Driver) Close() error {
	first, err := d.boxes.Close()
	if !first {
		return nil
	}
	return errors.Join(err, d.origins.close(), d.groups.Remove(), d.release())
}

func (d *Driver) release() error {
	var errs []error
	if d.images != nil {
		d.images.Wait()
	}
	if d.host != nil {
		errs = append(errs, d.host.close())
	}
	return errors.Join(append(errs, d.state.Close())...)
}

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
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/scratch"
	"github.com/lambdad/lambdad/internal/sandbox/container/seccomp"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
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
	state      *isolate.StateDir
	groups     *cgroup.Parent
	workshop   *workshop
	egress     egress.Door
	disks      *scratch.Disks // nil if /tmp must be in memory
	unenforced []string

	boxes *isolate.List[*box]
}

// New opens the driver. It makes no sandbox and removes nothing; call Reap before
// the first Park. Where this host cannot run gVisor it fails with ErrUnsupported.
func New(options Options) (*Driver, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("gvisor: needs root: %w", sandbox.ErrUnsupported)
	}
	d := &Driver{
		log:      options.Log,
		platform: options.Platform,
		filter:   seccomp.Filter(),
		boxes:    isolate.NewList[*box](parksPerCPU),
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
	var err error
	if d.runsc = options.Runsc; d.runsc == "" {
		if d.runsc, err = FindRunsc(options.ToolsDir); err != nil {
			return nil, err
		}
	}
	if d.state, err = isolate.OpenStateDir(options.StateDir); err != nil {
		return nil, fmt.Errorf("gvisor: %w", err)
	}
	d.dir = d.state.Path
	if err := d.open(options); err != nil {
		return nil, errors.Join(err, isolate.Abandon(d.groups), d.release())
	}
	return d, nil
}

func (d *Driver) open(options Options) error {
	name := d.state.Hash()
	d.egress.Options = egress.Options{
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
	if d.groups, err = cgroup.OpenParent(host, d.state.GroupName("lambdad-")); err != nil {
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
		d.unenforced = append(d.unenforced, isolate.TmpInMemory)
	}
	d.workshop, err = newWorkshop(filepath.Join(d.dir, "workshop"))
	return err
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
	errs := []error{d.egress.Reap()}
	reaped, err := isolate.Reap(ctx, d.groups, d.alive)
	errs = append(errs, err)
	for _, dir := range []string{d.runDir(), d.imagesDir()} {
		left, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range left {
			if !d.alive(e.Name()) {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return reaped, fmt.Errorf("gvisor: %w", err)
	}
	return reaped, nil
}

func (d *Driver) alive(id string) bool { return d.boxes.Has(sandbox.ID(id)) }

// Close implements sandbox.Driver.
func (d *Driver) Close() error {
	first, err := d.boxes.Close()
	if !first {
		return nil
	}
	return errors.Join(err, os.RemoveAll(d.imagesDir()), d.groups.Remove(), d.egress.Close(), d.release())
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
	return errors.Join(append(errs, d.state.Close())...)
}

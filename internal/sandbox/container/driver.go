// Package container is the sandbox driver made of kernel namespaces, control
// groups, a seccomp allow-list and a read-only root, for trusted workloads of
// one owner. It must never import the rooms that decide what runs (worker and
// above), nor a network or artifact room: paths and limits come in, listeners
// and exits go out.
//
// A sandbox is parked ahead of need: process 1 (cmd/lambdad-init, in C) has made
// the root and the listeners in namespaces of its own, and waits on a socket. Start
// sends it mounts and a program, which is what is left on an invoke's way.
//
// Between Park and Start, Preload can start the program already; Start then sends
// mounts only, and process 1 keeps its capabilities until it has placed them. Start
// without any program (adopt) leaves process 1 to reap and obey alone, in a sandbox
// into which a copy of a program comes from outside; such a sandbox is parked by
// parkWithin, its user namespace being a child of the one that the original is in.
package container

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/scratch"
	"github.com/lambdad/lambdad/internal/sandbox/container/seccomp"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

const (
	parkMax  = 20 * time.Second // process 1 answers in milliseconds, or never
	startMax = 20 * time.Second
	killMax  = 20 * time.Second // for the kernel to take a sandbox apart
	// parksPerCPU bounds how many sandboxes are made at once: each is mostly
	// kernel work, and more at a time only makes all of them slower.
	parksPerCPU = 8
)

// processesHard bounds the copies of a template: the kernel counts all of them, and
// each one's process 1, for the user of the original.
const processesHard = 1 << 20

// Options of a driver.
type Options struct {
	// StateDir is the driver's own directory on the host, and names the node:
	// two drivers with the same one exclude each other.
	StateDir string
	// CgroupParent names the node's control groups; "" derives it from StateDir.
	CgroupParent string
	// Init is the path of lambdad-init; "" lets FindInit look.
	Init string
	// ResolvConf names the resolvers of sandboxes with egress; "" is the host's.
	ResolvConf string
	Log        *slog.Logger
}

// Driver makes container sandboxes.
type Driver struct {
	log        *slog.Logger
	dir        string
	state      *isolate.StateDir
	init       *os.File // lambdad-init, executed through its descriptor
	rootless   bool
	groups     *cgroup.Parent
	egress     egress.Door
	disks      *scratch.Disks // nil if /tmp must be in memory
	dynmods    *os.File       // nil if the host has none
	filter     []byte
	spawner    *spawner
	firstSlot  uint32
	unenforced []string
	// processesHard is the hard RLIMIT_NPROC where the pids group keeps the limit, or 0.
	processesHard int32

	boxes *isolate.List[*box]

	mu    sync.Mutex
	slots map[uint32]bool
	next  uint32
}

// New opens the driver. It makes no sandbox and removes nothing; call Reap before the first Park.
func New(options Options) (*Driver, error) {
	unignoreSignals()
	state, err := isolate.OpenStateDir(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	d := &Driver{
		log:      options.Log,
		state:    state,
		dir:      state.Path,
		rootless: os.Geteuid() != 0,
		filter:   seccomp.Filter(),
		boxes:    isolate.NewList[*box](parksPerCPU),
		slots:    map[uint32]bool{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if err := d.open(options); err != nil {
		return nil, errors.Join(err, isolate.Abandon(d.groups), d.release())
	}
	return d, nil
}

func (d *Driver) open(options Options) error {
	name := d.state.Hash()
	d.firstSlot = binary.BigEndian.Uint32(name[:]) % slotsMax
	parent := options.CgroupParent
	if parent == "" {
		parent = d.state.GroupName("lambdad-")
	}
	d.egress.Options = egress.Options{
		Node:       hex.EncodeToString(name[:3]),
		StateDir:   d.dir,
		ResolvConf: options.ResolvConf,
		Log:        d.log,
	}
	path, err := options.Init, error(nil)
	if path == "" {
		if path, err = FindInit(d.dir); err != nil {
			return err
		}
	}
	// A sandbox's root may not be able to walk to the file: hold it open.
	if d.init, err = os.Open(path); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	host, err := cgroup.Detect()
	if err != nil {
		return fmt.Errorf("container: %w", err)
	}
	if d.groups, err = cgroup.OpenParent(host, parent); err != nil {
		return fmt.Errorf("container: %w", err)
	}
	d.processesHard = processesHard
	for _, limit := range d.groups.Unenforced() {
		if limit == "processes" {
			d.processesHard = 0
		}
		if limit != "processes" { // those RLIMIT_NPROC keeps, in every sandbox
			d.unenforced = append(d.unenforced, limit)
		}
	}
	if !d.rootless {
		if d.disks, err = scratch.Open(context.Background(), d.dir); err != nil {
			d.log.Warn("/tmp is in memory and counts towards a function's limit", "error", err)
		}
	}
	if d.disks == nil {
		d.unenforced = append(d.unenforced, isolate.TmpInMemory)
	}
	// In version 2 alone nothing moves: sandboxes are born in their groups.
	if !d.rootless && len(host.V1) > 0 {
		if d.dynmods, err = cgroup.FavorDynMods(parent); err != nil {
			d.log.Info("control groups change slowly here", "error", err)
		}
	}
	d.spawner, err = newSpawner(d.init)
	return err
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "container" }

// Unenforced names the limits that this host gives no means to enforce.
func (d *Driver) Unenforced() []string { return d.unenforced }

// Reap implements sandbox.Driver. Processes of an earlier lambdad die with it,
// and their namespaces and mounts with them; a frozen one, and the control
// groups, stay until they are found here by the node's own group name.
func (d *Driver) Reap(ctx context.Context) (int, error) {
	left := d.removeHalfMade()
	if !d.rootless {
		left = errors.Join(left, d.egress.Reap())
	}
	reaped, err := isolate.Reap(ctx, d.groups, func(id string) bool { return d.boxes.Has(sandbox.ID(id)) })
	if err = errors.Join(left, err); err != nil {
		return reaped, fmt.Errorf("container: %w", err)
	}
	return reaped, nil
}

// halfMade are the names of files that exist only while they are being made.
var halfMade = []string{"scratch-*", "image-*", "loop-*"}

func (d *Driver) removeHalfMade() error {
	var errs []error
	for _, pattern := range halfMade {
		found, err := filepath.Glob(filepath.Join(d.dir, pattern))
		errs = append(errs, err)
		for _, path := range found {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// Close implements sandbox.Driver.
func (d *Driver) Close() error {
	first, err := d.boxes.Close()
	if !first {
		return nil
	}
	return errors.Join(err, d.spawner.close(), d.groups.Remove(), d.egress.Close(), d.release())
}

// release closes what the driver holds open.
func (d *Driver) release() error {
	var errs []error
	if d.disks != nil {
		errs = append(errs, d.disks.Close())
	}
	for _, f := range []*os.File{d.dynmods, d.init} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(append(errs, d.state.Close())...)
}

// register takes the id and a free range of user ids.
func (d *Driver) register(b *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.slots) >= slotsMax {
		return fmt.Errorf("more than %d sandboxes", slotsMax)
	}
	if err := d.boxes.Add(b.ID(), b); err != nil {
		return err
	}
	for d.slots[d.next%slotsMax] {
		d.next++
	}
	b.slot = d.next % slotsMax
	d.next++
	d.slots[b.slot] = true
	return nil
}

func (d *Driver) forget(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.boxes.Remove(b.ID())
	delete(d.slots, b.slot)
}

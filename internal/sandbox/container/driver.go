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
	"crypto/sha256"
	"encoding/binary"
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
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/container/scratch"
	"github.com/lambdad/lambdad/internal/sandbox/container/seccomp"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
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
	lock       *os.File
	init       *os.File // lambdad-init, executed through its descriptor
	rootless   bool
	groups     *cgroup.Parent
	egress     egressDoor
	disks      *scratch.Disks // nil if /tmp must be in memory
	dynmods    *os.File       // nil if the host has none
	filter     []byte
	spawner    *spawner
	parks      chan struct{} // a token for each sandbox being made
	firstSlot  uint32
	unenforced []string
	// processesHard is the hard RLIMIT_NPROC where the pids group keeps the limit, or 0.
	processesHard int32

	mu     sync.Mutex
	boxes  map[sandbox.ID]*box
	slots  map[uint32]bool
	next   uint32
	closed bool
}

// New opens the driver. It makes no sandbox and removes nothing; call Reap before the first Park.
func New(options Options) (*Driver, error) {
	if options.StateDir == "" {
		return nil, errors.New("container: no state directory")
	}
	unignoreSignals()
	dir, err := filepath.Abs(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	d := &Driver{
		log:      options.Log,
		dir:      dir,
		rootless: os.Geteuid() != 0,
		filter:   seccomp.Filter(),
		parks:    make(chan struct{}, parksPerCPU*runtime.NumCPU()),
		boxes:    map[sandbox.ID]*box{},
		slots:    map[uint32]bool{},
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
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
	d.firstSlot = binary.BigEndian.Uint32(name[:]) % slotsMax
	parent := options.CgroupParent
	if parent == "" {
		parent = "lambdad-" + hex.EncodeToString(name[:6])
	}
	d.egress.options = egress.Options{
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
		d.unenforced = append(d.unenforced, tmpInMemory)
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

// lockDir makes sure that no other process uses the directory: it would reap
// sandboxes that are alive.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("container: %s is in use by another lambdad: %w", dir, err), f.Close())
	}
	return f, nil
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "container" }

// Unenforced names the limits that this host gives no means to enforce.
func (d *Driver) Unenforced() []string { return d.unenforced }

// Reap implements sandbox.Driver. Processes of an earlier lambdad die with it,
// and their namespaces and mounts with them; a frozen one, and the control
// groups, stay until they are found here by the node's own group name.
func (d *Driver) Reap(ctx context.Context) (int, error) {
	orphans, err := d.groups.Orphans()
	if err != nil {
		return 0, fmt.Errorf("container: reap: %w", err)
	}
	reaped := 0
	errs := []error{d.egress.reap(), d.removeHalfMade()}
	for id, group := range orphans {
		d.mu.Lock()
		alive := d.boxes[sandbox.ID(id)] != nil
		d.mu.Unlock()
		if alive {
			continue
		}
		if err := group.Kill(ctx); err != nil {
			errs = append(errs, fmt.Errorf("container: reap %s: %w", id, err))
			continue
		}
		if err := group.Remove(); err != nil {
			errs = append(errs, fmt.Errorf("container: reap %s: %w", id, err))
			continue
		}
		reaped++
	}
	return reaped, errors.Join(errs...)
}

// halfMade are the names of files that exist only while they are being made.
var halfMade = []string{pid1.Name + ".tmp-*", "scratch-*", "image-*", "loop-*"}

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
	return errors.Join(errors.Join(errs...), d.spawner.close(), d.groups.Remove(), d.egress.close(), d.release())
}

// release closes what the driver holds open.
func (d *Driver) release() error {
	var errs []error
	if d.disks != nil {
		errs = append(errs, d.disks.Close())
	}
	for _, f := range []*os.File{d.dynmods, d.init, d.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// register takes the id and a free range of user ids.
func (d *Driver) register(b *box) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return fmt.Errorf("container: driver closed: %w", sandbox.ErrDestroyed)
	case d.boxes[b.id] != nil:
		return fmt.Errorf("container: sandbox %q exists", b.id)
	case len(d.slots) >= slotsMax:
		return fmt.Errorf("container: more than %d sandboxes", slotsMax)
	}
	for d.slots[d.next%slotsMax] {
		d.next++
	}
	b.slot = d.next % slotsMax
	d.next++
	d.slots[b.slot] = true
	d.boxes[b.id] = b
	return nil
}

func (d *Driver) forget(b *box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.boxes, b.id)
	delete(d.slots, b.slot)
}

package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
	"github.com/lambdad/lambdad/internal/sandbox/probe"
)

// drivers are the sandbox drivers of this node, each made when it is first needed: most nodes
// need one.
type drivers struct {
	config Config
	log    *slog.Logger

	mu     sync.Mutex
	made   map[record.Isolation]sandbox.Driver
	closed bool
}

func newDrivers(c Config, log *slog.Logger) *drivers {
	return &drivers{config: c, log: log, made: map[record.Isolation]sandbox.Driver{}}
}

// stateDir is where a driver keeps what it must find again after a crash.
func stateDir(c Config, i record.Isolation) string {
	if i == record.IsolationContainer {
		return filepath.Join(c.Data, "sandboxes")
	}
	return filepath.Join(c.Data, "sandboxes-"+string(i))
}

// begin makes the drivers that are configured, and those that an earlier lambdad left
// something of, so that it is removed now.
func (d *drivers) begin(ctx context.Context, used []record.Isolation) error {
	needed := map[record.Isolation]bool{}
	for _, i := range used {
		needed[i] = true
		if _, err := d.driver(ctx, i); err != nil {
			return fmt.Errorf("isolation %s, which is configured: %w", i, err)
		}
	}
	for _, i := range record.Isolations() {
		if _, err := os.Stat(stateDir(d.config, i)); needed[i] || err != nil {
			continue
		}
		if _, err := d.driver(ctx, i); err != nil {
			d.log.Warn("what an earlier lambdad may have left is not removed", "isolation", i, "error", err)
		}
	}
	return nil
}

// driver returns the driver of an isolation, making it if it is new. The text of its error is
// for the operator.
func (d *drivers) driver(ctx context.Context, i record.Isolation) (sandbox.Driver, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if made := d.made[i]; made != nil {
		return made, nil
	}
	if d.closed {
		return nil, errors.New("lambdad is stopping")
	}
	driver, err := openDriver(ctx, d.config, i, d.log)
	if err != nil {
		return nil, err
	}
	reaped, err := driver.Reap(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("remove what an earlier lambdad left: %w", err), driver.Close())
	}
	if reaped > 0 {
		d.log.Info("removed what an earlier lambdad left", "sandboxes", reaped, "isolation", i)
	}
	d.made[i] = driver
	return driver, nil
}

// Close closes the drivers that were made.
func (d *drivers) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	var errs []error
	for _, driver := range d.made {
		errs = append(errs, driver.Close())
	}
	return errors.Join(errs...)
}

func openDriver(ctx context.Context, c Config, i record.Isolation, log *slog.Logger) (sandbox.Driver, error) {
	dir := stateDir(c, i)
	switch i {
	case record.IsolationContainer:
		driver, err := container.New(container.Options{StateDir: dir, Log: log})
		if err != nil {
			return nil, err
		}
		if unenforced := driver.Unenforced(); len(unenforced) > 0 {
			log.Warn("this host does not let lambdad enforce all limits; `lambdad doctor` says why", "unenforced", unenforced)
		}
		if f := probe.DataFolder(ctx, c.Data); f.Status != probe.OK {
			log.Warn(f.Detail, "remedy", f.Remedy)
		}
		return driver, nil
	case record.IsolationGVisor:
		driver, err := gvisor.New(gvisor.Options{StateDir: dir, Runsc: c.Runsc, ToolsDir: ToolsDir(c), Log: log})
		if err != nil {
			return nil, err
		}
		if unenforced := driver.Unenforced(); len(unenforced) > 0 {
			log.Warn("this host does not let lambdad enforce all limits of gVisor sandboxes; `lambdad doctor` says why", "unenforced", unenforced)
		}
		return driver, nil
	case record.IsolationMicroVM:
		return microvm.New(microvm.Options{StateDir: dir, KernelDir: MicroVMDir(c), Firecracker: c.Firecracker, ToolsDir: ToolsDir(c), Log: log})
	default:
		return nil, fmt.Errorf("no driver is named %q: %w", i, sandbox.ErrUnsupported)
	}
}

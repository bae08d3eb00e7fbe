// Package workertest owns stand-ins for what surrounds a worker: a sandbox
// driver whose programs are Go functions on loopback listeners, and doors that
// remember what they were told. It is for tests only, and must never be imported
// by a room's own code, because nothing in it isolates anything.
package workertest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// Main is a program: it runs until it returns how it ended or ctx ends, which is
// its SIGKILL.
type Main func(ctx context.Context, p *Proc) sandbox.Exit

// Proc is what a program sees.
type Proc struct {
	API    string // host:port of the Runtime API
	Spec   sandbox.StartSpec
	Stdout io.Writer
	// Copy: the program is a copy of a template's, and goes on where that one waits.
	Copy bool
}

// Driver is a sandbox.Driver without isolation.
type Driver struct {
	Main Main
	// ParkErr and StartErr, if set, are asked before each step.
	ParkErr, StartErr func() error
	// PreloadErr and TemplateErr, if set, are asked before a program is started ahead or
	// taken over. Preloads says whether sandboxes are Preloaders.
	PreloadErr, TemplateErr func() error
	// Usage is what every sandbox says of itself; nil says 36 MiB.
	Usage func() sandbox.Usage

	mu                           sync.Mutex
	live                         map[*box]struct{}
	parked                       int
	started                      int
	frozen                       int
	thawed                       int
	preloaded, templates, copies int
	shares                       []int // every CPU share that a sandbox was given after its start
}

// Name implements sandbox.Driver.
func (d *Driver) Name() string { return "fake" }

// Reap implements sandbox.Driver.
func (d *Driver) Reap(context.Context) (int, error) { return 0, nil }

// Close implements sandbox.Driver.
func (d *Driver) Close() error { return nil }

// Counts tells what happened so far, and how many sandboxes live.
func (d *Driver) Counts() (live, parked, started, frozen, thawed int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.live), d.parked, d.started, d.frozen, d.thawed
}

// Shares are the CPU shares that sandboxes were given after their start, in order.
func (d *Driver) Shares() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.shares)
}

// Park implements sandbox.Driver.
func (d *Driver) Park(_ context.Context, spec sandbox.ParkSpec) (sandbox.Sandbox, error) {
	if d.ParkErr != nil {
		if err := d.ParkErr(); err != nil {
			return nil, err
		}
	}
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	endpoint, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		api.Close()
		return nil, err
	}
	b := &box{driver: d, id: spec.ID, api: api, endpoint: endpoint}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live == nil {
		d.live = map[*box]struct{}{}
	}
	d.live[b] = struct{}{}
	d.parked++
	return b, nil
}

// Ahead tells how many programs were started ahead, how many templates there are, and how
// many sandboxes were made of templates.
func (d *Driver) Ahead() (preloaded, templates, copies int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.preloaded, d.templates, d.copies
}

type box struct {
	copy          *template
	driver        *Driver
	id            sandbox.ID
	api, endpoint net.Listener

	mu        sync.Mutex
	prog      *program
	furnished bool
	destroyed bool
}

func (b *box) ID() sandbox.ID           { return b.id }
func (b *box) RuntimeAPI() net.Listener { return b.api }
func (b *box) Endpoint() net.Listener   { return b.endpoint }

func (b *box) Start(_ context.Context, spec sandbox.StartSpec) (sandbox.Program, error) {
	if b.driver.StartErr != nil {
		if err := b.driver.StartErr(); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.destroyed:
		return nil, sandbox.ErrDestroyed
	case b.furnished:
		return nil, errors.New("workertest: started twice")
	}
	b.furnished = true
	b.driver.mu.Lock()
	b.driver.started++
	b.driver.mu.Unlock()
	if b.prog != nil {
		return b.prog, nil // Preload started it
	}
	if t := b.copy; t != nil && (t.owner != spec.Owner || t.codeDir != spec.CodeDir) {
		return nil, errors.New("workertest: a copy of another owner's or another code's program")
	}
	return b.run(spec)
}

// Preload implements sandbox.Preloader.
func (b *box) Preload(_ context.Context, spec sandbox.PreloadSpec) error {
	if b.driver.PreloadErr != nil {
		if err := b.driver.PreloadErr(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.driver.mu.Lock()
	b.driver.preloaded++
	b.driver.mu.Unlock()
	_, err := b.run(sandbox.StartSpec{Argv: spec.Argv, Env: spec.Env, Mounts: spec.Mounts})
	return err
}

func (b *box) run(spec sandbox.StartSpec) (sandbox.Program, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ctx, kill := context.WithCancel(context.Background())
	p := &program{out: r, kill: kill, done: make(chan struct{}), spec: spec}
	b.prog = p
	go func() {
		p.exit = b.driver.Main(ctx, &Proc{API: b.api.Addr().String(), Spec: spec, Stdout: w, Copy: b.copy != nil})
		if ctx.Err() != nil {
			p.exit = sandbox.Exit{Signal: syscall.SIGKILL}
		}
		p.exit.Ended = time.Now()
		w.Close()
		close(p.done)
	}()
	return p, nil
}

// LimitCPU implements sandbox.CPULimiter.
func (b *box) LimitCPU(_ context.Context, milli int) error {
	b.driver.mu.Lock()
	defer b.driver.mu.Unlock()
	b.driver.shares = append(b.driver.shares, milli)
	return nil
}

func (b *box) Freeze(context.Context) error {
	b.driver.mu.Lock()
	defer b.driver.mu.Unlock()
	b.driver.frozen++
	return nil
}

func (b *box) Thaw(context.Context) error {
	b.driver.mu.Lock()
	defer b.driver.mu.Unlock()
	b.driver.thawed++
	return nil
}

func (b *box) Usage(context.Context) (sandbox.Usage, error) {
	if b.driver.Usage != nil {
		return b.driver.Usage(), nil
	}
	return sandbox.Usage{MemoryBytes: 30 << 20, MemoryPeakBytes: 36 << 20}, nil
}

func (b *box) Destroy(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.destroyed {
		return nil
	}
	b.destroyed = true
	b.api.Close()
	b.endpoint.Close()
	if b.prog != nil {
		b.prog.kill()
		<-b.prog.done
	}
	b.driver.mu.Lock()
	defer b.driver.mu.Unlock()
	delete(b.driver.live, b)
	return nil
}

type program struct {
	out  *os.File
	kill context.CancelFunc
	done chan struct{}
	exit sandbox.Exit
	spec sandbox.StartSpec
}

func (p *program) Output() io.Reader           { return p.out }
func (p *program) Done() <-chan struct{}       { return p.done }
func (p *program) Exit() sandbox.Exit          { return p.exit }
func (p *program) Signal(syscall.Signal) error { p.kill(); return nil }

package sandboxtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// patience bounds every wait of the suite; nothing comes near it unless broken, but for a fork bomb in an
// emulated machine, which takes half of it.
const patience = 2 * time.Minute

// programTarget is where the suite's program lies inside.
const programTarget = "/usr/local/bin/program"

// Harness parks and starts the suite's program with a driver. The isolation
// suite uses it too.
type Harness struct {
	Driver  sandbox.Driver
	Program string // on the host
	prefix  string

	ownKernel bool
}

// NewHarness builds the program.
func NewHarness(t testing.TB, driver sandbox.Driver) *Harness {
	t.Helper()
	return &Harness{Driver: driver, Program: Build(t, ProgramPackage), prefix: "t" + strings.ToLower(rand.Text()[:10])}
}

// ID makes an id that no other test uses.
func (h *Harness) ID() sandbox.ID {
	return sandbox.ID(h.prefix + "-" + strings.ToLower(rand.Text()[:10]))
}

// ParkSpec holds the program and nothing else.
func (h *Harness) ParkSpec() sandbox.ParkSpec {
	return sandbox.ParkSpec{
		ID:     h.ID(),
		Rootfs: sandbox.Rootfs{Mounts: []sandbox.Mount{{Source: h.Program, Target: programTarget}}},
	}
}

// StartSpec runs a deed of the program.
func (h *Harness) StartSpec(deed ...string) sandbox.StartSpec {
	return sandbox.StartSpec{
		Owner:  "000000000000",
		Label:  "sandboxtest",
		Argv:   append([]string{programTarget}, deed...),
		Env:    []string{"GOTRACEBACK=none"},
		Dir:    "/tmp",
		Limits: sandbox.Limits{MemoryMiB: 128, CPUMilli: 2000, TmpMiB: 512},
	}
}

// Park parks a sandbox that is destroyed with the test.
func (h *Harness) Park(t testing.TB, change func(*sandbox.ParkSpec)) sandbox.Sandbox {
	t.Helper()
	spec := h.ParkSpec()
	if change != nil {
		change(&spec)
	}
	s, err := h.Driver.Park(within(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Deed is one that was started.
type Deed struct {
	sandbox.Sandbox
	sandbox.Program
	text *recorder
}

// Start parks a sandbox and starts a deed in it.
func (h *Harness) Start(t testing.TB, change func(*sandbox.StartSpec), deed ...string) *Deed {
	t.Helper()
	return h.StartIn(t, h.Park(t, nil), change, deed...)
}

// StartIn starts a deed in a parked sandbox.
func (h *Harness) StartIn(t testing.TB, s sandbox.Sandbox, change func(*sandbox.StartSpec), deed ...string) *Deed {
	t.Helper()
	spec := h.StartSpec(deed...)
	if change != nil {
		change(&spec)
	}
	p, err := s.Start(within(t), spec)
	if err != nil {
		t.Fatal(err)
	}
	return &Deed{Sandbox: s, Program: p, text: record(p.Output())}
}

// Text is what the program has written so far.
func (r *Deed) Text() string { return r.text.String() }

// Wait returns everything that was written and how the program ended.
func (r *Deed) Wait(t testing.TB) (string, sandbox.Exit) {
	t.Helper()
	ctx := within(t)
	select {
	case <-r.Done():
	case <-ctx.Done():
		t.Fatal("the program does not end")
	}
	select {
	case <-r.text.done:
	case <-ctx.Done():
		t.Fatal("the output does not end")
	}
	return strings.TrimSpace(r.text.String()), r.Exit()
}

// Do runs a deed to its end in a sandbox of its own and returns what it wrote.
func (h *Harness) Do(t testing.TB, deed ...string) string {
	t.Helper()
	out, _ := h.Start(t, nil, deed...).Wait(t)
	return out
}

// Await waits until the output so far satisfies ok.
func (r *Deed) Await(t testing.TB, ok func(string) bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		changed := r.text.changed()
		if ok(r.text.String()) {
			return
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
			t.Fatalf("the program only wrote %q", r.text.String())
		}
	}
}

// enforced skips the test where the host cannot enforce a limit.
func enforced(t testing.TB, s sandbox.Sandbox, limit string) {
	t.Helper()
	u, err := s.Usage(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(u.Unenforced, limit) {
		t.Skipf("this host does not enforce %s", limit)
	}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// recorder collects output as it comes.
type recorder struct {
	done chan struct{}
	turn chan chan struct{} // holds the channel that the next change closes
	lock chan struct{}
	text bytes.Buffer
}

// recordMax bounds what a test remembers of a flood.
const recordMax = 1 << 20

func record(from io.Reader) *recorder {
	r := &recorder{done: make(chan struct{}), turn: make(chan chan struct{}, 1), lock: make(chan struct{}, 1)}
	r.turn <- make(chan struct{})
	go func() {
		defer close(r.done)
		p := make([]byte, 64<<10)
		for {
			n, err := from.Read(p)
			r.lock <- struct{}{}
			r.text.Write(p[:min(n, recordMax-r.text.Len())])
			<-r.lock
			close(<-r.turn)
			r.turn <- make(chan struct{})
			if err != nil {
				return
			}
		}
	}()
	return r
}

func (r *recorder) String() string {
	r.lock <- struct{}{}
	defer func() { <-r.lock }()
	return r.text.String()
}

func (r *recorder) changed() <-chan struct{} {
	c := <-r.turn
	r.turn <- c
	return c
}

// dirWith makes a directory that holds one file.
func dirWith(t testing.TB, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, name), content)
	return dir
}

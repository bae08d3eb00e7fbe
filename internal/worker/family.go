package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// family is the processes of an environment with external extensions: those, and the runtime. They are
// started by a program of lambdad's in the sandbox (cmd/lambdad-init/extend.c), which does what
// is written to line and tells how each of them ended.
type family struct {
	box      sandbox.Program // the program that starts the others
	usage    func() (sandbox.Usage, error)
	session  Session
	log      *envLog
	answered chan struct{} // a token for each order P that was obeyed

	runtime    *member
	extensions []*member

	// faulted is closed when an extension ended that should not have; fault tells how.
	faulted   chan struct{}
	faultOnce sync.Once
	fault     string
	ending    atomic.Bool // the environment ends: extensions may, too
	partial   []byte      // the last line's beginning of what extensions wrote; listen's alone

	mu   sync.Mutex
	line net.Conn // nil until begin
}

// member is one process of a family. It is the sandbox.Program of the runtime.
type member struct {
	family  *family
	index   int
	name    string
	path    string     // of its program
	started chan error // how its start went
	running atomic.Bool
	done    chan struct{}
	once    sync.Once
	exit    sandbox.Exit
}

const (
	// orderMax bounds a line of what the sandbox tells.
	orderMax = 64
	// familyOutputMax bounds a piece of output.
	familyOutputMax = 64 << 10
	// orderWait bounds the writing of an order.
	orderWait = time.Second
	// flushWait bounds the wait for what extensions have written.
	flushWait = 200 * time.Millisecond
)

var (
	errFamilyLine = errors.New("worker: what starts the extensions speaks nonsense")
	errNoLine     = errors.New("worker: what starts the extensions has not asked for orders")
)

// newFamily is of a program that has just been started.
func newFamily(box sandbox.Program, usage func() (sandbox.Usage, error), session Session, log *envLog, names []string, runtime string) *family {
	f := &family{box: box, usage: usage, session: session, log: log, faulted: make(chan struct{}), answered: make(chan struct{}, 1)}
	f.runtime = f.member(0, "", runtime)
	for i, name := range names {
		f.extensions = append(f.extensions, f.member(i+1, name, extensionPath(name)))
	}
	go func() {
		<-box.Done()
		for _, m := range f.members() {
			m.end(box.Exit())
		}
	}()
	return f
}

func (f *family) member(index int, name, path string) *member {
	return &member{family: f, index: index, name: name, path: path, started: make(chan error, 1), done: make(chan struct{})}
}

func (f *family) members() []*member { return append([]*member{f.runtime}, f.extensions...) }

// begin starts the extensions and, when they have registered, the runtime. A *launchError tells which of them
// could not be executed. Source: AWS's published runtime interface code, for the order.
func (f *family) begin(ctx context.Context) error {
	line, err := f.session.Processes(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.line = line
	f.mu.Unlock()
	go f.listen(line)
	for _, m := range f.extensions {
		if err := m.start(ctx); err != nil {
			return err
		}
	}
	if err := f.session.Registered(ctx); err != nil {
		return err
	}
	return f.runtime.start(ctx)
}

// launchError is a process that could not be executed.
type launchError struct {
	*sandbox.ExecError
	member *member
}

// start starts the process.
func (m *member) start(ctx context.Context) error {
	if err := m.family.order("S%d", m.index); err != nil {
		return err
	}
	select {
	case err := <-m.started:
		return err
	case <-m.done:
		return runtimeapi.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *family) order(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line == nil {
		return errNoLine
	}
	_ = f.line.SetWriteDeadline(time.Now().Add(orderWait)) // its error is the write's
	if _, err := fmt.Fprintf(f.line, format+"\n", args...); err != nil {
		return fmt.Errorf("order of processes: %w", err)
	}
	return nil
}

func (m *member) began(err error) {
	m.running.Store(err == nil)
	select {
	case m.started <- err:
	default:
	}
}

// ended notes the end of a process. One of an extension that was not asked to end is a fault of the
// environment's.
func (m *member) ended(status syscall.WaitStatus) {
	x := sandbox.Exit{Code: max(0, status.ExitStatus()), Ended: time.Now()}
	if status.Signaled() {
		x.Code, x.Signal = 0, status.Signal()
		u, err := m.family.usage()
		x.OOM = x.Signal == syscall.SIGKILL && err == nil && u.OOMKills > 0
	}
	m.end(x)
	if m.index == 0 || m.family.ending.Load() {
		return
	}
	text := "exit code 0"
	switch {
	case x.Signal != 0:
		text = "signal: " + x.Signal.String()
	case x.Code != 0:
		text = "exit status " + strconv.Itoa(x.Code)
	}
	m.family.fail(text, runtimeapi.ExtensionCrash, m.name, "")
}

// fail ends the invocation in hand for what an extension did. Only the first counts.
func (f *family) fail(text, errorType, name, own string) {
	f.session.ExtensionFailed(name, errorType, own)
	f.faultOnce.Do(func() {
		f.fault = text
		close(f.faulted)
	})
	f.session.Interrupt()
}

// broken reports whether an extension has ended that should not have.
func (f *family) broken() bool {
	select {
	case <-f.faulted:
		return true
	default:
		return false
	}
}

func (m *member) end(x sandbox.Exit) {
	m.once.Do(func() {
		m.running.Store(false)
		m.exit = x
		close(m.done)
	})
}

// Output implements sandbox.Program.
func (m *member) Output() io.Reader { return m.family.box.Output() }

// Done implements sandbox.Program.
func (m *member) Done() <-chan struct{} { return m.done }

// Exit implements sandbox.Program.
func (m *member) Exit() sandbox.Exit {
	select {
	case <-m.done:
		return m.exit
	default:
		return sandbox.Exit{}
	}
}

// Signal implements sandbox.Program.
func (m *member) Signal(s syscall.Signal) error {
	if !m.running.Load() {
		return os.ErrProcessDone
	}
	return m.family.order("K%d %d", m.index, int(s))
}

// close gives the line up. The sandbox has been removed.
func (f *family) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != nil {
		f.line.Close()
	}
}

package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
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

// listen reads what the sandbox tells until it has ended. It is a stranger's: nothing that it
// says reaches further than its own environment.
func (f *family) listen(line net.Conn) {
	in := bufio.NewReaderSize(line, orderMax)
	for {
		text, err := in.ReadSlice('\n')
		if err != nil || len(text) < 2 {
			break
		}
		if f.take(in, text[0], string(text[1:len(text)-1])) != nil {
			break
		}
	}
	line.Close()
}

func (f *family) take(in io.Reader, kind byte, text string) error {
	if kind == 'P' {
		f.writeRest()
		select {
		case f.answered <- struct{}{}:
		default:
		}
		return nil
	}
	first, second, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return errFamilyLine
	}
	if kind == 'O' {
		if n > familyOutputMax {
			return errFamilyLine
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		f.write(b)
		return nil
	}
	if n > len(f.extensions) {
		return errFamilyLine
	}
	m := f.members()[n]
	switch kind {
	case 'S':
		m.began(nil)
	case 'E':
		errno, err := strconv.ParseUint(second, 10, 16)
		if err != nil {
			return errFamilyLine
		}
		m.began(&launchError{&sandbox.ExecError{Path: m.path, Err: syscall.Errno(errno)}, m})
	case 'X':
		status, err := strconv.ParseUint(second, 10, 32)
		if err != nil {
			return errFamilyLine
		}
		m.ended(syscall.WaitStatus(status))
	default:
		return errFamilyLine
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

// write takes what extensions wrote into the log, in whole lines: the runtime's lie between.
func (f *family) write(b []byte) {
	whole := bytes.LastIndexByte(b, '\n') + 1
	if whole == 0 {
		if f.partial = append(f.partial, b...); len(f.partial) > eventBytesMax {
			f.writeRest()
		}
		return
	}
	f.log.writeExtension(append(f.partial, b[:whole]...))
	f.partial = append(f.partial[:0], b[whole:]...)
}

// writeRest takes a line whose end has not come.
func (f *family) writeRest() {
	if len(f.partial) > 0 {
		f.log.writeExtension(f.partial)
		f.partial = f.partial[:0]
	}
}

// flush waits until everything that extensions have written is in the log.
func (f *family) flush() {
	select {
	case <-f.answered: // of an order that was given up
	default:
	}
	if f.order("P") != nil {
		return
	}
	select {
	case <-f.answered:
	case <-f.box.Done():
	case <-time.After(flushWait):
	}
}

// close gives the line up. The sandbox has been removed.
func (f *family) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != nil {
		f.line.Close()
	}
}

package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	// lastWords bounds the wait for what a runtime sent just before it ended.
	lastWords = 200 * time.Millisecond
	// exitWait bounds the wait for the exit status of a runtime whose session ended.
	exitWait = 2 * time.Second
	// outputWait bounds the wait for the last output of a program that ended.
	outputWait = 200 * time.Millisecond
	// outputChunk is read at once; it is also memory of each idle environment.
	outputChunk = 8 << 10
	// drainBytesMax bounds what one invoke's end takes out of the pipe: a full one.
	drainBytesMax = 64 << 10
	// drainQuiet is how long an output that cannot be asked must be silent.
	drainQuiet = time.Millisecond
)

// process is one sandbox with a started program and its Runtime API session.
type process struct {
	box        sandbox.Sandbox
	program    sandbox.Program
	session    Session
	log        *envLog
	ctx        context.Context // ends when an invoke ran out of time or the process is closed
	cancel     context.CancelFunc
	timer      *time.Timer                // the invoke's timeout; armed only while one runs
	boost      atomic.Pointer[time.Timer] // ends the share of INIT
	timedOut   atomic.Bool
	exited     atomic.Bool
	exitSeen   chan struct{}
	outputDone chan struct{}
	lastOutput atomic.Int64
	raw        syscall.RawConn // the output's pipe, nil if it is none
	drainBuf   []byte

	family       *family     // nil without external extensions
	internal     atomic.Bool // internal ones have registered
	initFailed   atomic.Bool
	shuttingDown atomic.Bool

	closeOnce sync.Once
}

// close removes the sandbox and ends the session, in this order, so that the
// program never sees its Runtime API go and complains in the log. It is idempotent.
func (p *process) close(w *Worker) {
	p.closeOnce.Do(func() {
		p.timer.Stop()
		if boost := p.boost.Load(); boost != nil {
			boost.Stop()
		}
		p.cancel()
		p.log.endTelemetry()
		w.destroySandbox(p.box)
		if p.family != nil {
			p.family.close()
		}
		if err := p.session.Close(); err != nil {
			w.log.Warn("a runtime API session did not end well", "sandbox", p.box.ID(), "error", err)
		}
	})
}

// ready reports whether the runtime waits for an invocation, now or within grace.
func (p *process) ready(grace time.Duration) bool {
	if p.session.WaitNext(alreadyOver) == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(p.ctx, grace)
	defer cancel()
	return p.session.WaitNext(ctx) == nil
}

// alreadyOver asks without waiting.
var alreadyOver = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// expire is the timer's: the invoke has run out of time.
func (p *process) expire() {
	p.timedOut.Store(true)
	p.cancel() // wakes the invoke that waits
}

// watch ends the session when the program ends.
func (p *process) watch() {
	<-p.program.Done()
	p.exited.Store(true)
	close(p.exitSeen)
	ctx, cancel := context.WithTimeout(p.ctx, lastWords)
	defer cancel()
	// Its error says what close will find again.
	_ = p.session.Drain(ctx)
}

// initOutcome is how an INIT ended.
type initOutcome struct {
	took      time.Duration
	status    string
	errorType string
	payload   []byte // the runtime's own words, if it had any
	text      string // the platform's words after "Error: "
	oom       bool
}

// waitReady waits for the end of INIT.
func (p *process) waitReady(began time.Time, limit time.Duration) initOutcome {
	ctx, cancel := context.WithDeadline(context.Background(), began.Add(limit))
	defer cancel()
	err := p.begin(ctx)
	if err == nil && p.family != nil && p.session.WaitRuntime(ctx) == nil {
		p.log.initRuntimeDone()
	}
	if err == nil {
		err = p.session.Ready(ctx)
	}
	o := initOutcome{took: time.Since(began), status: StatusSuccess}
	var refused *runtimeapi.InitError
	var unlaunched *launchError
	switch {
	case err == nil:
		p.internal.Store(p.session.Extensions() != nil)
	case errors.As(err, &unlaunched):
		o.status = StatusFailure
		o.text, o.errorType = p.unlaunched(unlaunched)
	case errors.As(err, &refused):
		o.status, o.errorType, o.payload = StatusError, refused.ErrorType, refused.Payload
	case ctx.Err() != nil:
		o.status, o.took = StatusTimeout, limit
		p.timedOut.Store(true)
	default:
		o.status = StatusFailure
		o.text, o.errorType, o.oom = p.exitText()
		p.awaitOutput()
	}
	p.initFailed.Store(o.status != StatusSuccess)
	return o
}

// exitText tells how the program ended, in AWS's words. Source: the recorded
// test_lambda_runtime_exit; REPORT lines of functions that ran out of memory
// carry Runtime.OutOfMemory.
//
// What an extension did first names the end, even the runtime's.
func (p *process) exitText() (text, errorType string, oom bool) {
	var faulted <-chan struct{}
	if p.family != nil {
		faulted = p.family.faulted
	}
	select {
	case <-faulted:
		return p.family.fault, p.session.ExtensionFault(), false
	case <-p.exitSeen:
		text, errorType, oom = p.runtimeExit()
		if fault := p.session.ExtensionFault(); fault != "" {
			errorType = fault
		}
		return text, errorType, oom
	case <-time.After(exitWait):
		// It lives but its Runtime API connection is gone for good.
		return "Runtime exited without providing a reason", "Runtime.ExitError", false
	}
}

func (p *process) runtimeExit() (text, errorType string, oom bool) {
	switch x := p.program.Exit(); {
	case x.OOM:
		return "Runtime exited with error: signal: killed", "Runtime.OutOfMemory", true
	case x.Signal != 0:
		return "Runtime exited with error: signal: " + x.Signal.String(), "Runtime.ExitError", false
	case x.Code != 0:
		return fmt.Sprintf("Runtime exited with error: exit status %d", x.Code), "Runtime.ExitError", false
	default:
		return "Runtime exited without providing a reason", "Runtime.ExitError", false
	}
}

// awaitOutput waits until everything a dead program wrote is in the log.
func (p *process) awaitOutput() {
	if p.family != nil { // its output lives on
		p.drain()
		return
	}
	select {
	case <-p.outputDone:
	case <-time.After(outputWait):
	}
}

// pump carries the program's output to the log.
func (p *process) pump() {
	defer close(p.outputDone)
	buf := make([]byte, outputChunk)
	for {
		var n int
		var err error
		if p.raw != nil {
			n, err = p.readRaw(buf)
		} else if n, err = p.program.Output().Read(buf); n > 0 {
			p.lastOutput.Store(time.Now().UnixNano())
			p.log.write(buf[:n])
		}
		if err != nil || n < 0 {
			if err == errOutputEnded {
				// The output's own Read meets the end, too, and gives the pipe up.
				_, _ = p.program.Output().Read(buf)
			}
			return
		}
	}
}

var errOutputEnded = errors.New("output ended")

// readRaw reads with the log's lock held, so that drain knows that nothing is
// between the pipe and the log.
func (p *process) readRaw(buf []byte) (n int, err error) {
	rerr := p.raw.Read(func(fd uintptr) bool {
		p.log.mu.Lock()
		defer p.log.mu.Unlock()
		for {
			n, err = unix.Read(int(fd), buf)
			if err != unix.EINTR {
				break
			}
		}
		if err == unix.EAGAIN {
			return false
		}
		if n > 0 {
			p.log.writeLocked(buf[:n])
		} else if err == nil {
			err = errOutputEnded
		}
		return true
	})
	if rerr != nil {
		return 0, rerr
	}
	return n, err
}

// drain takes what the program has written so far into the log.
func (p *process) drain() {
	if p.family != nil {
		p.family.flush()
	}
	if p.raw == nil {
		p.drainByWaiting()
		return
	}
	if p.drainBuf == nil {
		p.drainBuf = make([]byte, outputChunk)
	}
	// An error means that the pipe is closed, and then pump has had everything.
	_ = p.raw.Control(func(fd uintptr) {
		p.log.mu.Lock()
		defer p.log.mu.Unlock()
		for taken := 0; taken < drainBytesMax; {
			n, err := unix.Read(int(fd), p.drainBuf)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				return
			}
			p.log.writeLocked(p.drainBuf[:n])
			taken += n
		}
	})
}

func (p *process) drainByWaiting() {
	for range 10 {
		last := p.lastOutput.Load()
		select {
		case <-p.outputDone:
			return
		case <-time.After(drainQuiet):
		}
		if p.lastOutput.Load() == last {
			return
		}
	}
}

// nonblocking returns the output's pipe if it can be read without waiting.
func nonblocking(output any) syscall.RawConn {
	c, ok := output.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	ok = false
	if err := raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		ok = err == nil && flags&unix.O_NONBLOCK != 0
	}); err != nil || !ok {
		return nil
	}
	return raw
}

package worker

import (
	"slices"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
)

// Bounds of the Shutdown phase. Source: Lambda developer guide, "Lambda execution environment
// lifecycle", Shutdown phase: nothing without a registered extension.
const (
	shutdownInternal = 500 * time.Millisecond
	shutdownExternal = 2 * time.Second
	// shutdownRuntime is the runtime's share of shutdownExternal. Source: AWS's published runtime
	// interface code, which gives it three tenths.
	shutdownRuntime = shutdownExternal * 3 / 10
)

// shutDown lets extensions end on their own: SIGTERM to the runtime, then SHUTDOWN to the external
// extensions that want it. Whatever is left when it returns is killed with its sandbox.
func (p *process) shutDown(reason string) {
	if !p.extended() || !p.shuttingDown.CompareAndSwap(false, true) {
		return
	}
	if p.family != nil {
		p.family.ending.Store(true)
	}
	p.session.Interrupt()
	began := time.Now()
	p.log.flushTelemetry()
	if p.family == nil {
		p.endRuntime(began.Add(shutdownInternal))
		return
	}
	deadline := began.Add(shutdownExternal)
	p.endRuntime(began.Add(shutdownRuntime))
	told := p.session.Shutdown(reason, deadline)
	defer p.family.flush()
	var waited []*member
	for _, m := range p.family.extensions {
		if slices.Contains(told, m.name) {
			waited = append(waited, m)
		} else {
			_ = m.Signal(syscall.SIGKILL) // its sandbox's end is next
		}
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for _, m := range waited {
		select {
		case <-m.done:
		case <-timer.C:
			return
		}
	}
}

// endRuntime asks the runtime to end, and makes it end at the deadline.
func (p *process) endRuntime(deadline time.Time) {
	if p.exited.Load() || p.program.Signal(syscall.SIGTERM) != nil {
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-p.exitSeen:
	case <-timer.C:
		_ = p.program.Signal(syscall.SIGKILL) // its sandbox's end is next
	}
}

// extended reports whether the environment has extensions.
func (p *process) extended() bool { return p.family != nil || p.internal.Load() }

// reason is why an environment ends, as SHUTDOWN tells it.
func (p *process) reason() string {
	switch {
	case p.timedOut.Load():
		return runtimeapi.ShutdownTimeout
	case p.gone(), p.initFailed.Load():
		return runtimeapi.ShutdownFailure
	}
	return runtimeapi.ShutdownSpindown
}

// gone reports whether a process has ended that the environment cannot do without.
func (p *process) gone() bool { return p.exited.Load() || p.family != nil && p.family.broken() }

package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	// StartedMaxDefault bounds the runtimes of this host that wait for a function.
	StartedMaxDefault = 16
	// startedMemoryDefault bounds their memory, as the kernel counts it.
	startedMemoryDefault = 512 << 20
	// startedGuess is what one is taken for before it is measured, or where it cannot be.
	startedGuess = 32 << 20
	// startedLotMax bounds those of one command line.
	startedLotMax = 8
	// preloadTimeout bounds the start of a runtime that nobody waits for.
	preloadTimeout = 10 * time.Second
)

// waitVariable makes lambdad's runtime clients wait in runtimeapi.GateStart.
const waitVariable = "_LAMBDAD_WAIT=1"

// parkedBox is a parked sandbox. If session is set, a runtime was started in it
// that waits for its function.
type parkedBox struct {
	sandbox.Sandbox
	session Session
	bytes   int64 // what the runtime holds
}

// alive reports whether the box is as it was parked.
func (b *parkedBox) alive() bool {
	return b.session == nil || b.session.WaitGate(alreadyOver, runtimeapi.GateStart) == nil
}

// startedKey is equal for runtimes that wait in the same way: heap limits are
// part of a command line.
func startedKey(rt Runtime) string {
	return strings.Join(rt.Argv, "\x00") + "\x00\x00" + strings.Join(rt.Env, "\x00")
}

// ahead reports whether a runtime that was started before the function can become
// the function's.
func (w *Worker) ahead(fn *record.Function, rt Runtime) bool {
	return w.opts.StartedMax > 0 && rt.Waits && len(rt.Argv) > 0 && !changesInterpreter(fn.Environment)
}

// changesInterpreter reports whether variables of the function change how an interpreter
// or the C library starts: such a function gets a runtime that was started with them.
func changesInterpreter(env map[string]string) bool {
	for name := range env {
		for _, prefix := range interpreterPrefixes {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		if name == "LANG" || name == execWrapperVariable {
			return true
		}
	}
	return false
}

var interpreterPrefixes = []string{
	"PYTHON", "NODE_", "UV_", "JAVA_", "JDK_", "_JAVA", "RUBY", "GEM_", "BUNDLE_",
	"LD_", "MALLOC_", "GLIBC_", "LC_", "OPENSSL_", "SSL_",
}

// parkStarted parks a sandbox and starts its runtime, which waits there.
func (w *Worker) parkStarted(ctx context.Context, rt Runtime) (*parkedBox, error) {
	ctx, cancel := context.WithTimeout(ctx, preloadTimeout)
	defer cancel()
	b, err := w.park(ctx, rt)
	if err != nil {
		return nil, err
	}
	box, ok := b.Sandbox.(sandbox.Preloader)
	if !ok {
		w.destroySandbox(b)
		return nil, fmt.Errorf("a driver that starts no runtime ahead: %w", sandbox.ErrUnsupported)
	}
	if err := box.Preload(ctx, sandbox.PreloadSpec{Mounts: rt.Mounts, Argv: rt.Argv, Env: append(listOf(baseVariables(rt)), waitVariable)}); err != nil {
		w.destroySandbox(b)
		return nil, fmt.Errorf("start a runtime ahead: %w", err)
	}
	b.session = w.opts.RuntimeAPI(b.RuntimeAPI(), runtimeapi.Options{Gates: runtimeapi.Gates{Start: true}})
	if err := b.session.WaitGate(ctx, runtimeapi.GateStart); err != nil {
		w.destroyParked(b)
		return nil, fmt.Errorf("a runtime that was started ahead does not wait: %w", err)
	}
	if u, err := b.Usage(ctx); err == nil {
		b.bytes = u.MemoryBytes
	}
	if b.bytes <= 0 {
		b.bytes = startedGuess
	}
	return b, nil
}

// destroyParked removes a parked sandbox, and then the session of its runtime, which
// would complain if it went first.
func (w *Worker) destroyParked(b *parkedBox) {
	w.destroySandbox(b)
	if b.session != nil {
		if err := b.session.Close(); err != nil {
			w.log.Warn("a runtime API session did not end well", "sandbox", b.ID(), "error", err)
		}
	}
}

// identity is what passes a gate: the whole environment of a program.
func identity(env []string) ([]byte, error) {
	variables := make(map[string]string, len(env))
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		variables[name] = value
	}
	return json.Marshal(struct {
		Environment map[string]string `json:"environment"`
	}{variables})
}

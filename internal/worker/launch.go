package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/runtimeapi"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// launch makes the environment's process in the shortest way there is: of a runtime that
// was started ahead, else in a parked sandbox. (Shorter still is a template: copyOf.)
func (e *Environment) launch(ctx context.Context, argv []string) (*process, error) {
	w := e.worker
	if w.ahead(e.fn, e.runtime) && len(e.extensions) == 0 {
		if box := w.lots.claimStarted(e.runtime); box != nil {
			p, err := e.become(ctx, box)
			if err == nil || ctx.Err() != nil {
				return p, err
			}
			w.log.Warn("a runtime that was started ahead could not be used", "function", e.fn.ID.ARN(), "error", err)
		}
	}
	box, err := w.lots.claim(ctx, e.runtime)
	if err != nil {
		return nil, fmt.Errorf("claim a sandbox: %w", err)
	}
	spec := e.startSpec(box)
	spec.Argv, spec.Env, spec.Dir = argv, e.variables(), e.runtime.Dir
	if len(e.extensions) > 0 {
		e.extend(&spec)
	}
	program, err := box.Start(ctx, spec)
	if err != nil {
		w.destroySandbox(box)
		return nil, fmt.Errorf("start the runtime: %w", err)
	}
	session := w.opts.RuntimeAPI(box.RuntimeAPI(), runtimeapi.Options{Function: e.function(), External: e.extensions})
	if len(e.extensions) == 0 {
		return e.newProcess(box, program, session), nil
	}
	return e.newFamilyProcess(box, program, session, argv[0]), nil
}

// function is what extensions are told of it.
func (e *Environment) function() runtimeapi.Function {
	return runtimeapi.Function{Name: e.fn.ID.Name, Version: e.fn.Version, Handler: e.fn.Handler, Account: e.fn.ID.Account}
}

// become makes a runtime that was started ahead the environment's.
func (e *Environment) become(ctx context.Context, box *parkedBox) (*process, error) {
	w := e.worker
	body, err := identity(e.variables())
	if err != nil {
		w.destroyParked(box)
		return nil, err
	}
	program, err := box.Start(ctx, e.startSpec(box))
	if err != nil {
		w.destroyParked(box)
		return nil, fmt.Errorf("furnish a started runtime: %w", err)
	}
	box.session.SetFunction(e.function())
	p := e.newProcess(box, program, box.session)
	if err := p.session.OpenGate(runtimeapi.GateStart, body); err != nil {
		p.close(w)
		return nil, err
	}
	return p, nil
}

// startSpec is everything but the program.
func (e *Environment) startSpec(box sandbox.Sandbox) sandbox.StartSpec {
	if b, ok := box.(*parkedBox); ok {
		box = b.Sandbox
	}
	return sandbox.StartSpec{
		Owner:   e.fn.ID.Account,
		Label:   e.fn.ID.QualifiedARN(e.fn.Version),
		CodeDir: e.codeDir,

		LayerDirs: e.layerDirs,
		Mounts:    e.runtime.Mounts,
		Limits:    limitsOf(e.fn, box, e.worker.opts.Strict),
	}
}

// variables are the environment's whole environment variables.
func (e *Environment) variables() []string {
	vars := variablesOf(e.fn, e.runtime, e.log.id, e.credentials, e.initialization())
	if e.restored {
		// Source: Lambda developer guide, "Monitoring for Lambda SnapStart": not available there.
		vars = slices.DeleteFunc(vars, func(v string) bool {
			return strings.HasPrefix(v, "AWS_LAMBDA_LOG_GROUP_NAME=") || strings.HasPrefix(v, "AWS_LAMBDA_LOG_STREAM_NAME=")
		})
	}
	return vars
}

// newProcess watches over a started program.
func (e *Environment) newProcess(box sandbox.Sandbox, program sandbox.Program, session Session) *process {
	if b, ok := box.(*parkedBox); ok {
		box = b.Sandbox // with its driver's further abilities
	}
	p := &process{
		box:        box,
		program:    program,
		session:    session,
		log:        e.log,
		exitSeen:   make(chan struct{}),
		outputDone: make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.timer = time.AfterFunc(time.Hour, p.expire)
	p.timer.Stop()
	p.raw = nonblocking(program.Output())
	e.log.listens(box)
	session.SetTelemetry(e.log)
	go p.pump()
	go p.watch()
	if e.worker.opts.Endpoint != nil {
		go e.worker.opts.Endpoint(box.Endpoint())
	}
	return p
}

package worker

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/runtimeapi"
)

// Metered is what one invoke consumed.
type Metered struct {
	Function     record.FunctionID
	Version      string
	TenantID     string
	Architecture string
	RequestID    aws.RequestID
	Began        time.Time
	Duration     time.Duration
	Init         time.Duration // 0 when the environment was warm
	Restore      time.Duration // likewise, of a snapshot
	Billed       time.Duration
	CPU          time.Duration // of the environment since it was last read
	MemoryMiB    int
	MaxMemoryMiB int
	TmpMiB       int    // ephemeral storage
	BytesOut     int    // of the answer
	Streamed     int64  // of BytesOut, what was streamed
	Runtime      string // the function's
	Provisioned  bool   // it ran in an environment that is kept ready by configuration
	Status       string // StatusSuccess, ...
	ErrorType    string
}

// settleSoonMax is how long an answer may wait for extensions, so that they are through when it is out. Most of
// them ask for the next event at once.
const settleSoonMax = 5 * time.Millisecond

// invokeRun is one invoke on its way through an environment, whose turn it holds.
type invokeRun struct {
	env            *Environment
	proc           *process
	in             *Invocation
	began          time.Time
	trace          trace
	init           time.Duration
	restore        restoreTook
	duration       time.Duration
	extensionsTook time.Duration       // beyond runtimeNext
	runtimeNext    time.Time           // when the runtime asked for the next invoke; zero: nobody waited for that
	outcome        *runtimeapi.Outcome // nil when the runtime did not answer
	status         string
	errorType      string
	oom            bool
	failure        *failure
	payload        []byte
}

// initAgain runs INIT inside the invoke, with the function's timeout. It
// returns nil when that failed too, and then the invoke is over. Source: Lambda
// developer guide, "Failures during the Init phase".
func (r *invokeRun) initAgain() *process {
	e := r.env
	o, err := e.init(context.Background(), phaseInvoke, e.timeout())
	if err == nil && o.status == StatusSuccess {
		e.initFailed = false
		return e.process()
	}
	r.proc = e.process()
	e.log.start(r.in.RequestID, &r.trace, r.in.WantTail)
	r.duration = min(time.Since(r.began), e.timeout())
	switch {
	case err != nil:
		e.worker.log.Error("an environment could not be started again", "function", e.fn.ID.ARN(), "error", err)
		r.fail(StatusFailure, "Runtime.ExitError", "Runtime exited without providing a reason")
	case o.status == StatusError:
		r.status, r.errorType = StatusError, o.errorType
		r.failure = &failure{}
		r.payload = o.payload
		if len(r.payload) == 0 {
			r.payload = errorPayload(o.errorType, "")
		}
	case o.status == StatusTimeout:
		r.timeOut()
	default:
		r.oom = o.oom
		r.fail(StatusFailure, o.errorType, o.text)
	}
	return nil
}

// invoke hands the invocation to the runtime and waits for its answer.
func (r *invokeRun) invoke() {
	e, p := r.env, r.proc
	deadline := r.began.Add(e.timeout())
	p.timer.Reset(time.Until(deadline))
	var err error
	r.outcome, err = p.session.Invoke(p.ctx, toRuntime(r.in, deadline, e.tenant))
	if err != nil || !p.extended() {
		p.timer.Stop()
	}
	r.duration = time.Since(r.began)
	if err != nil {
		r.broken()
		return
	}
	r.payload = r.outcome.Payload
	switch {
	case r.outcome.ErrorType != "":
		r.status, r.errorType = StatusError, r.outcome.ErrorType
	case len(r.payload) > runtimeapi.ResponseBytesMax:
		// A streamed answer to an invoke that wants it as a whole: the bound of whole answers
		// holds. Source: the recorded test_lambda_too_large_response.
		r.status, r.errorType = StatusError, "Function.ResponseSizeTooLarge"
		r.payload = []byte(`{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`)
	default:
		r.status = StatusSuccess
	}
}

// broken tells why a session ended under an invoke.
func (r *invokeRun) broken() {
	if r.proc.timedOut.Load() {
		r.duration = r.env.timeout()
		r.timeOut()
		return
	}
	text, errorType, oom := r.proc.exitText()
	r.proc.awaitOutput()
	r.oom = oom
	r.fail(StatusFailure, errorType, text)
}

func (r *invokeRun) timeOut() {
	r.status = StatusTimeout
	r.failure = &failure{timeout: r.env.timeout()}
	// Source: recorded answers of November 2025.
	text := string(appendSeconds([]byte("RequestId: "+string(r.in.RequestID)+" Error: Task timed out after "), r.env.timeout())) + " seconds"
	r.payload = errorPayload("Sandbox.Timedout", text)
}

func (r *invokeRun) fail(status, errorType, text string) {
	r.status, r.errorType = status, errorType
	r.failure = &failure{text: text, errorType: errorType}
	r.payload = errorPayload(errorType, "RequestId: "+string(r.in.RequestID)+" Error: "+text)
}

// finishInline ends the invoke before its answer goes out.
func (r *invokeRun) finishInline() Result {
	tail := r.finish()
	res := r.result()
	res.LogTail = tail
	return res
}

// finishExtended gives the answer at once, or its log as well, and the environment when the extensions are through.
// Source: Lambda developer guide, "Lambda extensions API", Invoke phase: the duration is that of runtime and
// extensions, and the timeout is for both.
func (r *invokeRun) finishExtended() Result {
	res := r.result()
	if r.failure == nil && !r.in.WantTail {
		if res.Unsettled = !r.settleSoon(); !res.Unsettled {
			r.env.idleSince.Store(time.Now().UnixNano())
		}
		go r.finishSettled()
		return res
	}
	res.LogTail = r.finishSettled()
	res.Reusable = res.Reusable && r.failure == nil && !r.proc.timedOut.Load()
	return res
}

func (r *invokeRun) finishSettled() []byte {
	r.awaitExtensions()
	r.env.idleSince.Store(time.Now().UnixNano())
	return r.finish()
}

// settleSoon waits a moment for extensions that were through at once the last time: an invoke that follows
// closely then has this environment and no other is started.
func (r *invokeRun) settleSoon() bool {
	if r.env.slowExtensions {
		return false
	}
	ctx, cancel := context.WithTimeout(r.proc.ctx, settleSoonMax)
	defer cancel()
	r.awaitRuntime(ctx)
	return r.proc.session.WaitNext(ctx) == nil && r.proc.timer.Stop()
}

// awaitRuntime waits until the runtime asks for the next invoke, and tells those who have subscribed to telemetry: they may
// wait for that before they are through themselves.
func (r *invokeRun) awaitRuntime(ctx context.Context) {
	p := r.proc
	p.session.Release()
	if !r.runtimeNext.IsZero() || p.session.WaitRuntime(ctx) != nil {
		return
	}
	r.runtimeNext = time.Now()
	if !r.env.log.hasSubscribers() {
		return
	}
	p.drain()
	rep := r.report()
	rep.duration = time.Since(r.began)
	r.env.log.runtimeDone(&rep, r.bytesOut())
}

// awaitExtensions waits until the runtime and the extensions ask for the next event. How it ends is for the
// log: the answer is what the runtime has given.
func (r *invokeRun) awaitExtensions() {
	p := r.proc
	if r.failure != nil {
		return
	}
	began, payload := time.Now(), r.payload
	r.awaitRuntime(p.ctx)
	err := p.session.WaitNext(p.ctx)
	p.timer.Stop()
	r.duration = time.Since(r.began)
	if !r.runtimeNext.IsZero() {
		r.extensionsTook = time.Since(r.runtimeNext)
	}
	r.env.slowExtensions = time.Since(began) > settleSoonMax
	if err == nil || p.shuttingDown.Load() {
		return
	}
	r.broken()
	r.payload = payload
}

// finish writes what closes the invoke's log, meters it and gives the turn back. After a
// good answer it runs behind it, or beside its way to the client.
func (r *invokeRun) finish() []byte {
	e, p := r.env, r.proc
	defer e.turn.Unlock()
	if p != nil {
		p.session.Release()
		p.drain()
	}
	cpu := e.readUsage(p, r.init > 0 || r.restore.whole > 0 || r.failure != nil)
	rep := r.report()
	tail := e.log.end(&rep, r.failure, r.bytesOut())
	if m := e.worker.opts.Meter; m != nil {
		m.Invoked(Metered{
			Function: e.fn.ID, Version: e.fn.Version, TenantID: e.tenant, Architecture: e.fn.Architecture, RequestID: r.in.RequestID, Began: r.began,
			Duration: r.duration, Init: r.init, Restore: r.restore.whole, Billed: rep.billed(), CPU: cpu,
			MemoryMiB: rep.memoryMiB, MaxMemoryMiB: rep.maxMemoryMiB, TmpMiB: e.fn.TmpMiB, BytesOut: r.bytesOut(),
			Streamed: r.streamed(), Runtime: e.fn.Runtime,
			Status: r.status, ErrorType: r.errorType, Provisioned: e.provisioned,
		})
	}
	return tail
}

// report is what the log tells of the invoke.
func (r *invokeRun) report() report {
	return report{
		requestID:    r.in.RequestID,
		duration:     r.duration,
		init:         r.init,
		restore:      r.restore,
		initBilled:   !r.env.provisioned,
		memoryMiB:    r.env.fn.MemoryMiB,
		maxMemoryMiB: r.maxMemoryMiB(),
		status:       r.status,
		errorType:    r.errorType,
		showStatus:   r.failure != nil,
		trace:        r.trace,
		began:        r.began,
		outcome:      r.outcome,
		runtimeNext:  r.runtimeNext,
		extensions:   r.extensionsTook,
	}
}

// bytesOut is the answer's length, with what was streamed.
func (r *invokeRun) bytesOut() int {
	return len(r.payload) + int(r.streamed())
}

// streamed is how much of the answer was sent before it was whole.
func (r *invokeRun) streamed() int64 {
	if r.outcome == nil {
		return 0
	}
	return r.outcome.Streamed
}

// maxMemoryMiB is the environment's peak; a function that ran out of memory used all of it. The limit has room for process
// 1, which the function does not see; where this host enforces none, what AWS would have ended is worth telling.
func (r *invokeRun) maxMemoryMiB() int {
	if r.oom {
		return r.env.fn.MemoryMiB
	}
	const mib = 1 << 20
	peak := int((r.env.usage.MemoryPeakBytes + mib - 1) / mib)
	if slices.Contains(r.env.usage.Unenforced, "memory") {
		return peak
	}
	return min(peak, r.env.fn.MemoryMiB)
}

func (r *invokeRun) result() Result {
	res := Result{
		Payload:  r.payload,
		Duration: r.duration,
		Reusable: r.failure == nil && !r.proc.timedOut.Load() && !r.proc.exited.Load(),
	}
	if r.outcome != nil {
		res.ContentType = r.outcome.ContentType
	}
	if r.status != StatusSuccess {
		res.FunctionError = functionErrorUnhandled
	}
	return res
}

// errorPayload is the platform's own error document. Source: recorded answers,
// with the members in this order.
func errorPayload(errorType, message string) []byte {
	b, err := json.Marshal(struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}{errorType, message})
	if err != nil {
		panic("worker: two strings that cannot be JSON: " + err.Error())
	}
	return b
}

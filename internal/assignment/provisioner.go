package assignment

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

const (
	// provisionEvery is how often what is configured is compared with what there is.
	provisionEvery = 200 * time.Millisecond
	// provisionMeterEvery is how often usage is told: a crash loses as much of it.
	provisionMeterEvery = 2 * time.Second
)

// The StatusReason of a configuration that failed. The first is AWS's.
const (
	reasonInitFailure = "FUNCTION_ERROR_INIT_FAILURE"
	reasonNoMemory    = "This host has no memory left for so many environments; provision fewer, or start lambdad with a larger --memory."
	reasonStart       = "An environment could not be started; its operator finds the reason in lambdad's log."
)

// FunctionView reads function records from memory: *record.Functions.
type FunctionView interface {
	Function(id record.FunctionID, version string) (*record.Function, bool)
}

// ProvisionReports takes down what there is of a configuration: *record.Table.
type ProvisionReports interface {
	ReportProvisioned(ctx context.Context, id record.FunctionID, version string, serial uint64, status record.ProvisionedStatus) error
}

// ProvisionMeter is told how long environments were kept initialised, all of a version's summed up.
type ProvisionMeter interface {
	Provisioned(fn *record.Function, kept time.Duration)
}

// Provisioner makes an assigner keep what is configured as provisioned concurrency, and
// reports what there is.
type Provisioner struct {
	assigner  *Assigner
	functions FunctionView
	reports   ProvisionReports
	meter     ProvisionMeter // nil: nobody is told
	log       *slog.Logger

	mu     sync.Mutex
	wanted map[record.Name]*provisioning
}

// provisioning is one configuration on its way.
type provisioning struct {
	config  record.Provisioned
	removed bool
	applied bool
	key     PoolKey // of what was applied
	told    record.ProvisionedStatus

	fn        *record.Function // of what was applied
	available int              // since counted
	counted   time.Time
	kept      time.Duration // of all its environments, and not metered yet
}

// NewProvisioner makes a provisioner; Changed tells it what is configured, and Run does it.
func NewProvisioner(a *Assigner, functions FunctionView, reports ProvisionReports, meter ProvisionMeter) *Provisioner {
	return &Provisioner{assigner: a, functions: functions, reports: reports, meter: meter, log: a.log, wanted: map[record.Name]*provisioning{}}
}

// Changed takes a configuration that is new or changed; nil when it was removed. It is for
// record.WatchProvisioned.
func (p *Provisioner) Changed(id record.FunctionID, version string, config *record.Provisioned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := record.Name{ID: id, Qualifier: version}
	was := p.wanted[name]
	switch {
	case config == nil && was != nil:
		was.removed = true
	case config == nil:
	case was == nil:
		// What is stored of its status is of an earlier process: told again in any case.
		p.wanted[name] = &provisioning{config: *config}
	case was.config.Serial != config.Serial || was.removed:
		was.config, was.removed, was.applied, was.told = *config, false, false, record.ProvisionedStatus{}
	}
}

// Run keeps what is configured until ctx ends.
func (p *Provisioner) Run(ctx context.Context) error {
	tick := time.NewTicker(provisionEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.meterAll()
			return ctx.Err()
		case <-tick.C:
		}
		p.mu.Lock()
		names := make([]record.Name, 0, len(p.wanted))
		for n := range p.wanted {
			names = append(names, n)
		}
		p.mu.Unlock()
		for _, n := range names {
			p.keep(ctx, n)
		}
	}
}

// keep compares one configuration with what there is of it.
func (p *Provisioner) keep(ctx context.Context, n record.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.wanted[n]
	w.count(time.Now())
	fn, ok := p.functions.Function(n.ID, n.Qualifier)
	if w.removed && ok && p.held(w) {
		p.meterSome(w)
		return
	}
	if w.removed || !ok {
		p.release(w)
		if w.removed {
			delete(p.wanted, n)
		}
		return
	}
	if fn.State != record.StateActive {
		return
	}
	// The key changes when the function is to run in another isolation.
	if key := p.assigner.poolKey(fn, ""); !w.applied || w.key != key {
		p.assigner.provision(key, fn, w.config.Requested)
		p.tell(w)
		w.applied, w.key, w.fn = true, key, fn
	}
	there := p.assigner.provisionStatus(w.key)
	w.available = there.Available
	p.meterSome(w)
	if there.Failure == ReasonNoCapacity && p.releaseFormer(w) {
		p.assigner.provision(w.key, fn, w.config.Requested) // again, at once
		return
	}
	status := provisionedStatus(there)
	if status.State == record.ProvisionedInProgress {
		status.Available = min(max(status.Available, p.former(w)), w.config.Requested)
	}
	if status == w.told {
		return
	}
	if err := p.reports.ReportProvisioned(ctx, n.ID, n.Qualifier, w.config.Serial, status); err != nil {
		if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			p.log.Warn("the state of provisioned concurrency was not written and is tried again", "function", n.ARN(), "error", err)
		}
		return
	}
	w.told = status
}

// held reports whether what was provisioned of an alias's former version stays: until its new one
// has as much, or cannot have it. Source: recorded, moves_with_alias: what is available of the alias
// does not drop when it moves.
func (p *Provisioner) held(w *provisioning) bool {
	if !w.applied || w.config.Alias == "" {
		return false
	}
	for n, heir := range p.wanted {
		if !heir.removed && n.ID == w.config.ID && heir.config.Alias == w.config.Alias {
			_, ok := p.functions.Function(n.ID, n.Qualifier)
			return ok && (heir.told.State == "" || heir.told.State == record.ProvisionedInProgress)
		}
	}
	return false
}

// release gives up what was applied.
func (p *Provisioner) release(w *provisioning) {
	if w.applied {
		p.assigner.provision(w.key, nil, 0)
		w.applied = false
		p.tell(w)
		w.available = 0
	}
}

// releaseFormer gives up what an alias's former versions hold, where there is no memory for both. It
// reports whether there was anything.
func (p *Provisioner) releaseFormer(w *provisioning) bool {
	if p.former(w) == 0 {
		return false
	}
	for n, other := range p.wanted {
		if other.removed && n.ID == w.config.ID && other.config.Alias == w.config.Alias {
			p.release(other)
		}
	}
	return true
}

// former counts what an alias's former versions still have.
func (p *Provisioner) former(w *provisioning) (available int) {
	if w.config.Alias == "" {
		return 0
	}
	for n, other := range p.wanted {
		if other.removed && n.ID == w.config.ID && other.config.Alias == w.config.Alias {
			available += other.available
		}
	}
	return available
}

// meterSome meters every now and then.
func (p *Provisioner) meterSome(w *provisioning) {
	if w.kept >= provisionMeterEvery*time.Duration(max(1, w.available)) {
		p.tell(w)
	}
}

// count adds the time since it was last counted, for each environment that there was then.
func (w *provisioning) count(now time.Time) {
	if !w.counted.IsZero() {
		w.kept += now.Sub(w.counted) * time.Duration(w.available)
	}
	w.counted = now
}

// tell meters what was kept of the version as it was applied.
func (p *Provisioner) tell(w *provisioning) {
	if w.kept > 0 && w.fn != nil && p.meter != nil {
		p.meter.Provisioned(w.fn, w.kept)
	}
	w.kept = 0
}

func (p *Provisioner) meterAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wanted {
		w.count(time.Now())
		p.tell(w)
	}
}

func provisionedStatus(s ProvisionStatus) record.ProvisionedStatus {
	out := record.ProvisionedStatus{State: record.ProvisionedInProgress, Available: s.Available}
	switch {
	case s.Failure == ReasonInitFailed:
		out.State, out.Reason = record.ProvisionedFailed, reasonInitFailure
	case s.Failure == ReasonNoCapacity || s.Failure == ReasonTooLarge:
		out.State, out.Reason = record.ProvisionedFailed, reasonNoMemory
	case s.Failure != 0:
		out.State, out.Reason = record.ProvisionedFailed, reasonStart
	case s.Reached:
		out.State = record.ProvisionedReady
	}
	return out
}

// provision sets how many environments of a pool stay initialised; fn may be nil with a count of 0.
func (a *Assigner) provision(key PoolKey, fn *record.Function, count int) {
	for {
		s := a.shard(key.Function)
		s.mu.Lock()
		if s.dropped {
			s.mu.Unlock()
			continue
		}
		ev := Event{Kind: EventProvision, Key: key, Count: count}
		if fn != nil {
			s.records[key], ev.MemoryMiB = fn, fn.MemoryMiB
		}
		cold := s.stepLocked(ev, nil)
		s.mu.Unlock()
		a.do(s, cold)
		return
	}
}

func (a *Assigner) provisionStatus(key PoolKey) ProvisionStatus {
	s := a.lookup(key.Function)
	if s == nil {
		return ProvisionStatus{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	status, _ := s.core.ProvisionStatus(key)
	return status
}

package assignment

import (
	"time"

	"github.com/lambdad/lambdad/internal/record"
)

// PoolKey is everything that makes environments interchangeable. Anything less
// serves stale code, or one tenant's memory to another.
type PoolKey struct {
	Function   record.FunctionID
	Version    string
	CodeSHA256 string
	Generation uint64
	Isolation  record.Isolation
	TenantID   string
}

// InvokeID names a waiting or running invoke within a Core.
type InvokeID uint64

// EnvID names an environment within a Core.
type EnvID uint64

// EventKind says what happened.
type EventKind uint8

const (
	// EventInvoke: an invoke wants an environment. Invoke, Key, MemoryMiB.
	EventInvoke EventKind = iota
	// EventGranted: the host has memory for a start. Env, MemoryMiB.
	EventGranted
	// EventDenied: the host will never have it. Env.
	EventDenied
	// EventStarted: an environment is there. Env, Until, Healthy (INIT went well).
	EventStarted
	// EventStartFailed: the host could not make it. Env.
	EventStartFailed
	// EventDone: an invoke ended. Env, Healthy (the environment may take another).
	EventDone
	// EventDestroyed: an environment is gone. Env.
	EventDestroyed
	// EventGeneration: a version now has this generation; others are stale. Key.Version, Key.Generation.
	EventGeneration
	// EventRemoved: a version is gone. Key.Version.
	EventRemoved
	// EventIsolation: all versions now run so; what runs otherwise is stale. Key.Isolation.
	EventIsolation
	// EventProvision: so many environments of a version stay initialised. Key, Count, MemoryMiB.
	EventProvision
	// EventReclaim: give up idle environments, oldest first. MemoryMiB or Count.
	EventReclaim
	// EventDrain: take no more invokes and give up what is idle.
	EventDrain
	// EventAbandon: those who wait will not be served. Comes after EventDrain.
	EventAbandon
	// EventTick: time has passed.
	EventTick
)

// Event is one thing that happened; only the fields its kind names count.
type Event struct {
	Kind      EventKind
	Invoke    InvokeID
	Env       EnvID
	Key       PoolKey
	MemoryMiB int
	Count     int
	Until     time.Time
	Healthy   bool
}

// EffectKind says what is to be done.
type EffectKind uint8

const (
	// EffectAssign: Invoke runs in Env.
	EffectAssign EffectKind = iota
	// EffectReject: Invoke gets no environment, for Reason. Env is the failed start, if it was one.
	EffectReject
	// EffectAsk: ask the host for MemoryMiB for Env; EventGranted or EventDenied follows.
	EffectAsk
	// EffectCancel: the ask for Env is no longer wanted.
	EffectCancel
	// EffectStart: start Env for Key; EventStarted or EventStartFailed follows.
	EffectStart
	// EffectDestroy: destroy Env; EventDestroyed follows.
	EffectDestroy
	// EffectRelease: give MemoryMiB, which Env had, back to the host.
	EffectRelease
)

// Reason says why an invoke was rejected.
type Reason uint8

const (
	// ReasonQueueFull: too many invokes of this function wait already.
	ReasonQueueFull Reason = iota + 1
	// ReasonNoCapacity: the host has no memory for another environment.
	ReasonNoCapacity
	// ReasonStartFailed: the host could not make an environment.
	ReasonStartFailed
	// ReasonDraining: this node is stopping.
	ReasonDraining
	// ReasonScalingRate: the function gets new environments faster than it may.
	ReasonScalingRate
	// ReasonTooLarge: the environment wants more memory than the host has at all.
	ReasonTooLarge
	// ReasonInitFailed: the function's own INIT failed; only of provisioned environments.
	ReasonInitFailed
)

// Effect is one thing to do; only the fields its kind names count.
type Effect struct {
	Kind      EffectKind
	Invoke    InvokeID
	Env       EnvID
	Key       PoolKey
	MemoryMiB int
	Reason    Reason
	// Provisioned: EffectAsk, EffectCancel and EffectStart are for provisioned concurrency.
	Provisioned bool
	// Ahead: EffectAsk is for an environment that nobody waits for. It is granted at once from what is
	// spare, or denied.
	Ahead bool
}

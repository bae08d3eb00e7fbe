// Package sandbox owns the contract of one execution environment's isolate and,
// in its sub-packages, the drivers that fulfil it. It must never import the
// rooms that decide what runs in a sandbox (worker and above): a driver gets a
// root filesystem, a program and limits, and knows nothing of functions.
//
// Life of a sandbox. Park prepares one without any tenant's data in it:
// namespaces, root filesystem, cgroup, the two listeners. Start gives it an
// owner, code, limits and a program; it is called once. While the program
// runs, Freeze and Thaw stop and resume every process in it. Destroy ends it
// from any state; a sandbox is never started twice and never changes its owner.
//
// Two ways make a start shorter, where a driver has them. A Preloader's sandbox
// starts its program before it has an owner; Start then only furnishes it. A
// Templater makes a Template of a started sandbox whose program has finished its
// initialisation; sandboxes parked from the template continue from there.
//
// Every driver passes the suite sandbox/sandboxtest.
package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/lambdad/lambdad/internal/aws"
)

// Addresses inside every sandbox. Nothing else listens there.
const (
	RuntimeAPIAddress = "127.0.0.1:9001"
	// EndpointAddress is where the code finds lambdad's own API.
	EndpointAddress = "127.0.0.1:4566"
)

// Limits that hold for every sandbox, whatever the function's configuration.
// Source: Lambda quotas, "Execution environment" rows.
const (
	ProcessesMax   = 1024
	DescriptorsMax = 1024
)

// ID names a sandbox on its node. Ids are made by the worker, are unguessable,
// and are valid as a file name.
type ID string

var (
	// ErrDestroyed means that the sandbox no longer exists.
	ErrDestroyed = errors.New("sandbox: destroyed")
	// ErrUnsupported means that this host or driver cannot do it.
	ErrUnsupported = errors.New("sandbox: not supported here")
)

// ExecError means that everything was ready but the kernel would not execute the program:
// the fault is the code's (or its runtime's), not the host's.
type ExecError struct {
	Path string // StartSpec.Argv[0]
	Err  error  // e.g. syscall.ENOEXEC
}

func (e *ExecError) Error() string { return "fork/exec " + e.Path + ": " + e.Err.Error() }
func (e *ExecError) Unwrap() error { return e.Err }

// Mount is one directory or file of the host, seen read-only in the sandbox.
type Mount struct {
	Source string // absolute path on the host
	Target string // absolute path in the sandbox
}

// Rootfs describes a read-only root filesystem. If Base is set, it is a whole root
// directory; Mounts are placed over it (or, without a Base, over an empty root
// that the driver furnishes with /dev, /proc, /tmp, /etc and the like).
type Rootfs struct {
	Base   string
	Mounts []Mount
}

// Network says what a program may reach beside the two listeners.
type Network int

const (
	// NetworkEndpoint reaches nothing else.
	NetworkEndpoint Network = iota
	// NetworkEgress also reaches the public internet through NAT, and never the
	// host, private or link-local ranges, or another sandbox; names are resolved
	// at 127.0.0.1:53. Where a host offers no egress it is as NetworkEndpoint.
	NetworkEgress
)

// ParkSpec is what all sandboxes of one pool share.
type ParkSpec struct {
	ID      ID
	Rootfs  Rootfs
	Network Network
}

// Limits of one sandbox. All are enforced by the kernel or by the machine
// monitor, or Start fails with ErrUnsupported when Strict is set.
type Limits struct {
	MemoryMiB int
	// CPUMilli is the CPU share in thousandths of one core; the caller derives
	// it from memory (1,769 MiB = 1000).
	CPUMilli int
	TmpMiB   int
	// Strict refuses to start where a limit cannot be enforced (no cgroup
	// delegated). Otherwise Usage().Unenforced names what is not.
	Strict bool
}

// StartSpec gives a parked sandbox its tenant and its program.
type StartSpec struct {
	Owner aws.AccountID
	// Label is for people who look at the host (cgroup names stay ids), e.g. the function's ARN.
	Label string
	// CodeDir is mounted read-only at /var/task. "" leaves it empty.
	CodeDir string
	// LayerDirs are merged read-only at /opt, a later one over an earlier one.
	LayerDirs []string
	// Mounts are further read-only mounts, e.g. the runtime client at /var/runtime.
	Mounts []Mount
	Argv   []string // Argv[0] is a path inside the sandbox
	Env    []string // the whole environment, NAME=value
	Dir    string   // working directory inside; "" is /var/task
	Limits Limits
	// Template asks for a sandbox that Templater.Template can take; its driver may
	// need to start it otherwise.
	Template bool
	// Threads lets a template have more than one thread. It is for virtual machines of
	// languages, which always have some, and for functions whose owner asked for
	// snapshots; elsewhere a thread is something that a copy could come to miss.
	Threads bool
}

// PreloadSpec is a program that starts before its sandbox has an owner. It holds
// nothing of any tenant: /var/task and /opt are empty and /tmp is not there yet.
type PreloadSpec struct {
	Mounts []Mount // e.g. the runtime client at /var/runtime
	Argv   []string
	Env    []string
}

// Preloader is a Sandbox whose program can start before its owner is known. Its
// program waits (in the Runtime API) until it is told what to run.
type Preloader interface {
	// Preload is called at most once, after Park and before Start. Start then
	// places code, layers, the further mounts and /tmp, sets the limits, ignores
	// Argv, Env and Dir, and returns the program that Preload started.
	Preload(ctx context.Context, spec PreloadSpec) error
}

// Templater is a Driver that can make copies of a started sandbox.
type Templater interface {
	// Template stops a sandbox that was started with StartSpec.Template, for good,
	// and takes it over: its program waits in GET /runtime/restore/next and never
	// gets an answer there. On an error the sandbox is still the caller's; an
	// *UnclonableError says what about the program forbids it.
	Template(ctx context.Context, s Sandbox) (Template, error)
}

// Template is a stopped program that sandboxes are made from. All are of its owner.
type Template interface {
	// Park makes a sandbox in which a copy of the program can be. Its Start must be
	// given the code, layers, mounts and owner that the template had (Argv, Env and Dir are
	// ignored), and lets the copy run: its connections are broken, so it asks the new
	// sandbox's Runtime API for restore/next again, and gets what is its own from the answer.
	Park(ctx context.Context, id ID) (Sandbox, error)
	// MemoryBytes is what the template itself holds.
	MemoryBytes() int64
	// Close gives it up. Sandboxes made from it live on.
	Close() error
}

// UnclonableError says why a program cannot be a template, in words for the function's owner.
type UnclonableError struct {
	Reason string // e.g. "it has 3 threads"
}

func (e *UnclonableError) Error() string { return "sandbox: the program cannot be copied: " + e.Reason }

// Exit tells how the program's first process ended.
type Exit struct {
	Code   int            // exit status, valid if Signal is 0
	Signal syscall.Signal // the signal that ended it
	OOM    bool           // the kernel ended it (or a child) for memory
	Ended  time.Time
}

// Usage is what a sandbox consumed since Start.
type Usage struct {
	MemoryBytes     int64 // now
	MemoryPeakBytes int64
	CPU             time.Duration
	OOMKills        int
	Unenforced      []string // limits that this host does not enforce, e.g. "memory"
}

// Program is what Start started.
type Program interface {
	// Output carries stdout and stderr in the order written; it ends when no
	// process in the sandbox holds them any more. The reader must drain it:
	// a full pipe blocks the program.
	Output() io.Reader
	// Done is closed when the first process ended; then Exit is valid.
	Done() <-chan struct{}
	Exit() Exit
	// Signal reaches the first process.
	Signal(syscall.Signal) error
}

// Sandbox is one isolate.
type Sandbox interface {
	ID() ID
	// RuntimeAPI and Endpoint are listeners in the sandbox's own network at
	// RuntimeAPIAddress and EndpointAddress. Whoever connects to them is this sandbox:
	// the listener is the identity. Destroy closes them.
	RuntimeAPI() net.Listener
	Endpoint() net.Listener
	// Start fails with an *ExecError if the program cannot be executed.
	Start(ctx context.Context, spec StartSpec) (Program, error)
	Freeze(ctx context.Context) error
	Thaw(ctx context.Context) error
	Usage(ctx context.Context) (Usage, error)
	// Destroy kills every process, removes mounts, cgroups, namespaces and
	// files, and returns when they are gone. It is idempotent.
	Destroy(ctx context.Context) error
}

// CPULimiter is a Sandbox whose CPU share can change while it runs. Lambda gives
// INIT a whole core whatever the memory: start with Limits.CPUMilli of a core,
// and lower it to the function's own share when INIT has ended.
type CPULimiter interface {
	LimitCPU(ctx context.Context, milli int) error
}

// Dialer is a Sandbox in which programs can listen for lambdad: extensions that want telemetry do.
type Dialer interface {
	// Dial connects to a port of the sandbox's own loopback and reaches nothing else. A frozen
	// sandbox does not answer; ctx bounds the wait.
	Dial(ctx context.Context, port int) (net.Conn, error)
}

// Driver makes sandboxes of one kind of isolation.
type Driver interface {
	// Name is what users write in --isolation, e.g. "container".
	Name() string
	Park(ctx context.Context, spec ParkSpec) (Sandbox, error)
	// Reap removes whatever earlier processes of this node left behind (after a
	// kill -9), and only that. It is called once, before the first Park.
	Reap(ctx context.Context) (reaped int, err error)
	// Close destroys all sandboxes and gives up what the driver holds.
	Close() error
}

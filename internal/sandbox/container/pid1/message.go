// Package pid1 owns the messages that the driver and process 1 of a container
// sandbox exchange. The other side is C, in cmd/lambdad-init, and reads a message
// in the order in which it works, so the order here is that order. It must never
// import anything of lambdad: it is one form in two languages, and nothing else.
package pid1

import (
	"encoding/binary"
	"errors"
)

// Name of the program, which is the spawner and becomes each process 1.
const Name = "lambdad-init"

// Bounds, as in cmd/lambdad-init/init.h.
const (
	// MessageMax bounds one message; a program's arguments and environment must
	// fit. It stays below the kernel's default socket buffer.
	MessageMax = 160 << 10
	// DescriptorsMax is how many descriptors one message can carry (SCM_MAX_FD is 253).
	DescriptorsMax = 250
)

var errShort = errors.New("pid1: message is cut short")

// The first byte of a request.
const (
	requestSpawn   = 'N'
	requestPark    = 'P'
	requestPreload = 'L'
	requestStart   = 'S'
	requestOrder   = 'O'
	requestSocket  = 'C'
)

// IDMap is one id of the sandbox and what it is in the namespace around it.
type IDMap struct{ Inside, Host int32 }

// Spawn asks the spawner for a process 1. Descriptors: the null device, the control
// socket, then the control group to be born in and a process in whose user and pid
// namespaces to be made within, if there are any. What is made within another's is
// not born in a group.
type Spawn struct {
	Users, Groups []IDMap
	Rootless      bool
	Group, Within bool
	// OwnerUID and OwnerGID own the new user namespace; they are ids in the one around it.
	OwnerUID, OwnerGID int32
}

// Mount places something of the host into the sandbox, read-only.
type Mount struct {
	Target string
	// FD is the index of a detached mount among the message's descriptors, or
	// -1: then Path is a path on the host that process 1 clones itself.
	FD   int32
	Path string
	File bool // Target is a file and not a directory
	// Device keeps device nodes usable; every other mount is nodev.
	Device bool
	// Writable is for /tmp only.
	Writable bool
}

// File is one that process 1 writes into the furnished root.
type File struct {
	Path    string
	Content string // of a symbolic link: where it points
	Link    bool
}

// Park furnishes a sandbox without any tenant's data.
type Park struct {
	UID, GID int32
	// Descriptors and Processes are the program's limits.
	Descriptors, Processes int32
	// ProcessesHard is how far the program may raise its own limit, where a control
	// group keeps it; or 0.
	ProcessesHard int32
	Hostname      string
	// SkipPIDs lets the program be none of the pid namespace's first 300 processes.
	SkipPIDs bool
	// RootKiB bounds the furnished root.
	RootKiB int32
	// Base is a whole root directory, below everything else, if BaseSet.
	BaseSet bool
	Base    Mount
	Dirs    []string
	Mounts  []Mount
	Files   []File
	// Masked are files of /proc that read as empty; Frozen are directories and
	// files of /proc that become read-only.
	Masked []string
	Frozen []string
	// Outside is the address that the sandbox will have on a link to the world, in the
	// order of the network, or 0: until then its packets to there are seen on a socket
	// that comes last in the reply.
	Outside uint32
	// Listen are the loopback ports to listen on, TCP; ListenUDP follow them in the reply.
	Listen    []int32
	ListenUDP []int32
}

// Preload starts a program before Start. Descriptor 0 is its output.
type Preload struct {
	Mounts []Mount
	Filter []byte // seccomp: struct sock_filter[]
	Argv   []string
	Env    []string
	Dir    string
}

// Start gives the sandbox its owner's files and its program, of which descriptor 0
// is the output. Without Argv it has one from Preload, or gets a copy of one from
// outside: process 1 then only furnishes, reaps and obeys.
type Start struct {
	Mounts []Mount
	// Layers are merged at /opt, the last one on top; at most 16.
	Layers []Mount
	// TmpMiB sizes the memory-backed /tmp; 0 where Mounts hold a /tmp.
	TmpMiB    int32
	TmpInodes int32
	Filter    []byte
	Argv      []string
	Env       []string
	Dir       string
	// Template: the program may raise its limit of processes to ProcessesHard.
	Template bool
}

// Order asks process 1 to send a signal to every process.
type Order struct{ Signal int32 }

// Socket asks process 1 for a TCP socket of the sandbox's network.
type Socket struct{ Serial int32 }

// Kinds of Reply.
const (
	ReplyReady   = 'R' // the spawner's first
	ReplySpawned = 'N' // Code: the process; descriptor: a pidfd of it
	ReplyParked  = 'P' // descriptors: the listeners, in the order of Park.Listen, and Outside's
	ReplyStarted = 'S' // to Preload or Start; descriptor: a pidfd of the program, if this one started it
	ReplyExited  = 'X' // Code, or Signal; MemoryKiB
	ReplyObeyed  = 'O' // Code: errno, or 0
	ReplySocket  = 'C' // Code: errno, or 0 and descriptor: the socket; Serial
	ReplyFailed  = 'F' // Text: the step; Code: errno
	ReplyRefused = 'E' // the kernel would not execute the program; Text: its path; Code: errno
)

// Reply is what process 1 tells the driver.
type Reply struct {
	Kind   byte
	Code   int32
	Signal int32
	// MemoryKiB is the most that the program held.
	MemoryKiB int32
	Text      string
}

// Serial is that of the Socket which it answers.
func (r Reply) Serial() int32 { return r.MemoryKiB }

// Encode returns the wire form.
func (m Spawn) Encode() []byte {
	e := encoder{p: []byte{requestSpawn}}
	for _, list := range [][]IDMap{m.Users, m.Groups} {
		e.int(int32(len(list)))
		for _, m := range list {
			e.int(m.Inside)
			e.int(m.Host)
		}
	}
	e.bool(m.Rootless)
	e.bool(m.Group)
	e.bool(m.Within)
	e.int(m.OwnerUID)
	e.int(m.OwnerGID)
	return e.p
}

// Encode returns the wire form.
func (m Park) Encode() []byte {
	e := encoder{p: []byte{requestPark}}
	e.int(m.UID)
	e.int(m.GID)
	e.int(m.Descriptors)
	e.int(m.Processes)
	e.int(m.ProcessesHard)
	e.string(m.Hostname)
	e.bool(m.SkipPIDs)
	e.int(m.RootKiB)
	e.bool(m.BaseSet)
	if m.BaseSet {
		e.mount(m.Base)
	}
	e.strings(m.Dirs)
	e.mounts(m.Mounts)
	e.int(int32(len(m.Files)))
	for _, f := range m.Files {
		e.string(f.Path)
		e.string(f.Content)
		e.bool(f.Link)
	}
	e.strings(m.Masked)
	e.strings(m.Frozen)
	e.int(int32(m.Outside))
	e.ints(m.Listen)
	e.ints(m.ListenUDP)
	return e.p
}

// Encode returns the wire form.
func (m Preload) Encode() []byte {
	e := encoder{p: []byte{requestPreload}}
	e.mounts(m.Mounts)
	e.bytes(m.Filter)
	e.strings(m.Argv)
	e.strings(m.Env)
	e.string(m.Dir)
	return e.p
}

// Encode returns the wire form.
func (m Start) Encode() []byte {
	e := encoder{p: []byte{requestStart}}
	e.mounts(m.Mounts)
	e.mounts(m.Layers)
	e.int(m.TmpMiB)
	e.int(m.TmpInodes)
	e.bytes(m.Filter)
	e.strings(m.Argv)
	e.strings(m.Env)
	e.string(m.Dir)
	e.bool(m.Template)
	return e.p
}

// Encode returns the wire form.
func (m Order) Encode() []byte {
	e := encoder{p: []byte{requestOrder}}
	e.int(m.Signal)
	return e.p
}

// Encode returns the wire form.
func (m Socket) Encode() []byte {
	e := encoder{p: []byte{requestSocket}}
	e.int(m.Serial)
	return e.p
}

// DecodeReply reads the wire form: kind, code, signal, memory, text. The driver
// calls it on bytes that come out of the sandbox, so it trusts nothing.
func DecodeReply(p []byte) (Reply, error) {
	const head = 1 + 4*4
	if len(p) < head {
		return Reply{}, errShort
	}
	at := func(i int) int32 { return int32(binary.LittleEndian.Uint32(p[1+4*i:])) }
	text := at(3)
	if text < 0 || int(text) > len(p)-head {
		return Reply{}, errShort
	}
	return Reply{Kind: p[0], Code: at(0), Signal: at(1), MemoryKiB: at(2), Text: string(p[head : head+int(text)])}, nil
}

type encoder struct{ p []byte }

func (e *encoder) int(v int32) { e.p = binary.LittleEndian.AppendUint32(e.p, uint32(v)) }

func (e *encoder) bool(v bool) {
	if v {
		e.p = append(e.p, 1)
	} else {
		e.p = append(e.p, 0)
	}
}

func (e *encoder) bytes(p []byte) {
	e.int(int32(len(p)))
	e.p = append(e.p, p...)
}

// string ends with a zero byte, so that C uses it where it lies.
func (e *encoder) string(s string) {
	e.int(int32(len(s)))
	e.p = append(append(e.p, s...), 0)
}

func (e *encoder) strings(list []string) {
	e.int(int32(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) ints(list []int32) {
	e.int(int32(len(list)))
	for _, v := range list {
		e.int(v)
	}
}

func (e *encoder) mount(m Mount) {
	e.string(m.Target)
	e.int(m.FD)
	e.string(m.Path)
	e.bool(m.File)
	e.bool(m.Device)
	e.bool(m.Writable)
}

func (e *encoder) mounts(list []Mount) {
	e.int(int32(len(list)))
	for _, m := range list {
		e.mount(m)
	}
}

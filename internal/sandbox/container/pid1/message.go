package pid1

import (
	"encoding/binary"
	"errors"
)

// MessageMax bounds one message; a program's arguments and environment must
// fit. It stays below the kernel's default socket buffer.
const MessageMax = 160 << 10

// DescriptorsMax is how many descriptors one message can carry (SCM_MAX_FD is 253).
const DescriptorsMax = 250

var (
	errShort   = errors.New("pid1: message is cut short")
	errTooMany = errors.New("pid1: message claims too many elements")
)

type message interface{ decode([]byte) error }

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
	Hostname string
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
	// RootKiB bounds the furnished root; TmpMiB is the size of /tmp where the
	// driver mounts none.
	RootKiB int32
	// Listen are the loopback ports to listen on, TCP; ListenUDP follow them in the reply.
	Listen    []int32
	ListenUDP []int32
	// Rootless: process 1 has one id only and clones mounts itself.
	Rootless bool
	UID, GID int32
	// Descriptors and Processes are the program's limits.
	Descriptors, Processes int32
}

// Start gives the sandbox its program. Descriptor 0 is the program's output.
type Start struct {
	Mounts []Mount
	// Layers are merged at /opt, the last one on top.
	Layers []Mount
	// TmpMiB sizes the memory-backed /tmp; 0 where Mounts hold a /tmp.
	TmpMiB    int32
	TmpInodes int32
	Filter    []byte // seccomp: struct sock_filter[]
	Argv      []string
	Env       []string
	Dir       string
}

// Order asks process 1 to send a signal to every process.
type Order struct{ Signal int32 }

// IDMap is one id of the sandbox and what it is on the host.
type IDMap struct{ Inside, Host int32 }

// Spawn asks the spawner for a process 1.
type Spawn struct {
	Users, Groups []IDMap
	Rootless      bool
}

// Kinds of Reply.
const (
	ReplyReady   = 'R' // the spawner's first
	ReplySpawned = 'N' // Code: the process; descriptor: a pidfd of it
	ReplyParked  = 'P' // descriptors: the listeners, in the order of Park.Listen
	ReplyStarted = 'S' // descriptor: a pidfd of the program
	ReplyExited  = 'X' // Code, or Signal; MemoryKiB
	ReplyObeyed  = 'O' // Text: what went wrong
	ReplyFailed  = 'F' // Text: the step and the reason; Code: errno
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

// Encode returns the wire form.
func (m Park) Encode() []byte {
	var e encoder
	e.string(m.Hostname)
	e.bool(m.BaseSet)
	e.mount(m.Base)
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
	e.int(m.RootKiB)
	e.ints(m.Listen)
	e.ints(m.ListenUDP)
	e.bool(m.Rootless)
	e.int(m.UID)
	e.int(m.GID)
	e.int(m.Descriptors)
	e.int(m.Processes)
	return e.p
}

func (m *Park) decode(p []byte) error {
	d := decoder{p: p}
	m.Hostname = d.string()
	m.BaseSet = d.bool()
	m.Base = d.mount()
	m.Dirs = d.strings()
	m.Mounts = d.mounts()
	for range d.count() {
		m.Files = append(m.Files, File{Path: d.string(), Content: d.string(), Link: d.bool()})
	}
	m.Masked = d.strings()
	m.Frozen = d.strings()
	m.RootKiB = d.int()
	m.Listen = d.ints()
	m.ListenUDP = d.ints()
	m.Rootless = d.bool()
	m.UID = d.int()
	m.GID = d.int()
	m.Descriptors = d.int()
	m.Processes = d.int()
	return d.err
}

// Encode returns the wire form.
func (m Start) Encode() []byte {
	var e encoder
	e.mounts(m.Mounts)
	e.mounts(m.Layers)
	e.int(m.TmpMiB)
	e.int(m.TmpInodes)
	e.string(string(m.Filter))
	e.strings(m.Argv)
	e.strings(m.Env)
	e.string(m.Dir)
	return e.p
}

func (m *Start) decode(p []byte) error {
	d := decoder{p: p}
	m.Mounts = d.mounts()
	m.Layers = d.mounts()
	m.TmpMiB = d.int()
	m.TmpInodes = d.int()
	m.Filter = []byte(d.string())
	m.Argv = d.strings()
	m.Env = d.strings()
	m.Dir = d.string()
	return d.err
}

// Encode returns the wire form.
func (m Spawn) Encode() []byte {
	var e encoder
	for _, list := range [][]IDMap{m.Users, m.Groups} {
		e.int(int32(len(list)))
		for _, m := range list {
			e.int(m.Inside)
			e.int(m.Host)
		}
	}
	e.bool(m.Rootless)
	return e.p
}

func (m *Spawn) decode(p []byte) error {
	d := decoder{p: p}
	for _, list := range []*[]IDMap{&m.Users, &m.Groups} {
		for range d.count() {
			*list = append(*list, IDMap{Inside: d.int(), Host: d.int()})
		}
	}
	m.Rootless = d.bool()
	return d.err
}

// Encode returns the wire form.
func (m Order) Encode() []byte {
	var e encoder
	e.int(m.Signal)
	return e.p
}

func (m *Order) decode(p []byte) error {
	d := decoder{p: p}
	m.Signal = d.int()
	return d.err
}

// Encode returns the wire form.
func (m Reply) Encode() []byte {
	e := encoder{p: []byte{m.Kind}}
	e.int(m.Code)
	e.int(m.Signal)
	e.int(m.MemoryKiB)
	e.string(m.Text)
	return e.p
}

// DecodeReply reads the wire form. The driver calls it on bytes that come out
// of the sandbox, so it trusts nothing.
func DecodeReply(p []byte) (Reply, error) {
	if len(p) == 0 {
		return Reply{}, errShort
	}
	d := decoder{p: p[1:]}
	m := Reply{Kind: p[0], Code: d.int(), Signal: d.int(), MemoryKiB: d.int(), Text: d.string()}
	return m, d.err
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

func (e *encoder) string(s string) {
	e.int(int32(len(s)))
	e.p = append(e.p, s...)
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

// decoder remembers its first error; after it every value is zero.
type decoder struct {
	p   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.p) {
		d.err = errShort
		return nil
	}
	p := d.p[:n]
	d.p = d.p[n:]
	return p
}

func (d *decoder) int() int32 {
	p := d.take(4)
	if p == nil {
		return 0
	}
	return int32(binary.LittleEndian.Uint32(p))
}

func (d *decoder) bool() bool {
	p := d.take(1)
	return p != nil && p[0] != 0
}

func (d *decoder) string() string { return string(d.take(int(d.int()))) }

// count reads the length of a list, each element of which takes a byte at least.
func (d *decoder) count() int {
	n := int(d.int())
	if n < 0 || n > len(d.p) {
		if d.err == nil {
			d.err = errTooMany
		}
		return 0
	}
	return n
}

func (d *decoder) strings() (list []string) {
	for range d.count() {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) ints() (list []int32) {
	for range d.count() {
		list = append(list, d.int())
	}
	return list
}

func (d *decoder) mount() Mount {
	return Mount{Target: d.string(), FD: d.int(), Path: d.string(), File: d.bool(), Device: d.bool(), Writable: d.bool()}
}

func (d *decoder) mounts() (list []Mount) {
	for range d.count() {
		list = append(list, d.mount())
	}
	return list
}

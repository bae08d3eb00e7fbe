package line

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// Request is what the host asks of the guest; one answer each, in order.
type Request struct {
	Hold    bool    `json:",omitempty"` // answer, and then be silent: you will be copied
	Renew   *Renew  `json:",omitempty"` // you have been copied
	Park    *Park   `json:",omitempty"`
	Start   *Start  `json:",omitempty"`
	Signal  int     `json:",omitempty"` // for the program's first process
	Measure bool    `json:",omitempty"`
	Limit   *Limits `json:",omitempty"` // others, for the program that runs
}

// Limits of the program; zero is none, or leaves one as it is.
type Limits struct {
	MemoryBytes int64
	CPUMilli    int
}

// Renew is what no two machines may share. It has a form of its own, for it is
// on the way of an invoke: to decode JSON takes an emulated machine tens of milliseconds.
type Renew struct {
	Now     time.Time
	Entropy [entropyBytes]byte
	// Again is set for a copy of a running program, and Limits are then its own.
	Again  bool
	Limits Limits
}

const (
	entropyBytes = 64
	renewTag     = 'R'
	renewBytes   = 2 + 8 + 8 + 8 + entropyBytes
	doneTag      = 'k'
)

// Encode makes a message.
func (r Renew) Encode() []byte {
	p := make([]byte, 2, renewBytes)
	p[0] = renewTag
	if r.Again {
		p[1] = 1
	}
	for _, n := range []int64{r.Now.UnixNano(), r.Limits.MemoryBytes, int64(r.Limits.CPUMilli)} {
		p = binary.BigEndian.AppendUint64(p, uint64(n))
	}
	return append(p, r.Entropy[:]...)
}

// DecodeRenew reads one; false if the message is another.
func DecodeRenew(p []byte) (Renew, bool) {
	var r Renew
	if len(p) != renewBytes || p[0] != renewTag {
		return r, false
	}
	number := func(at int) int64 { return int64(binary.BigEndian.Uint64(p[at:])) }
	r.Again = p[1] == 1
	r.Now = time.Unix(0, number(2))
	r.Limits = Limits{MemoryBytes: number(10), CPUMilli: int(number(18))}
	copy(r.Entropy[:], p[26:])
	return r, true
}

// Done is the reply that says nothing else.
func Done() []byte { return []byte{doneTag} }

// Park makes the root filesystem.
type Park struct {
	Hostname string
	Root     Mount // of the disk with directories and files that all roots have
	Base     bool  // an overlay's lowest layer comes first in Mounts
	Mounts   []Mount
	Masked   []string
	Frozen   []string
}

// Mount is a disk, or a file on one.
type Mount struct {
	Disk   int    // its number on the bus
	Target string // where it is seen
	File   string `json:",omitempty"` // the one file of the disk that is meant
}

// Start runs the program.
type Start struct {
	Mounts      []Mount
	Layers      []int
	TmpDisk     int // 0: in memory
	TmpMiB      int
	Limits      Limits
	Processes   int
	Descriptors int
	UID, GID    int
	Filter      []byte
	Argv, Env   []string
	Dir         string
}

// Reply is an answer, or news if Exited is set.
type Reply struct {
	Ready  bool   `json:",omitempty"` // the first thing a booted guest says
	Error  string `json:",omitempty"`
	Errno  int    `json:",omitempty"`
	Exec   bool   `json:",omitempty"` // the error is the program's
	Usage  *Usage `json:",omitempty"`
	Exited *Exit  `json:",omitempty"`
}

// Exit is how the program ended.
type Exit struct {
	Code, Signal int
	Usage        Usage
}

// Usage is the program's control group's.
type Usage struct {
	Memory, Peak int64
	CPU          time.Duration
	OOMKills     int
}

// Encode makes a message.
func Encode(v any) []byte {
	content, err := json.Marshal(v)
	if err != nil {
		panic("line: a message that cannot be encoded: " + err.Error())
	}
	return content
}

// DecodeRequest reads what the host sent.
func DecodeRequest(p []byte) (Request, error) { return decode[Request](p) }

// DecodeReply reads what the guest sent, which may be anything.
func DecodeReply(p []byte) (Reply, error) {
	if len(p) == 1 && p[0] == doneTag {
		return Reply{}, nil
	}
	return decode[Reply](p)
}

func decode[T any](p []byte) (T, error) {
	var v T
	if err := json.Unmarshal(p, &v); err != nil {
		return v, fmt.Errorf("line: %w", err)
	}
	return v, nil
}

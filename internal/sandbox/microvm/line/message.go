package line

import (
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

// Renew is what no two machines may share.
type Renew struct {
	Now     time.Time
	Entropy []byte
	// Again is set for a copy of a running program.
	Again bool
}

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
func DecodeReply(p []byte) (Reply, error) { return decode[Reply](p) }

func decode[T any](p []byte) (T, error) {
	var v T
	if err := json.Unmarshal(p, &v); err != nil {
		return v, fmt.Errorf("line: %w", err)
	}
	return v, nil
}

package clone

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// raiseLimit lets the original have as many processes as it may: its copies count for
// its user. It returns the call that gives a copy the limit that the original had.
func (o *Original) raiseLimit() ([]call, error) {
	at := o.scratch + listBytes + birthBytes + buffersBytes + timersBytes
	prlimit := func(set, get uint64) call {
		return do("prlimit", unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NPROC, set, get)
	}
	if _, err := o.run(o.tracee, []call{prlimit(0, at)}); err != nil {
		return nil, err
	}
	soft, err := o.word(at)
	if err != nil {
		return nil, err
	}
	hard, err := o.word(at + 8)
	if err != nil {
		return nil, err
	}
	if _, err := o.memory.WriteAt(binary.NativeEndian.AppendUint64(nil, soft), int64(at+8)); err != nil {
		return nil, fmt.Errorf("clone: write a limit: %w", err)
	}
	b := o.buffers()
	both := b.words(hard, hard)
	if err := b.write(o.memory); err != nil {
		return nil, err
	}
	if _, err := o.run(o.tracee, []call{prlimit(both, 0)}); err != nil {
		return nil, err
	}
	return []call{prlimit(at, 0)}, nil
}

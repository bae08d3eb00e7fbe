package clone

import (
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// call is a system call that a stopped process is made to do.
type call struct {
	number int64
	args   [6]uint64
	step   string // for the error
}

const (
	entryBytes = 64 // a call in memory: number, six arguments, result
	resultAt   = 56

	// endOfList stands where a list has no further call.
	endOfList = int64(math.MinInt64)

	noCall = ^uint64(0)
)

func do(step string, number int64, args ...uint64) call {
	c := call{number: number, step: step}
	copy(c.args[:], args)
	return c
}

// encode writes the list as the interpreter reads it.
func encode(list []call) []byte {
	p := make([]byte, 0, (len(list)+1)*entryBytes)
	for _, c := range list {
		p = binary.NativeEndian.AppendUint64(p, uint64(c.number))
		for _, a := range c.args {
			p = binary.NativeEndian.AppendUint64(p, a)
		}
		p = binary.NativeEndian.AppendUint64(p, 0)
	}
	end := endOfList
	return binary.NativeEndian.AppendUint64(p, uint64(end))
}

// results takes what each call returned, up to the first that failed.
func results(list []call, p []byte) ([]int64, error) {
	out := make([]int64, len(list))
	for i, c := range list {
		out[i] = int64(binary.NativeEndian.Uint64(p[i*entryBytes+resultAt:]))
		if out[i] < 0 {
			return out, fmt.Errorf("clone: %s: %w", c.step, unix.Errno(-out[i]))
		}
	}
	return out, nil
}

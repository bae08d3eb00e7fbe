package clone

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The memory in the original that is ours: a list of calls, the list of a new
// copy, which finds it in its own memory, and what calls point to.
const (
	listBytes    = 32 << 10
	birthBytes   = 4 << 10
	buffersBytes = 16 << 10
	timersBytes  = 2 << 10
	limitBytes   = 16 // a struct rlimit
	scratchBytes = listBytes + birthBytes + buffersBytes + timersBytes + limitBytes
)

// buffers is filled for the lists that follow.
type buffers struct {
	address uint64
	content []byte
}

func (o *Original) buffers() *buffers {
	return &buffers{address: o.scratch + listBytes + birthBytes}
}

// reserve makes room for so many zero bytes, aligned to 8, and returns its address.
func (b *buffers) reserve(size int) uint64 {
	at := len(b.content)
	b.content = append(b.content, make([]byte, (size+7)&^7)...)
	return b.address + uint64(at)
}

func (b *buffers) words(values ...uint64) uint64 {
	address := b.reserve(8 * len(values))
	for i, v := range values {
		binary.NativeEndian.PutUint64(b.content[address-b.address+uint64(i)*8:], v)
	}
	return address
}

// text is a string as C has it.
func (b *buffers) text(s string) uint64 {
	address := b.reserve(len(s) + 1)
	copy(b.content[address-b.address:], s)
	return address
}

// event is a struct epoll_event.
func (b *buffers) event(w Watch) uint64 {
	address := b.reserve(16)
	at := b.content[address-b.address:]
	binary.NativeEndian.PutUint32(at, w.Events)
	binary.NativeEndian.PutUint64(at[epollDataAt:], w.Data)
	return address
}

func (b *buffers) write(memory io.WriterAt) error {
	if len(b.content) > buffersBytes {
		return fmt.Errorf("clone: arguments of %d bytes", len(b.content))
	}
	if _, err := memory.WriteAt(b.content, int64(b.address)); err != nil {
		return fmt.Errorf("clone: write arguments: %w", err)
	}
	return nil
}

// word reads what a call has left.
func (o *Original) word(address uint64) (uint64, error) {
	var p [8]byte
	if _, err := o.memory.ReadAt(p[:], int64(address)); err != nil {
		return 0, fmt.Errorf("clone: read results: %w", err)
	}
	return binary.NativeEndian.Uint64(p[:]), nil
}

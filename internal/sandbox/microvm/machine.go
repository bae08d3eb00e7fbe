package microvm

import (
	"context"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// monitor is a program that runs virtual machines.
type monitor interface {
	name() string
	// boot starts a machine from its kernel.
	boot(ctx context.Context, c config) (machine, error)
	// resume starts a copy of a machine that was saved.
	resume(ctx context.Context, c config, s *saved) (machine, error)
}

// machine is one that runs.
type machine interface {
	// serial is the host's end of the line.
	serial() io.ReadWriteCloser
	// attach adds a disk with this number to the machine.
	attach(ctx context.Context, d disk) error
	pause(ctx context.Context) error
	unpause(ctx context.Context) error
	// save writes down a paused machine, which then ends. Its memory must have been shared.
	save(ctx context.Context) (*saved, error)
	// pid is its monitor's process.
	pid() int
	// kill is no error for one that has ended.
	kill()
	// ended is closed when nothing of it is left; said is what its console showed.
	ended() <-chan struct{}
	said() string
}

// config is what a machine is made of.
type config struct {
	memoryMiB int
	cpus      int
	// memory backs the guest's RAM, of which nothing is there yet; nil for a copy.
	memory *os.File
	disks  []disk
	// enter puts the monitor's process into its control group.
	group groupDoor
}

// groupDoor is what the driver gives to hold a monitor's processes.
type groupDoor interface {
	Directory() (*os.File, error)
	Attach(pid int, bornInV2 bool) error
}

// disk is one that a machine has.
type disk struct {
	number   int
	file     *os.File
	writable bool
}

// saved is a machine at rest: its memory, which nothing can change any more,
// and the state of its devices.
type saved struct {
	config config
	memory *os.File
	state  []byte
	owned  []disk // go with it
	below  *saved // holds disks that it has, too
	// usedCPU is what its program had used.
	usedCPU time.Duration

	refs atomic.Int32
}

// hold keeps it until drop; false if it is gone.
func (s *saved) hold() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// drop gives it up; with the last one its files go.
func (s *saved) drop() {
	if s.refs.Add(-1) != 0 {
		return
	}
	// Nothing was written to them that anybody needs.
	_ = s.memory.Close()
	for _, d := range s.owned {
		_ = d.file.Close()
	}
	if s.below != nil {
		s.below.drop()
	}
}

package clone

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// Timer is one of timer_create(2) that sends a signal to its process.
type Timer struct {
	ID, Clock int
	Signal    int
	Value     uint64 // goes with the signal
}

// TimersMax is how many a copied process can have.
const TimersMax = timersBytes / timerBytes

const (
	// sigeventBytes is a struct sigevent: value, signal, SIGEV_SIGNAL which is 0, and room.
	sigeventBytes = 64
	timerBytes    = sigeventBytes + 8 // and where the kernel puts its number
)

// makeTimers leaves what describes them to the kernel, where copies have it too, and
// returns the calls that make them anew.
func (o *Original) makeTimers(timers []Timer) ([]call, error) {
	if len(timers) > TimersMax {
		return nil, fmt.Errorf("clone: %d timers", len(timers))
	}
	var list []call
	at := o.scratch + listBytes + birthBytes + buffersBytes
	for _, t := range timers {
		var event [timerBytes]byte
		binary.NativeEndian.PutUint64(event[:], t.Value)
		binary.NativeEndian.PutUint32(event[8:], uint32(t.Signal))
		if _, err := o.memory.WriteAt(event[:], int64(at)); err != nil {
			return nil, fmt.Errorf("clone: describe a timer: %w", err)
		}
		list = append(list, do("timer_create", unix.SYS_TIMER_CREATE, uint64(t.Clock), at, at+sigeventBytes))
		at += timerBytes
	}
	return list, nil
}

package microvm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// watchPatience bounds a guest on a host that is too busy for it: so many times its limit.
	watchPatience = 12
	// watchLeast is between two looks at a guest that had no processor.
	watchLeast = 100 * time.Millisecond
)

// watchdog is the context of an attempt at a machine that may hang. Its limit is of the time in
// which the machine could have run: what its monitor waited for a processor does not count, as a
// busy host is no sign of a guest that hangs. A guest that spins, or sleeps for ever, has that time.
type watchdog struct {
	context.Context
	// done is its own, so that contexts made from this one ask it for their error.
	done chan struct{}
	bit  atomic.Bool
	// process is the monitor's, 0 before there is one, and waited what it had waited before.
	process atomic.Int64
	waited  atomic.Int64
}

type watchdogKey struct{}

// watch gives an attempt its limit. A nil machine is followed as soon as it is there.
func watch(ctx context.Context, limit time.Duration, m machine) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(ctx)
	w := &watchdog{Context: inner, done: make(chan struct{})}
	if m != nil {
		w.follow(m.pid())
	}
	go w.sit(limit, cancel)
	return w, cancel
}

// sit looks when the limit may be over, and bites when it is.
func (w *watchdog) sit(limit time.Duration, bite context.CancelFunc) {
	defer close(w.done)
	begin := time.Now()
	for left := limit; ; {
		select {
		case <-w.Context.Done():
			return
		case <-time.After(max(left, watchLeast)):
		}
		took := time.Since(begin)
		if left = limit - (took - w.starved()); left <= 0 || took >= watchPatience*limit {
			w.bit.Store(true)
			bite()
			return
		}
	}
}

// Done is closed when the watchdog has bitten, or is called off.
func (w *watchdog) Done() <-chan struct{} { return w.done }

// Err tells a bite as a time limit.
func (w *watchdog) Err() error {
	err := w.Context.Err()
	if err != nil && w.bit.Load() {
		return context.DeadlineExceeded
	}
	return err
}

// Value finds the watchdog, too.
func (w *watchdog) Value(key any) any {
	if key == (watchdogKey{}) {
		return w
	}
	return w.Context.Value(key)
}

// followed tells the watchdog of an attempt which process its monitor is.
func followed(ctx context.Context, pid int) {
	if w, ok := ctx.Value(watchdogKey{}).(*watchdog); ok {
		w.follow(pid)
	}
}

func (w *watchdog) follow(pid int) {
	w.waited.Store(int64(runDelay("/proc", pid)))
	w.process.Store(int64(pid))
}

// starved is how long the monitor has waited for a processor.
func (w *watchdog) starved() time.Duration {
	pid := int(w.process.Load())
	if pid == 0 {
		return 0
	}
	return max(0, runDelay("/proc", pid)-time.Duration(w.waited.Load()))
}

// runDelay is how long the thread of a process that waited the most has waited for a processor, its
// control group's quota included; 0 where the kernel does not tell. Source: Linux,
// Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat.
func runDelay(proc string, pid int) time.Duration {
	threads, err := filepath.Glob(fmt.Sprintf("%s/%d/task/*/schedstat", proc, pid))
	if err != nil {
		return 0
	}
	var most int64
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if fields := bytes.Fields(text); len(fields) == 3 {
			if n, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				most = max(most, n)
			}
		}
	}
	return time.Duration(most)
}

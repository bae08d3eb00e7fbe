package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// tick is the unit of times in /proc. Source: proc(5) and time(7): USER_HZ is
// 100 on every architecture that lambdad runs on.
const tick = time.Second / 100

// meteredMax bounds the processes that one reading looks at; pids inside are
// bounded by sandbox.ProcessesMax threads, so this only ends a race with forks.
const meteredMax = 2 * sandbox.ProcessesMax

// reading is what the processes of one sandbox take, as /proc tells it: for
// hosts that give no group to meter with. Memory that processes share counts
// for each of them, and what ended between two readings is in the time only.
type reading struct {
	memory, peak int64
	cpu          time.Duration
}

// readProcesses adds up everything below process 1. Its own time counts, as it
// reaps, and its own memory does not, as in the limit.
func readProcesses(init int) reading {
	var sum reading
	queue := []int{init}
	for at := 0; at < len(queue) && at < meteredMax; at++ {
		pid := queue[at]
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		// A process that ends meanwhile takes nothing any more, and its parent
		// has its time.
		if stat, err := os.ReadFile(filepath.Join(dir, "stat")); err == nil {
			sum.cpu += statTime(string(stat))
		}
		if pid != init {
			if status, err := os.ReadFile(filepath.Join(dir, "status")); err == nil {
				sum.memory += statusBytes(string(status), "VmRSS")
				sum.peak += statusBytes(string(status), "VmHWM")
			}
		}
		queue = append(queue, children(dir)...)
	}
	return sum
}

// children of all threads. Source: proc(5), /proc/pid/task/tid/children.
func children(dir string) []int {
	threads, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return nil
	}
	var found []int
	for _, thread := range threads {
		list, err := os.ReadFile(filepath.Join(dir, "task", thread.Name(), "children"))
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(word); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

// statTime is the time of a process and of the children that it has waited for:
// fields 14 to 17 of proc(5)'s stat, counted behind the name, which may hold anything.
func statTime(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const first = 14 - 3
	if len(fields) < first+4 {
		return 0
	}
	var ticks int64
	for _, f := range fields[first : first+4] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// statusBytes is a field of proc(5)'s status, which counts in KiB.
func statusBytes(status, name string) int64 {
	for line := range strings.Lines(status) {
		var kib int64
		if n, _ := fmt.Sscanf(line, name+": %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// metered remembers the most of what was read: processes that ended are in no
// later reading.
func (b *box) metered(r reading) reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent.memory = r.memory
	b.spent.peak = max(b.spent.peak, r.peak)
	b.spent.cpu = max(b.spent.cpu, r.cpu)
	return b.spent
}

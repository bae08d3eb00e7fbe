package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// group is the program's control group. The machine's own size is the outer
// bound; this one is exact, and tells of memory that ran out.
const group = "/cgroup/program"

const cpuPeriod = 20 * time.Millisecond // short: a small share waits often and briefly

func writeGroup(file, value string) error {
	return os.WriteFile(filepath.Join(group, file), []byte(value), 0)
}

func limitProcesses(n int) error { return writeGroup("pids.max", strconv.Itoa(n)) }

// limit sets what is not zero.
func limit(l line.Limits) error {
	if l.MemoryBytes > 0 {
		if err := writeGroup("memory.max", strconv.FormatInt(l.MemoryBytes, 10)); err != nil {
			return err
		}
	}
	if l.CPUMilli <= 0 {
		return nil
	}
	quota := max(cpuPeriod.Microseconds()*int64(l.CPUMilli)/1000, 1000) // the kernel takes no less
	return writeGroup("cpu.max", fmt.Sprintf("%d %d", quota, cpuPeriod.Microseconds()))
}

func measure() (line.Usage, error) {
	var u line.Usage
	var err error
	if u.Memory, err = number("memory.current", ""); err != nil {
		return u, err
	}
	if u.Peak, err = number("memory.peak", ""); err != nil {
		return u, err
	}
	micros, err := number("cpu.stat", "usage_usec")
	if err != nil {
		return u, err
	}
	u.CPU = time.Duration(micros) * time.Microsecond
	kills, err := number("memory.events", "oom_kill")
	u.OOMKills = int(kills)
	return u, err
}

// number reads a file of the group, or the field with this name.
func number(file, field string) (int64, error) {
	content, err := os.ReadFile(filepath.Join(group, file))
	if err != nil {
		return 0, err
	}
	if field == "" {
		return strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	}
	for text := range strings.Lines(string(content)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(text), " "); name == field {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, field)
}

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuPeriod is the window in which the CPU quota holds: short, so that a
// function with a small share waits often and briefly, not rarely and long.
const cpuPeriod = 20 * time.Millisecond

// quotaMin is the least quota the kernel takes.
const quotaMin = time.Millisecond

const (
	settleMax  = 5 * time.Second // for a group to freeze, or to become empty
	settleStep = 50 * time.Microsecond
	settleSlow = 5 * time.Millisecond
)

// Group is the group of one sandbox, in each hierarchy that we use.
type Group struct {
	v1            map[string]string
	v2            string
	v2Controllers map[string]bool
}

// Limits of a group; zero leaves one as it is.
type Limits struct {
	MemoryBytes int64
	CPUMilli    int
	Processes   int
}

// Usage of a group since it was made.
type Usage struct {
	MemoryBytes, MemoryPeakBytes int64
	CPU                          time.Duration
	OOMKills                     int
}

// Directory opens the version-2 directory, for clone3 with CLONE_INTO_CGROUP;
// nil without version 2.
func (g *Group) Directory() (*os.File, error) {
	if g.v2 == "" {
		return nil, nil
	}
	f, err := os.Open(g.v2)
	if err != nil {
		return nil, fmt.Errorf("cgroup: %w", err)
	}
	return f, nil
}

// Attach moves a process into the version-1 groups, and into the version-2
// one unless it was born there.
func (g *Group) Attach(pid int, bornInV2 bool) error {
	value := strconv.Itoa(pid)
	for _, dir := range g.v1 {
		if err := write(dir, "cgroup.procs", value); err != nil {
			return err
		}
	}
	if g.v2 != "" && !bornInV2 {
		return write(g.v2, "cgroup.procs", value)
	}
	return nil
}

// Limit sets what the hierarchies can limit.
func (g *Group) Limit(l Limits) error {
	if l.MemoryBytes > 0 {
		if err := g.limitMemory(strconv.FormatInt(l.MemoryBytes, 10)); err != nil {
			return err
		}
	}
	if l.CPUMilli > 0 {
		if err := g.limitCPU(l.CPUMilli); err != nil {
			return err
		}
	}
	if l.Processes > 0 {
		if dir := g.limiting(pids); dir != "" {
			return write(dir, "pids.max", strconv.Itoa(l.Processes))
		}
	}
	return nil
}

// limitMemory also forbids swap: a function that swaps is slower than one
// that is killed, and nobody can tell why.
func (g *Group) limitMemory(value string) error {
	if dir, ok := g.v1[memory]; ok {
		if err := write(dir, "memory.limit_in_bytes", value); err != nil {
			return err
		}
		return optional(write(dir, "memory.memsw.limit_in_bytes", value))
	}
	if !g.v2Controllers[memory] {
		return nil
	}
	if err := write(g.v2, "memory.max", value); err != nil {
		return err
	}
	if err := optional(write(g.v2, "memory.swap.max", "0")); err != nil {
		return err
	}
	return optional(write(g.v2, "memory.oom.group", "1"))
}

func (g *Group) limitCPU(milli int) error {
	quota := max(cpuPeriod*time.Duration(milli)/1000, quotaMin).Microseconds()
	period := cpuPeriod.Microseconds()
	if dir, ok := g.v1[cpu]; ok {
		if err := write(dir, "cpu.cfs_period_us", strconv.FormatInt(period, 10)); err != nil {
			return err
		}
		return write(dir, "cpu.cfs_quota_us", strconv.FormatInt(quota, 10))
	}
	if g.v2Controllers[cpu] {
		return write(g.v2, "cpu.max", fmt.Sprintf("%d %d", quota, period))
	}
	return nil
}

// limiting is the directory in which a controller's limit files lie.
func (g *Group) limiting(controller string) string {
	if dir, ok := g.v1[controller]; ok {
		return dir
	}
	if g.v2Controllers[controller] {
		return g.v2
	}
	return ""
}

// Usage reads the meters.
func (g *Group) Usage() (Usage, error) {
	var u Usage
	var errs []error
	number := func(dir, file string) int64 {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			errs = append(errs, fmt.Errorf("cgroup: %w", err))
			return 0
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
		errs = append(errs, err)
		return n
	}
	field := func(dir, file, name string) int64 {
		n, err := readField(dir, file, name)
		errs = append(errs, err)
		return n
	}
	if dir, ok := g.v1[memory]; ok {
		u.MemoryBytes = number(dir, "memory.usage_in_bytes")
		u.MemoryPeakBytes = number(dir, "memory.max_usage_in_bytes")
		u.OOMKills = int(field(dir, "memory.oom_control", "oom_kill"))
	} else if g.v2Controllers[memory] {
		u.MemoryBytes = number(g.v2, "memory.current")
		u.MemoryPeakBytes = u.MemoryBytes
		if _, err := os.Stat(filepath.Join(g.v2, "memory.peak")); err == nil { // kernel >= 5.19
			u.MemoryPeakBytes = number(g.v2, "memory.peak")
		}
		u.OOMKills = int(field(g.v2, "memory.events", "oom_kill"))
	}
	if dir, ok := g.v1[cpuacct]; ok {
		u.CPU = time.Duration(number(dir, "cpuacct.usage"))
	} else if g.v2 != "" { // cpu.stat is there without the controller
		u.CPU = time.Duration(field(g.v2, "cpu.stat", "usage_usec")) * time.Microsecond
	}
	return u, errors.Join(errs...)
}

// Meters tells which of the meters this host's groups have; Usage leaves the
// others zero.
func (g *Group) Meters() (memoryToo, cpuToo bool) {
	return g.limiting(memory) != "", g.v1[cpuacct] != "" || g.v2 != ""
}

// ResetPeak starts a new peak where the kernel can (version 1).
func (g *Group) ResetPeak() error {
	if dir, ok := g.v1[memory]; ok {
		return write(dir, "memory.max_usage_in_bytes", "0")
	}
	return nil
}

// Freeze stops every process and returns when all stand still.
func (g *Group) Freeze(ctx context.Context) error {
	if g.v2 != "" {
		if err := write(g.v2, "cgroup.freeze", "1"); err != nil {
			return err
		}
		return settle(ctx, func() (bool, error) {
			n, err := readField(g.v2, "cgroup.events", "frozen")
			return n == 1, err
		})
	}
	dir, ok := g.v1[freezer]
	if !ok {
		return errors.ErrUnsupported
	}
	return settle(ctx, func() (bool, error) {
		// Asking again is what makes a racing fork freeze too.
		if err := write(dir, "freezer.state", "FROZEN"); err != nil {
			return false, err
		}
		state, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
		return strings.TrimSpace(string(state)) == "FROZEN", err
	})
}

// Thaw lets every process run again.
func (g *Group) Thaw() error {
	if g.v2 != "" {
		return write(g.v2, "cgroup.freeze", "0")
	}
	if dir, ok := g.v1[freezer]; ok {
		return write(dir, "freezer.state", "THAWED")
	}
	return errors.ErrUnsupported
}

// Kill ends every process in the group, frozen or not, and waits for it to be empty.
func (g *Group) Kill(ctx context.Context) error {
	if err := g.End(); err != nil {
		return err
	}
	return settle(ctx, func() (bool, error) {
		left, err := g.processes()
		if err != nil {
			return false, err
		}
		for _, pid := range left {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return false, fmt.Errorf("cgroup: kill %d: %w", pid, err)
			}
		}
		return len(left) == 0, nil
	})
}

// End kills every process in the group where the kernel does that by itself,
// and lets frozen ones notice that they are dead. It waits for nothing.
func (g *Group) End() error {
	if g.v2 != "" {
		// Kernels before 5.14 have no cgroup.kill.
		if err := optional(write(g.v2, "cgroup.kill", "1")); err != nil {
			return err
		}
	}
	if err := g.Thaw(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// processes lists who is left. A group that is gone has none.
// Processes are the numbers of those that are in the group.
func (g *Group) Processes() ([]int, error) { return g.processes() }

func (g *Group) processes() ([]int, error) {
	var list []int
	for _, dir := range g.dirs() {
		content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
		for line := range strings.Lines(string(content)) {
			// 0 stands for a process outside our PID namespace: not ours to kill.
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				list = append(list, pid)
			}
		}
	}
	return list, nil
}

// Remove takes the directories away.
func (g *Group) Remove() error {
	var errs []error
	for _, dir := range g.dirs() {
		errs = append(errs, removeDir(dir))
	}
	return errors.Join(errs...)
}

func (g *Group) dirs() []string {
	var dirs []string
	for _, dir := range g.v1 {
		dirs = append(dirs, dir)
	}
	if g.v2 != "" {
		dirs = append(dirs, g.v2)
	}
	return dirs
}

// removeDir waits while the kernel still accounts a process that has ended.
func removeDir(dir string) error {
	err := settle(context.Background(), func() (bool, error) {
		err := syscall.Rmdir(dir)
		if err == syscall.EBUSY {
			return false, nil
		}
		if err == syscall.ENOENT {
			err = nil
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("cgroup: remove %s: %w", dir, err)
	}
	return nil
}

// settle repeats a step until it is done, quickly at first.
func settle(ctx context.Context, step func() (bool, error)) error {
	deadline := time.Now().Add(settleMax)
	for pause := settleStep; ; pause = min(pause*2, settleSlow) {
		done, err := step()
		if done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup: not settled after %s: %w", settleMax, os.ErrDeadlineExceeded)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func readField(dir, file, name string) (int64, error) {
	content, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, fmt.Errorf("cgroup: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && key == name {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, nil
}

// optional forgives a file that this kernel does not have.
func optional(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

package container

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/clone"
)

// candidate is a program that stands still, and shall be a template's.
type candidate struct {
	dir  string // in /proc
	pipe uint64 // the inode of its output
	// What becomes of its descriptors in a copy.
	replaced []replaced
	reopened []clone.Reopened
	kept     []int
	timers   []clone.Timer
	// workDir is its working directory, inside.
	workDir string
}

func unclonable(format string, args ...any) error {
	return &sandbox.UnclonableError{Reason: fmt.Sprintf(format, args...)}
}

// inspect refuses what a copy would share with others, or would miss.
func inspect(init, pid int, pipe uint64, threads bool) (*candidate, error) {
	c := &candidate{dir: "/proc/" + strconv.Itoa(pid), pipe: pipe}
	for _, check := range []func() error{
		func() error { return c.threads(threads) }, func() error { return c.alone(init, pid) }, c.descriptors, c.memory, c.findTimers, c.scratch, c.directory,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *candidate) threads(allowed bool) error {
	threads, err := os.ReadDir(c.dir + "/task")
	if err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	if len(threads) > 1 && !allowed {
		return unclonable("it has %d threads", len(threads))
	}
	return nil
}

// alone: a copy would not have the other processes.
func (c *candidate) alone(init, pid int) error {
	others := slices.Concat(children("/proc/"+strconv.Itoa(init)), children(c.dir))
	for _, other := range others {
		if other != pid {
			return unclonable("it has started a process that is still there")
		}
	}
	return nil
}

// memory that is shared stays shared among all copies.
func (c *candidate) memory() error {
	maps, err := os.ReadFile(c.dir + "/maps")
	if err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		// address perms offset dev inode path. Source: proc_pid_maps(5).
		fields := strings.Fields(line)
		if len(fields) < 5 || !strings.HasSuffix(fields[1], "s") {
			continue
		}
		path := strings.Join(fields[5:], " ")
		// A file of the read-only root or of the code can be changed by nobody.
		lasting := strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "(deleted)") && !strings.HasPrefix(path, "/dev/")
		if strings.Contains(fields[1], "w") || !lasting {
			return unclonable("it shares memory (%s)", strings.TrimSuffix(path, " (deleted)"))
		}
	}
	return nil
}

// findTimers finds those of timer_create(2), which a child does not inherit.
func (c *candidate) findTimers() error {
	text, err := os.ReadFile(c.dir + "/timers")
	if err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	if c.timers, err = parseTimers(string(text)); err != nil {
		return unclonable("it has a timer of a kind that cannot be copied (%s)", err)
	}
	return nil
}

// parseTimers reads proc(5)'s timers. The kernel numbers a new process's from 0.
func parseTimers(text string) ([]clone.Timer, error) {
	var list []clone.Timer
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		if name == "ID" {
			list = append(list, clone.Timer{})
		}
		if len(list) == 0 || len(list) > clone.TimersMax {
			return nil, fmt.Errorf("line %q, of %d", line, len(list))
		}
		t := &list[len(list)-1]
		var err error
		switch name {
		case "ID":
			t.ID, err = strconv.Atoi(value)
		case "signal":
			_, err = fmt.Sscanf(value, "%d/%x", &t.Signal, &t.Value)
		case "notify":
			if !strings.HasPrefix(value, "signal/pid.") {
				err = fmt.Errorf("notifies by %s", value)
			}
		case "ClockID":
			t.Clock, err = strconv.Atoi(value)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b clone.Timer) int { return a.ID - b.ID })
	for i, t := range list {
		if t.ID != i {
			return nil, fmt.Errorf("number %d without those before", t.ID)
		}
	}
	return list, nil
}

// scratch: a copy finds an empty /tmp, and would look for what it left there.
func (c *candidate) scratch() error {
	list, err := os.ReadDir(c.dir + "/root/tmp")
	if err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	for _, entry := range list {
		if entry.Name() != "lost+found" {
			return unclonable("it has written /tmp/%s", entry.Name())
		}
	}
	return nil
}

// pipeInode names the output of a program as /proc does.
func (p *program) pipeInode() (uint64, error) {
	raw, err := p.output.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("container: template: %w", err)
	}
	var stat syscall.Stat_t
	if gone := raw.Control(func(fd uintptr) { err = syscall.Fstat(int(fd), &stat) }); gone != nil || err != nil {
		return 0, fmt.Errorf("container: template: %w", errors.Join(gone, err))
	}
	return stat.Ino, nil
}

// kinds are the namespaces of a sandbox in the order in which a copy enters
// them: the first gives it the right to the others.
var kinds = []struct {
	name string
	flag int
}{
	{"user", unix.CLONE_NEWUSER}, {"mnt", unix.CLONE_NEWNS}, {"pid", unix.CLONE_NEWPID}, {"net", unix.CLONE_NEWNET},
	{"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP},
}

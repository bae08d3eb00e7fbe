package container

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
)

// candidate is a program that stands still, and shall be a template's.
type candidate struct {
	dir  string // in /proc
	pipe uint64 // the inode of its output
	// What becomes of its descriptors in a copy.
	replaced []replaced
	kept     []int
	// workDir is its working directory, inside.
	workDir string
}

// replaced is a descriptor of which each copy has one of its own.
type replaced struct {
	fd          int
	kind        kind
	closeOnExec bool
	// count and flags are an event counter's.
	count uint
	flags int
}

type kind int

const (
	other      kind = iota
	stdout          // or stderr: the sandbox's one pipe
	connection      // to the Runtime API; a copy's is broken
	event           // eventfd(2)
)

func unclonable(format string, args ...any) error {
	return &sandbox.UnclonableError{Reason: fmt.Sprintf(format, args...)}
}

// inspect refuses what a copy would share with others, or would miss.
func inspect(init, pid int, pipe uint64) (*candidate, error) {
	c := &candidate{dir: "/proc/" + strconv.Itoa(pid), pipe: pipe}
	for _, check := range []func() error{
		c.threads, func() error { return c.alone(init, pid) }, c.descriptors, c.memory, c.scratch, c.directory,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *candidate) threads() error {
	threads, err := os.ReadDir(c.dir + "/task")
	if err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	if len(threads) > 1 {
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

// harmless are devices that hold nothing, and of which a copy may use the original's.
var harmless = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

func (c *candidate) descriptors() error {
	list, err := os.ReadDir(c.dir + "/fd")
	if err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	api, err := c.connections(sandbox.RuntimeAPIAddress)
	if err != nil {
		return err
	}
	waits := false
	for _, entry := range list {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return fmt.Errorf("container: template: %w", err)
		}
		target, err := os.Readlink(c.dir + "/fd/" + entry.Name())
		if err != nil {
			return fmt.Errorf("container: template: %w", err)
		}
		known, err := c.descriptor(fd, target, api)
		if err != nil {
			return err
		}
		waits = waits || known == connection
	}
	if !waits {
		return unclonable("it does not wait in the Runtime API")
	}
	return nil
}

// descriptor decides what becomes of one.
func (c *candidate) descriptor(fd int, target string, api map[string]bool) (kind, error) {
	if slices.Contains(harmless, target) {
		c.kept = append(c.kept, fd)
		return other, nil
	}
	info, err := os.ReadFile(c.dir + "/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return other, fmt.Errorf("container: template: %w", err)
	}
	r := replaced{fd: fd, closeOnExec: infoNumber(info, "flags", 8)&unix.O_CLOEXEC != 0}
	switch {
	case target == "pipe:["+strconv.FormatUint(c.pipe, 10)+"]":
		r.kind = stdout
	case api[target]:
		r.kind = connection
	case target == "anon_inode:[eventfd]": // Ruby has some
		r.kind, r.count = event, uint(infoNumber(info, "eventfd-count", 16))
		if infoNumber(info, "flags", 8)&unix.O_NONBLOCK != 0 {
			r.flags |= unix.EFD_NONBLOCK
		}
		if infoNumber(info, "eventfd-semaphore", 10) != 0 {
			r.flags |= unix.EFD_SEMAPHORE
		}
	case strings.HasPrefix(target, "socket:"):
		return other, unclonable("it has a connection or a socket open")
	case strings.HasPrefix(target, "/"):
		return other, unclonable("it has %s open", target)
	default:
		name, _, _ := strings.Cut(strings.TrimPrefix(target, "anon_inode:"), ":")
		return other, unclonable("it has a descriptor open (%s)", name)
	}
	c.replaced = append(c.replaced, r)
	return r.kind, nil
}

// infoNumber is a field of proc(5)'s fdinfo, 0 where there is none.
func infoNumber(info []byte, name string, base int) uint64 {
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			n, err := strconv.ParseUint(strings.TrimSpace(value), base, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// connections are the links of the sockets in the program's network that are
// connected to address.
func (c *candidate) connections(address string) (map[string]bool, error) {
	table, err := os.ReadFile(c.dir + "/net/tcp")
	if err != nil {
		return nil, fmt.Errorf("container: template: %w", err)
	}
	remote, err := procAddress(address)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(table)) {
		// sl local_address rem_address st ... inode. Source: proc_net_tcp.txt.
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[2] == remote {
			found["socket:["+fields[9]+"]"] = true
		}
	}
	return found, nil
}

// procAddress is an IPv4 address as /proc/net/tcp shows it: a little-endian
// number on all architectures that lambdad runs on.
func procAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("container: template: %w", err)
	}
	ip := slices.Clone(net.ParseIP(host).To4())
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || ip == nil {
		return "", fmt.Errorf("container: template: %q is no IPv4 address: %w", address, errors.Join(err))
	}
	slices.Reverse(ip)
	return strings.ToUpper(hex.EncodeToString(ip)) + fmt.Sprintf(":%04X", number), nil
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

func (c *candidate) directory() (err error) {
	if c.workDir, err = os.Readlink(c.dir + "/cwd"); err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	if !filepath.IsAbs(c.workDir) || strings.HasSuffix(c.workDir, " (deleted)") {
		return unclonable("its working directory is %s", c.workDir)
	}
	return nil
}

// pipeInode names the output of a program as /proc does.
func (p *program) pipeInode() (uint64, error) {
	out, ok := p.output.(*output)
	if !ok {
		return 0, errors.New("container: template: the output is no pipe")
	}
	raw, err := out.file.SyscallConn()
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

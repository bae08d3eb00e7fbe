package container

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/clone"
)

// replaced is a descriptor in whose place each copy has one of its own.
type replaced struct {
	fd          int
	kind        kind
	closeOnExec bool
	flags       int           // of open(2): O_NONBLOCK and the access
	count       uint          // of an event counter
	semaphore   bool          // an event counter's kind
	pipe        string        // both ends of one pipe have the same
	watches     []clone.Watch // of an epoll descriptor
}

type kind int

const (
	other      kind = iota
	stdout          // or stderr: the sandbox's one pipe
	connection      // to the Runtime API; a copy's is broken
	ended           // a socket within the program whose other end is closed
	event           // eventfd(2)
	polling         // epoll(7)
	pipeEnd         // of a pipe within the program
)

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
	return c.whole()
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
	flags := int(infoNumber(info, "flags", 8))
	r := replaced{fd: fd, closeOnExec: flags&unix.O_CLOEXEC != 0, flags: flags & (unix.O_ACCMODE | unix.O_NONBLOCK)}
	switch {
	case target == "pipe:["+strconv.FormatUint(c.pipe, 10)+"]":
		r.kind = stdout
	case api[target]:
		r.kind = connection
	case target == "anon_inode:[eventfd]": // Ruby and Node.js have some
		r.kind, r.count = event, uint(infoNumber(info, "eventfd-count", 16))
		r.semaphore = infoNumber(info, "eventfd-semaphore", 10) != 0
	case target == "anon_inode:[eventpoll]":
		r.kind, r.watches = polling, watches(info)
	case strings.HasPrefix(target, "pipe:"):
		r.kind, r.pipe = pipeEnd, target
	case strings.HasPrefix(target, "socket:"):
		if !c.abandoned(fd) {
			return other, unclonable("it has a connection or a socket open")
		}
		r.kind = ended
	case strings.HasPrefix(target, "/"):
		return other, c.file(r, target, info)
	default:
		name, _, _ := strings.Cut(strings.TrimPrefix(target, "anon_inode:"), ":")
		return other, unclonable("it has a descriptor open (%s)", name)
	}
	c.replaced = append(c.replaced, r)
	return r.kind, nil
}

// abandoned reports whether a socket is one of a pair whose other end is closed: Java
// keeps one, to put it in the place of descriptors that it closes.
func (c *candidate) abandoned(fd int) bool {
	pid, err := strconv.Atoi(filepath.Base(c.dir))
	if err != nil {
		return false
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer unix.Close(process)
	socket, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return false
	}
	defer unix.Close(socket)
	domain, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || domain != unix.AF_UNIX {
		return false
	}
	state := []unix.PollFd{{Fd: int32(socket), Events: unix.POLLIN}}
	_, err = unix.Poll(state, 0)
	return err == nil && state[0].Revents&unix.POLLHUP != 0
}

// file is one of the sandbox's. What is read-only, in a copy is the same file.
func (c *candidate) file(r replaced, path string, info []byte) error {
	var stat unix.Stat_t
	if err := unix.Stat(c.dir+"/fd/"+strconv.Itoa(r.fd), &stat); err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	regular := stat.Mode&unix.S_IFMT == unix.S_IFREG
	if !regular || r.flags&unix.O_ACCMODE != unix.O_RDONLY || strings.HasSuffix(path, " (deleted)") || strings.HasPrefix(path, "/tmp/") ||
		strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/dev/") {
		return unclonable("it has %s open", path)
	}
	c.reopened = append(c.reopened, clone.Reopened{
		FD: r.fd, Path: path, Flags: r.flags, Offset: int64(infoNumber(info, "pos", 10)), CloseOnExec: r.closeOnExec,
	})
	return nil
}

// whole refuses descriptors that mean something only together with what is not there:
// a pipe's other end, what is watched.
func (c *candidate) whole() error {
	ends := map[string]int{} // by pipe, the accesses
	for _, r := range c.replaced {
		switch r.kind {
		case pipeEnd:
			ends[r.pipe] |= 1 << (r.flags & unix.O_ACCMODE)
		case polling:
			for _, w := range r.watches {
				if !slices.ContainsFunc(c.replaced, func(r replaced) bool { return r.fd == w.FD }) {
					return unclonable("it watches a descriptor that is closed or no socket, pipe or counter")
				}
			}
		}
	}
	for _, accesses := range ends {
		if accesses != 1<<unix.O_RDONLY|1<<unix.O_WRONLY {
			return unclonable("it has a pipe open of which it has one end")
		}
	}
	return nil
}

// fill puts into a new pipe what the original's holds, which keeps it: libuv has
// a byte in one, as a lock.
func (c *candidate) fill(with *os.File, r replaced) error {
	from, err := unix.Open(c.dir+"/fd/"+strconv.Itoa(r.fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a pipe: %w", err)
	}
	defer unix.Close(from)
	const most = 1 << 20 // more than a pipe holds without privileges
	if _, err := unix.Tee(from, int(with.Fd()), most, unix.SPLICE_F_NONBLOCK); err != nil && err != unix.EAGAIN {
		return fmt.Errorf("copy what is in a pipe: %w", err)
	}
	return nil
}

// watches are the descriptors that an epoll descriptor watches. Source: proc_pid_fdinfo(5).
func watches(info []byte) []clone.Watch {
	var list []clone.Watch
	for line := range strings.Lines(string(info)) {
		var fd int
		var events uint32
		var data uint64
		if n, _ := fmt.Sscanf(line, "tfd: %d events: %x data: %x", &fd, &events, &data); n == 3 {
			list = append(list, clone.Watch{FD: fd, Events: events, Data: data})
		}
	}
	return list
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
	found := map[string]bool{}
	// Java's sockets are of IPv6, with addresses of IPv4 in them.
	for _, table := range []struct{ file, prefix string }{{"/net/tcp", ""}, {"/net/tcp6", "0000000000000000FFFF0000"}} {
		content, err := os.ReadFile(c.dir + table.file)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("container: template: %w", err)
		}
		remote, err := procAddress(address)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			// sl local_address rem_address st ... inode. Source: proc_net_tcp.txt.
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[2] == table.prefix+remote {
				found["socket:["+fields[9]+"]"] = true
			}
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

// replacements makes what a copy has in place of the original's descriptors. The
// caller closes what was made, on an error too.
func (c *candidate) replacements(writer *os.File) (list []clone.Replacement, made []io.Closer, err error) {
	add := func(f *os.File, err error) (*os.File, error) {
		if err == nil {
			made = append(made, f)
		}
		return f, err
	}
	pipes := map[string][2]*os.File{} // by the original's, the end to read and the one to write
	for _, r := range c.replaced {
		var with *os.File
		switch r.kind {
		case stdout:
			with = writer
		case connection, ended:
			with, err = add(brokenConnection())
		case event:
			with, err = add(r.eventCounter())
		case polling:
			with, err = add(newFile("epoll")(unix.EpollCreate1(unix.EPOLL_CLOEXEC)))
		case pipeEnd:
			ends, ok := pipes[r.pipe]
			if !ok {
				if ends, err = newPipe(); err != nil {
					break
				}
				pipes[r.pipe] = ends
				made = append(made, ends[0], ends[1])
			}
			reads := r.flags&unix.O_ACCMODE == unix.O_RDONLY
			with = ends[1]
			if reads {
				with = ends[0]
				err = c.fill(ends[1], r)
			}
			if err == nil {
				err = unix.SetNonblock(int(with.Fd()), r.flags&unix.O_NONBLOCK != 0)
			}
		}
		if err != nil {
			return list, made, fmt.Errorf("container: a copy's descriptor: %w", err)
		}
		list = append(list, clone.Replacement{FD: r.fd, With: with, CloseOnExec: r.closeOnExec, Watches: r.watches})
	}
	return list, made, nil
}

func newFile(name string) func(int, error) (*os.File, error) {
	return func(fd int, err error) (*os.File, error) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return os.NewFile(uintptr(fd), name), nil
	}
}

func newPipe() ([2]*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return [2]*os.File{}, fmt.Errorf("pipe: %w", err)
	}
	return [2]*os.File{os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe")}, nil
}

func (r replaced) eventCounter() (*os.File, error) {
	flags := unix.EFD_CLOEXEC
	if r.flags&unix.O_NONBLOCK != 0 {
		flags |= unix.EFD_NONBLOCK
	}
	if r.semaphore {
		flags |= unix.EFD_SEMAPHORE
	}
	return newFile("event")(unix.Eventfd(r.count, flags))
}

// brokenConnection is a socket whose other end is gone: the copy reads its end.
func brokenConnection() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "connection"), unix.Close(pair[1])
}

// directory is the program's, which a copy finds in its own sandbox.
func (c *candidate) directory() (err error) {
	if c.workDir, err = os.Readlink(c.dir + "/cwd"); err != nil {
		return fmt.Errorf("container: template: %w", err)
	}
	if !filepath.IsAbs(c.workDir) || strings.HasSuffix(c.workDir, " (deleted)") {
		return unclonable("its working directory is %s", c.workDir)
	}
	return nil
}

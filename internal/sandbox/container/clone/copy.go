package clone

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Namespace is one to enter, with the CLONE_NEW flag of its kind.
type Namespace struct {
	File *os.File
	Kind int
}

// Spec says what a copy of a process is to be like.
type Spec struct {
	// Namespaces are entered in this order; a user namespace comes first, and gives
	// the capabilities that the others need.
	Namespaces []Namespace
	// Replaced descriptors of the process become others; Kept ones stay as they are.
	// Reopened are files that are opened anew. All that are in none are closed.
	Replaced []Replacement
	Reopened []Reopened
	Kept     []int
	// Dir is the working directory, in the new mount namespace.
	Dir string
	// Attach puts a process into its control groups before it allocates anything.
	Attach func(pid int) error
}

// Replacement is what a descriptor becomes.
type Replacement struct {
	FD   int // in the process
	With *os.File
	// CloseOnExec is the descriptor's flag.
	CloseOnExec bool
	// Watches are what it watches if it is an epoll descriptor.
	Watches []Watch
}

// Watch is a descriptor that an epoll descriptor watches. Source: epoll_ctl(2).
type Watch struct {
	FD     int // of the copy
	Events uint32
	Data   uint64
}

// Reopened is a file that a copy opens for itself, so that it has an offset of its own.
type Reopened struct {
	FD          int
	Path        string // in the new mount namespace
	Flags       int    // of open(2)
	Offset      int64
	CloseOnExec bool
}

// Process is a copy. It is a child of the original and must be reaped by it.
type Process struct {
	PID   int // on the host
	PIDFD int // the caller's to close

	number int64 // as the original sees it
}

// Copy makes a copy. It goes on where the original was stopped, and not before
// it has the namespaces and descriptors of spec, and no capability.
func (o *Original) Copy(spec Spec) (Process, error) {
	var p Process
	err := o.on(func() (err error) {
		p, err = o.copy(spec)
		return err
	})
	return p, err
}

func (o *Original) copy(spec Spec) (p Process, err error) {
	if o.broken != nil {
		return p, o.broken
	}
	// The traveller shares the original's memory, so that making it costs nothing,
	// and has descriptors and namespaces of its own.
	traveller, number, err := o.branch(o.tracee, do("clone", unix.SYS_CLONE, sliced(cloneArgs(unix.CLONE_VM, 0))...))
	if err != nil {
		return p, err
	}
	var child tracee
	var threads []*thread // the child's others
	defer func() {
		// The traveller has ended by itself, or must.
		errs := []error{err, o.remove(traveller, number)}
		if err != nil && child.pid != 0 {
			errs = append(errs, killAll(child, threads)) // and when the original ends, nothing is left of it
		}
		err = errors.Join(errs...)
	}()
	if err := spec.Attach(traveller.pid); err != nil {
		return p, err
	}
	fds, err := o.pass(traveller, spec)
	if err != nil {
		return p, err
	}
	files, err := o.enter(traveller, spec, fds)
	if err != nil {
		return p, err
	}
	list, err := o.journey(spec, fds[len(spec.Namespaces):], files)
	if err != nil {
		return p, err
	}
	if err := o.begin(traveller, list); err != nil {
		return p, err
	}
	if err := o.await(traveller, unix.PTRACE_EVENT_CLONE); err != nil {
		_, failed := o.finish(list) // a call before
		return p, errors.Join(failed, err)
	}
	if child, err = o.born(traveller); err != nil {
		return p, err
	}
	if err := o.await(traveller, 0); err != nil {
		return p, err
	}
	steps, err := o.finish(list)
	if err != nil {
		return p, err
	}
	p.PID, p.number = child.pid, steps[len(steps)-1]
	return p, o.letGo(child, &threads, &p)
}

func sliced(args [6]uint64) []uint64 { return args[:] }

// branch makes t call clone, and returns the new process, stopped, and its
// number in t's pid namespace.
func (o *Original) branch(t tracee, clone call) (tracee, int64, error) {
	list := []call{clone}
	if err := o.begin(t, list); err != nil {
		return tracee{}, 0, err
	}
	if err := o.await(t, unix.PTRACE_EVENT_CLONE); err != nil {
		_, failed := o.finish(list)
		return tracee{}, 0, errors.Join(failed, err)
	}
	child, err := o.born(t)
	if err != nil {
		return child, 0, err
	}
	if err := o.await(t, 0); err != nil {
		return child, 0, err
	}
	steps, err := o.finish(list)
	return child, steps[0], err
}

// born waits for the child that t has just made to stand still.
func (o *Original) born(t tracee) (tracee, error) {
	pid, err := unix.PtraceGetEventMsg(t.pid)
	if err != nil {
		return tracee{}, fmt.Errorf("clone: new process: %w", err)
	}
	child := tracee{int(pid)}
	_, err = child.wait()
	return child, err
}

// pass gives the traveller the descriptors of spec, and returns its numbers of them.
func (o *Original) pass(traveller tracee, spec Spec) ([]int, error) {
	send := make([]int, 0, len(spec.Namespaces)+len(spec.Replaced))
	for _, n := range spec.Namespaces {
		send = append(send, int(n.File.Fd()))
	}
	for _, r := range spec.Replaced {
		send = append(send, int(r.With.Fd()))
	}
	if err := unix.Sendmsg(o.ours, []byte{0}, unix.UnixRights(send...), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil {
		return nil, fmt.Errorf("clone: pass descriptors: %w", err)
	}
	b := o.buffers()
	data := b.reserve(8)
	vector := b.words(data, 1)
	oobBytes := unix.CmsgSpace(4 * len(send))
	oob := b.reserve(oobBytes)
	header := b.words(0, 0, vector, 1, oob, uint64(oobBytes), 0) // struct msghdr
	if err := b.write(o.memory); err != nil {
		return nil, err
	}
	if _, err := o.run(traveller, []call{
		do("recvmsg", unix.SYS_RECVMSG, uint64(o.theirs), header, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT),
	}); err != nil {
		return nil, err
	}
	p := make([]byte, oobBytes)
	if _, err := o.memory.ReadAt(p, int64(oob)); err != nil {
		return nil, fmt.Errorf("clone: read descriptors: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(p)
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("clone: descriptors did not arrive: %w", errors.Join(err))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err == nil && len(fds) != len(send) {
		err = fmt.Errorf("clone: %d of %d descriptors arrived", len(fds), len(send))
	}
	return fds, err
}

// enter takes the traveller into its namespaces, and opens the files there; it
// returns the traveller's numbers of them.
func (o *Original) enter(traveller tracee, spec Spec, fds []int) ([]int64, error) {
	var list []call
	for i, n := range spec.Namespaces {
		list = append(list, do("setns "+n.File.Name(), unix.SYS_SETNS, uint64(fds[i]), uint64(n.Kind)))
	}
	b := o.buffers()
	list = append(list, do("chdir "+spec.Dir, unix.SYS_CHDIR, b.text(spec.Dir)))
	first := len(list)
	for _, r := range spec.Reopened {
		list = append(list, do("open "+r.Path, unix.SYS_OPENAT, atWorkDir, b.text(r.Path), uint64(r.Flags|unix.O_CLOEXEC)))
	}
	if err := b.write(o.memory); err != nil {
		return nil, err
	}
	results, err := o.run(traveller, list)
	if err != nil {
		return nil, err
	}
	return results[first:], nil
}

// atWorkDir is AT_FDCWD as a register holds it.
const atWorkDir = ^uint64(99)

// journey is what the traveller does in its namespaces: the descriptors become
// those of the copy, and the capabilities go. Its last step is a child with a
// memory of its own, which is the copy.
func (o *Original) journey(spec Spec, fds []int, files []int64) ([]call, error) {
	var list []call
	b := o.buffers()
	open := slices.Clone(spec.Kept)
	become := func(from uint64, fd int, closeOnExec bool) {
		flags := uint64(0)
		if closeOnExec {
			flags = unix.O_CLOEXEC
		}
		list = append(list, do("replace a descriptor", unix.SYS_DUP3, from, uint64(fd), flags))
		open = append(open, fd)
	}
	for i, r := range spec.Replaced {
		become(uint64(fds[i]), r.FD, r.CloseOnExec)
	}
	for i, r := range spec.Reopened {
		become(uint64(files[i]), r.FD, r.CloseOnExec)
		if r.Offset != 0 {
			list = append(list, do("lseek", unix.SYS_LSEEK, uint64(r.FD), uint64(r.Offset), 0))
		}
	}
	for _, r := range spec.Replaced {
		for _, w := range r.Watches {
			list = append(list, do("epoll_ctl", unix.SYS_EPOLL_CTL, uint64(r.FD), unix.EPOLL_CTL_ADD, uint64(w.FD), b.event(w)))
		}
	}
	for _, gap := range gaps(open) {
		list = append(list, do("close_range", unix.SYS_CLOSE_RANGE, gap[0], gap[1], 0))
	}
	for capability := range o.capabilities {
		list = append(list, do("drop a bounding capability", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uint64(capability)))
	}
	header := b.words(unix.LINUX_CAPABILITY_VERSION_3) // and 0, the calling thread
	none := b.reserve(24)
	list = append(list, do("drop capabilities", unix.SYS_CAPSET, header, none))
	flags := uint64(unix.CLONE_PARENT)
	if o.tid != 0 {
		flags |= unix.CLONE_CHILD_SETTID | unix.CLONE_CHILD_CLEARTID // as the C library's fork has it
	}
	list = append(list, do("clone into the namespaces", unix.SYS_CLONE, sliced(cloneArgs(flags, o.tid))...))
	return list, b.write(o.memory)
}

// gaps are the ranges of descriptors between those that stay open.
func gaps(open []int) [][2]uint64 {
	open = slices.Compact(slices.Sorted(slices.Values(open)))
	var out [][2]uint64
	next := 0
	for _, fd := range open {
		if fd > next {
			out = append(out, [2]uint64{uint64(next), uint64(fd - 1)})
		}
		next = fd + 1
	}
	return append(out, [2]uint64{uint64(next), math.MaxUint32})
}

// letGo gives the copy what the C library expects of a fork, and lets it run.
// threads are those of the copy that are still held.
func (o *Original) letGo(child tracee, threads *[]*thread, p *Process) error {
	r := o.saved.atList(o.code, o.scratch+listBytes)
	if err := r.write(child.pid); err != nil {
		return fmt.Errorf("clone: registers: %w", err)
	}
	if err := o.settle(child); err != nil {
		return err
	}
	others, err := o.raise(child)
	*threads = others
	if err != nil {
		return err
	}
	r = o.saved.resumed()
	if err := r.write(child.pid); err != nil {
		return fmt.Errorf("clone: registers: %w", err)
	}
	if err := child.setMask(o.mask); err != nil {
		return fmt.Errorf("clone: signal mask: %w", err)
	}
	if p.PIDFD, err = unix.PidfdOpen(child.pid, 0); err != nil {
		return fmt.Errorf("clone: pidfd_open: %w", err)
	}
	for _, t := range others {
		if err := unix.PtraceDetach(t.pid); err != nil {
			return fmt.Errorf("clone: let a thread go: %w", errors.Join(err, unix.Close(p.PIDFD)))
		}
		*threads = (*threads)[1:]
	}
	if err := unix.PtraceDetach(child.pid); err != nil {
		return fmt.Errorf("clone: let go: %w", errors.Join(err, unix.Close(p.PIDFD)))
	}
	return nil
}

// remove ends a process of ours, wherever it stands, and reaps it.
func (o *Original) remove(t tracee, number int64) error {
	if err := t.kill(); err != nil {
		return err
	}
	_, err := o.reap(number, 0)
	return err
}

// Reap takes the exit of a copy that has ended. Until then its pid namespace
// cannot end, because the original is the parent.
func (o *Original) Reap(p Process) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	err := o.on(func() (err error) {
		if o.broken != nil {
			return o.broken
		}
		status, err = o.reap(p.number, unix.WNOHANG)
		return err
	})
	return status, err
}

func (o *Original) reap(number int64, flags uint64) (unix.WaitStatus, error) {
	b := o.buffers()
	status := b.reserve(8)
	if err := b.write(o.memory); err != nil {
		return 0, err
	}
	steps, err := o.run(o.tracee, []call{do("wait4", unix.SYS_WAIT4, uint64(number), status, unix.WALL|flags, 0)})
	if err != nil {
		return 0, err
	}
	if steps[0] != number {
		return 0, fmt.Errorf("clone: process %d has not ended", number)
	}
	value, err := o.word(status)
	return unix.WaitStatus(uint32(value)), err
}

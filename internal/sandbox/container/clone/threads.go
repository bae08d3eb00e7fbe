package clone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// threadsMax bounds what is copied; virtual machines of languages have a dozen or two.
const threadsMax = 128

// thread is one that the original has beside its first, or the copy of one.
type thread struct {
	tracee
	saved registers
	state extended
	mask  uint64
	// birth is the list that its copies begin with, tid where the C library keeps its number.
	birth, tid uint64
}

// seizeThreads stops all the others. Those that run meanwhile may make further ones.
func (o *Original) seizeThreads() error {
	dir := "/proc/" + strconv.Itoa(o.tracee.pid) + "/task"
	for {
		list, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("clone: threads: %w", err)
		}
		found := false
		for _, entry := range list {
			tid, err := strconv.Atoi(entry.Name())
			if err != nil {
				return fmt.Errorf("clone: threads: %w", err)
			}
			known := func(t *thread) bool { return t.pid == tid }
			if tid == o.tracee.pid || slices.ContainsFunc(o.threads, known) {
				continue
			}
			if len(o.threads) == threadsMax {
				return fmt.Errorf("clone: more than %d threads", threadsMax)
			}
			found = true
			t := &thread{tracee: tracee{tid}}
			if err := t.seize(); errors.Is(err, unix.ESRCH) || errors.Is(err, ErrEnded) {
				continue // it has ended meanwhile
			} else if err != nil {
				return err
			}
			o.threads = append(o.threads, t)
		}
		if !found {
			return nil
		}
	}
}

func (t *thread) seize() error {
	// EPERM: a thread that is ours has made it, and so it is.
	if err := ptrace(unix.PTRACE_SEIZE, t.pid, 0, options); err != nil && err != unix.EPERM {
		return fmt.Errorf("clone: seize a thread: %w", err)
	} else if err == nil {
		if err := unix.PtraceInterrupt(t.pid); err != nil {
			return fmt.Errorf("clone: interrupt a thread: %w", err)
		}
	}
	if _, err := t.wait(); err != nil {
		return err
	}
	if err := t.saved.read(t.pid); err != nil {
		return fmt.Errorf("clone: registers: %w", err)
	}
	var err error
	if t.state, err = readExtended(t.pid); err != nil {
		return err
	}
	if t.mask, err = t.masked(); err != nil {
		return fmt.Errorf("clone: signal mask: %w", err)
	}
	return nil
}

// nurseryThread is the memory of one thread: its list, and what that points to.
const (
	nurseryThread = 512
	nameBytes     = 16
	stackBytes    = 24 // struct sigaltstack
)

// births leaves the lists of calls that each copy and each of its threads begins
// with: what the C library's own fork and thread would have done for it. A session
// of its own keeps signals to its process group away from other copies.
func (o *Original) births(timers []Timer) error {
	const room = birthBytes - stackBytes
	at := o.scratch + listBytes
	tid, list, err := o.inherit(o.tracee, o.saved, at+room)
	if err != nil {
		return err
	}
	o.tid = tid
	made, err := o.makeTimers(timers)
	if err != nil {
		return err
	}
	limit, err := o.raiseLimit()
	if err != nil {
		return err
	}
	list = slices.Concat([]call{do("setsid", unix.SYS_SETSID)}, limit, made, list)
	if err := o.leave(at, room, list); err != nil || len(o.threads) == 0 {
		return err
	}
	head := (len(o.threads) + 1) * entryBytes
	mapped, err := o.run(o.tracee, []call{do("map memory", unix.SYS_MMAP, 0, uint64(head+len(o.threads)*nurseryThread),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, noCall, 0)})
	if err != nil {
		return err
	}
	o.nursery = uint64(mapped[0])
	makes := make([]call, 0, len(o.threads))
	for i, t := range o.threads {
		t.birth = o.nursery + uint64(head+i*nurseryThread)
		if err := o.birth(t); err != nil {
			return err
		}
		makes = append(makes, do("clone a thread", unix.SYS_CLONE, sliced(cloneArgs(threadFlags(t), t.tid))...))
	}
	return o.leave(o.nursery, head, makes)
}

func threadFlags(t *thread) uint64 {
	flags := uint64(unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM)
	if t.tid != 0 {
		flags |= unix.CLONE_CHILD_SETTID | unix.CLONE_CHILD_CLEARTID
	}
	return flags
}

// birth leaves the list of one thread's copies.
func (o *Original) birth(t *thread) error {
	if err := t.setMask(quiet); err != nil {
		return fmt.Errorf("clone: signal mask: %w", err)
	}
	var list []call
	var err error
	const room = nurseryThread - nameBytes - stackBytes
	if t.tid, list, err = o.inherit(t.tracee, t.saved, t.birth+room); err != nil {
		return err
	}
	name, err := os.ReadFile("/proc/" + strconv.Itoa(t.pid) + "/comm")
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	at := t.birth + room + stackBytes
	text := make([]byte, nameBytes)
	copy(text[:nameBytes-1], bytes.TrimSuffix(name, []byte("\n")))
	if _, err := o.memory.WriteAt(text, int64(at)); err != nil {
		return fmt.Errorf("clone: write a name: %w", err)
	}
	list = append(list, do("name a thread", unix.SYS_PRCTL, unix.PR_SET_NAME, at))
	return o.leave(t.birth, room, list)
}

// inherit asks what the kernel keeps for a thread and gives to no child, and returns
// the calls that give it to one, and where the C library keeps the thread's number.
// An alternate stack for signals is described at stackAt, which copies have, too.
func (o *Original) inherit(t tracee, as registers, stackAt uint64) (tid uint64, list []call, err error) {
	b := o.buffers()
	number, head, size, stack := b.reserve(8), b.reserve(8), b.reserve(8), b.reserve(24)
	if err := b.write(o.memory); err != nil {
		return 0, nil, err
	}
	ask := []call{
		do("find the thread's number", unix.SYS_PRCTL, unix.PR_GET_TID_ADDRESS, number),
		do("get_robust_list", unix.SYS_GET_ROBUST_LIST, 0, head, size),
		do("sigaltstack", unix.SYS_SIGALTSTACK, 0, stack),
	}
	if err := o.beginAs(t, as, ask); err != nil {
		return 0, nil, err
	}
	if err := o.await(t, 0); err != nil {
		return 0, nil, err
	}
	if _, err := o.finish(ask); err != nil {
		return 0, nil, err
	}
	var found [6]uint64 // number, head, size, and struct sigaltstack
	for i := range found {
		if found[i], err = o.word(number + uint64(8*i)); err != nil {
			return 0, nil, err
		}
	}
	if found[1] != 0 {
		list = append(list, do("set_robust_list", unix.SYS_SET_ROBUST_LIST, found[1], found[2]))
	}
	if r := t.restartable(); r.pointer != 0 {
		list = append(list, do("rseq", unix.SYS_RSEQ, r.pointer, uint64(r.size), uint64(r.flags), uint64(r.signature)))
	}
	const onStack, disabled = 1, 2 // Source: linux/signal.h, SS_ONSTACK and SS_DISABLE
	if flags := uint32(found[4]); flags&disabled == 0 {
		description := make([]byte, 0, stackBytes)
		for _, word := range []uint64{found[3], uint64(flags &^ onStack), found[5]} {
			description = binary.NativeEndian.AppendUint64(description, word)
		}
		if _, err := o.memory.WriteAt(description, int64(stackAt)); err != nil {
			return 0, nil, fmt.Errorf("clone: write the alternate stack: %w", err)
		}
		list = append(list, do("sigaltstack", unix.SYS_SIGALTSTACK, stackAt, 0))
	}
	return found[0], list, nil
}

// leave writes a list to be found in a copy's own memory.
func (o *Original) leave(at uint64, room int, list []call) error {
	p := encode(list)
	if len(p) > room {
		return fmt.Errorf("clone: a list of %d calls", len(list))
	}
	if _, err := o.memory.WriteAt(p, int64(at)); err != nil {
		return fmt.Errorf("clone: write the list of calls: %w", err)
	}
	return nil
}

// raise makes the threads of a copy, which all stand still, ready to go on where
// the original's were stopped.
func (o *Original) raise(child tracee) ([]*thread, error) {
	if len(o.threads) == 0 {
		return nil, nil
	}
	r := o.saved.atList(o.code, o.nursery)
	if err := r.write(child.pid); err != nil {
		return nil, fmt.Errorf("clone: registers: %w", err)
	}
	var made []*thread
	for _, of := range o.threads {
		if err := o.await(child, unix.PTRACE_EVENT_CLONE); err != nil {
			return made, err
		}
		born, err := o.born(child)
		t := *of
		t.tracee = born
		if born.pid != 0 {
			made = append(made, &t)
		}
		if err != nil {
			return made, err
		}
	}
	if err := o.settle(child); err != nil {
		return made, err
	}
	for _, t := range made {
		r := t.saved.atList(o.code, t.birth)
		if err := r.write(t.pid); err != nil {
			return made, fmt.Errorf("clone: registers: %w", err)
		}
		if err := o.settle(t.tracee); err != nil {
			return made, err
		}
		if err := t.state.write(t.pid); err != nil {
			return made, err
		}
		r = t.saved.resumed()
		if err := r.write(t.pid); err != nil {
			return made, fmt.Errorf("clone: registers: %w", err)
		}
		if err := t.setMask(t.mask); err != nil {
			return made, fmt.Errorf("clone: signal mask: %w", err)
		}
	}
	return made, nil
}

// settle lets t come to the end of a list that lies in its own memory.
func (o *Original) settle(t tracee) error {
	if err := o.await(t, 0); err != nil {
		return err
	}
	var r registers
	if err := r.read(t.pid); err != nil {
		return fmt.Errorf("clone: registers: %w", err)
	}
	if r.number() != endOfList {
		return fmt.Errorf("clone: at its birth: %w", unix.Errno(-r.result()))
	}
	return nil
}

// killAll ends a process: the kernel tells of the end of its first thread when the
// tracer has taken note of the end of all others.
func killAll(first tracee, others []*thread) error {
	if err := unix.Kill(first.pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
		return fmt.Errorf("clone: kill: %w", err)
	}
	var errs []error
	for _, t := range others {
		errs = append(errs, t.ended())
	}
	return errors.Join(append(errs, first.ended())...)
}

package container

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/egress"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// box is one sandbox.
type box struct {
	isolate.Life
	driver  *Driver
	slot    uint32
	group   *cgroup.Group
	process *process // process 1, as the host sees it
	users   *os.File // its user namespace
	control *net.UnixConn
	replies chan reply // closed when process 1 has ended

	// within is a process in whose user and pid namespaces the sandbox's own are made,
	// and root the host's id of its root: a template's, for a copy of it. within is nil otherwise.
	within *os.File
	root   int
	// skipPIDs: what the program forks or is must have no pid that a template's had.
	skipPIDs bool
	spec     sandbox.ParkSpec

	threads bool         // a template of this may have some
	made    *template    // of this sandbox, which ends with it
	left    func() error // called when the sandbox is gone; may be nil

	link *egress.Link // nil without egress
	// tmp is the scratch filesystem made ahead, until Start takes it.
	tmp *os.File

	runtimeAPI, endpoint net.Listener

	mu        sync.Mutex
	spent     reading // by /proc, where no group meters
	preloaded bool
	started   bool
	program   *program
	wanted    wanted

	stopping sync.Mutex // held while processes are stopped or continued by signals
	stopped  bool
}

// reply is a message of process 1 with the descriptors that came with it.
type reply struct {
	pid1.Reply
	fds []int
}

// Park implements sandbox.Driver.
func (d *Driver) Park(ctx context.Context, spec sandbox.ParkSpec) (sandbox.Sandbox, error) {
	b, err := d.parkWithin(ctx, spec, surroundings{})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// surroundings is what a sandbox is made within; zero is the host.
type surroundings struct {
	process  *os.File // a pidfd, the caller's, open until parkWithin returns
	root     int      // the host's id of root there
	skipPIDs bool
}

// parkWithin is Park. The sandbox's user and pid namespaces are made within those of
// the process given, by one that is the program's user there, with the same ids:
// whoever is that user there has every capability over the new sandbox.
func (d *Driver) parkWithin(ctx context.Context, spec sandbox.ParkSpec, within surroundings) (*box, error) {
	made, err := d.boxes.Making(ctx)
	if err != nil {
		return nil, err
	}
	defer made()
	ctx, cancel := context.WithTimeout(ctx, parkMax)
	defer cancel()
	b := &box{driver: d, within: within.process, root: within.root, skipPIDs: within.skipPIDs, spec: spec}
	b.Life = isolate.NewLife("container", spec.ID, &b.mu)
	if err := d.register(b); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	if within.process == nil {
		b.root = slotRoot(d.firstSlot + b.slot)
	}
	if err := b.park(ctx, spec); err != nil {
		// What was made so far goes, however little of ctx is left.
		return nil, errors.Join(fmt.Errorf("container: park %s: %w", spec.ID, err), b.Destroy(context.WithoutCancel(ctx)))
	}
	return b, nil
}

func (b *box) park(ctx context.Context, spec sandbox.ParkSpec) error {
	var err error
	if b.group, err = b.driver.groups.Make(string(b.ID())); err != nil {
		return err
	}
	if err := b.group.Limit(cgroup.Limits{Processes: sandbox.ProcessesMax}); err != nil {
		return err
	}
	var beside sideline
	if b.driver.disks != nil {
		beside.run(func() (err error) { b.tmp, err = b.newTmp(ctx, isolate.TmpParkedMiB); return err })
	}
	err = b.furnish(ctx, spec, &beside)
	return errors.Join(err, beside.wait()) // nothing is still being made when Destroy comes
}

// sideline is what the driver does while process 1 does its part.
type sideline struct {
	group sync.WaitGroup
	mu    sync.Mutex
	errs  []error
}

func (s *sideline) run(f func() error) {
	s.group.Go(func() {
		if err := f(); err != nil {
			s.mu.Lock()
			s.errs = append(s.errs, err)
			s.mu.Unlock()
		}
	})
}

func (s *sideline) wait() error {
	s.group.Wait()
	return errors.Join(s.errs...)
}

// furnish makes process 1, has it furnish the sandbox, and takes its sockets.
func (b *box) furnish(ctx context.Context, spec sandbox.ParkSpec, beside *sideline) error {
	born, err := b.spawn()
	if err != nil {
		return err
	}
	beside.run(func() error { return b.group.Attach(b.process.pid, born) })
	var gateway *egress.Gateway
	if spec.Network == sandbox.NetworkEgress {
		gateway = b.driver.gateway()
	}
	if gateway != nil {
		if b.link, err = gateway.Reserve(); err != nil {
			return err
		}
	}
	mounts := b.trees()
	defer mounts.close()
	message, err := b.parkMessage(spec, mounts)
	if err != nil {
		return err
	}
	if gateway != nil {
		message.Listen = append(message.Listen, dnsPort)
		message.ListenUDP = []int32{dnsPort}
		message.Outside = binary.NativeEndian.Uint32(b.link.Address().To4())
	}
	if err := b.send(message.Encode(), mounts.fds); err != nil {
		return err
	}
	r, err := b.await(ctx, pid1.ReplyParked)
	if err != nil {
		return err
	}
	outside := -1
	if n := len(r.fds); gateway != nil && n > 0 {
		outside, r.fds = r.fds[n-1], r.fds[:n-1]
	}
	sockets, err := takeSockets(r.fds, len(message.Listen), len(message.ListenUDP))
	if err != nil {
		if outside >= 0 {
			err = errors.Join(err, unix.Close(outside))
		}
		return err
	}
	b.runtimeAPI, b.endpoint = sockets.tcp[0], sockets.tcp[1]
	if gateway == nil {
		return nil
	}
	return b.link.Await(outside, sockets.tcp[2], sockets.udp[0])
}

// newTmp makes a disk for /tmp.
func (b *box) newTmp(ctx context.Context, mib int) (*os.File, error) {
	mount, err := b.driver.disks.Make(ctx, mib, b.rootID())
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(mount), "tmp"), nil
}

// spawn starts process 1 in its namespaces; born tells whether in its group of
// version 2, too.
func (b *box) spawn() (born bool, err error) {
	conn, theirs, err := controlPair()
	if err != nil {
		return false, err
	}
	defer theirs.Close()
	b.control = conn
	var group *os.File
	if b.within == nil { // who makes it there may not put it into a group of ours
		if group, err = b.group.Directory(); err != nil {
			return false, err
		}
	}
	if group != nil {
		defer group.Close()
	}
	if b.process, err = b.driver.spawner.run(b.birth(), theirs, group, b.within); err != nil {
		return false, fmt.Errorf("start process 1: %w", err)
	}
	b.replies = make(chan reply, 1)
	go b.listen()
	if !b.driver.rootless {
		b.users, err = os.Open("/proc/" + strconv.Itoa(b.process.pid) + "/ns/user")
	}
	return group != nil, err
}

func (b *box) parkMessage(spec sandbox.ParkSpec, mounts *trees) (pid1.Park, error) {
	m := pid1.Park{
		Hostname: isolate.Hostname,
		SkipPIDs: b.skipPIDs,
		Dirs:     isolate.Directories(),
		Files:    files(spec.Rootfs),
		Masked:   isolate.Masked(),
		Frozen:   isolate.Frozen(),
		RootKiB:  rootKiB,

		Descriptors:   sandbox.DescriptorsMax,
		Processes:     sandbox.ProcessesMax,
		ProcessesHard: b.driver.processesHard,

		Listen: []int32{port(sandbox.RuntimeAPIAddress), port(sandbox.EndpointAddress)},
		UID:    isolate.ProgramUID,
		GID:    isolate.ProgramGID,
	}
	var err error
	if spec.Rootfs.Base != "" {
		m.BaseSet = true
		if m.Base, err = mounts.bind(sandbox.Mount{Source: spec.Rootfs.Base, Target: "/base"}, false); err != nil {
			return m, err
		}
	}
	for _, device := range devices {
		bound, err := mounts.bind(sandbox.Mount{Source: device, Target: device}, true)
		if err != nil {
			return m, err
		}
		m.Mounts = append(m.Mounts, bound)
	}
	others, err := mounts.bindAll(spec.Rootfs.Mounts)
	m.Mounts = append(m.Mounts, others...)
	return m, err
}

func port(address string) int32 {
	_, text, _ := strings.Cut(address, ":")
	n, err := strconv.Atoi(text)
	if err != nil {
		panic("container: the contract's address " + address + " has no port")
	}
	return int32(n)
}

// send passes a message and descriptors to process 1.
func (b *box) send(message []byte, fds []int) error {
	if len(message) > pid1.MessageMax {
		return fmt.Errorf("arguments, environment and mounts take %d bytes, more than %d", len(message), pid1.MessageMax)
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if _, _, err := b.control.WriteMsgUnix(message, oob, nil); err != nil {
		return fmt.Errorf("process 1: %w", err)
	}
	return nil
}

// await takes the next reply, which must be of this kind.
func (b *box) await(ctx context.Context, kind byte) (reply, error) {
	select {
	case r, ok := <-b.replies:
		if !ok {
			return r, errors.New("process 1 ended unexpectedly")
		}
		return r, r.refusal(kind)
	case <-ctx.Done():
		return reply{}, fmt.Errorf("process 1 does not answer: %w", ctx.Err())
	}
}

// refusal tells why this is not the reply that was wanted.
func (r reply) refusal(kind byte) error {
	switch {
	case r.Kind == pid1.ReplyRefused:
		return &sandbox.ExecError{Path: r.Text, Err: syscall.Errno(r.Code)}
	case r.Kind == pid1.ReplyFailed && r.Code != 0:
		return &failure{r.Text, syscall.Errno(r.Code)}
	case r.Kind == pid1.ReplyFailed:
		return fmt.Errorf("process 1: %s", r.Text)
	case r.Kind != kind:
		return fmt.Errorf("process 1 answered %q in place of %q", r.Kind, kind)
	}
	return nil
}

// failure is a step of process 1 that the kernel refused.
type failure struct {
	text  string
	errno syscall.Errno
}

func (f *failure) Error() string { return f.text + ": " + f.errno.Error() }
func (f *failure) Unwrap() error { return f.errno }

// listen passes on the replies until process 1 has ended, and then reaps it.
func (b *box) listen() {
	buffer := make([]byte, 4096)
	oob := make([]byte, unix.CmsgSpace(8*4))
	for {
		n, oobn, _, _, err := b.control.ReadMsgUnix(buffer, oob)
		if err != nil || n == 0 {
			break
		}
		r, err := decodeReply(buffer[:n], oob[:oobn])
		if err != nil {
			b.driver.log.Error("process 1 sent nonsense", "sandbox", b.ID(), "error", err)
			break
		}
		if r.Kind == pid1.ReplyExited {
			b.metered(reading{peak: int64(r.MemoryKiB) << 10})
			b.ended(sandbox.Exit{Code: int(r.Code), Signal: syscall.Signal(r.Signal)})
			continue
		}
		if r.Kind == pid1.ReplySocket {
			b.provided(r)
			continue
		}
		b.replies <- r
	}
	b.provideNone()
	// A process 1 that closed its socket is dead, or must be.
	if err := b.process.kill(); err != nil {
		b.driver.log.Error("process 1 cannot be killed", "sandbox", b.ID(), "error", err)
	}
	if err := b.process.wait(); err != nil {
		b.driver.log.Error("process 1 cannot be waited for", "sandbox", b.ID(), "error", err)
	}
	b.ended(sandbox.Exit{Signal: syscall.SIGKILL})
	close(b.replies)
}

func decodeReply(p, oob []byte) (reply, error) {
	var r reply
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return r, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return r, err
		}
		r.fds = append(r.fds, fds...)
	}
	r.Reply, err = pid1.DecodeReply(p)
	return r, err
}

// ended records how the program ended; only the first report counts.
func (b *box) ended(exit sandbox.Exit) {
	b.mu.Lock()
	p := b.program
	b.mu.Unlock()
	if p == nil {
		return
	}
	exit.Ended = time.Now()
	if exit.Signal == syscall.SIGKILL {
		usage, err := b.group.Usage()
		if err != nil && b.Alive() == nil { // else its group may be gone already
			b.driver.log.Warn("cannot tell whether memory ran out", "sandbox", b.ID(), "error", err)
		}
		exit.OOM = usage.OOMKills > 0
	}
	p.end(exit)
}

// RuntimeAPI implements sandbox.Sandbox.
func (b *box) RuntimeAPI() net.Listener { return b.runtimeAPI }

// Endpoint implements sandbox.Sandbox.
func (b *box) Endpoint() net.Listener { return b.endpoint }

// Destroy implements sandbox.Sandbox. Whoever calls second waits for the first.
func (b *box) Destroy(ctx context.Context) error { return b.End(ctx, b.destroy) }

// destroy takes the sandbox apart.
func (b *box) destroy() error {
	ctx, cancel := context.WithTimeout(context.Background(), killMax)
	defer cancel()
	var errs []error
	b.mu.Lock()
	made := b.made
	b.mu.Unlock()
	if made != nil {
		errs = append(errs, made.release())
	}
	for _, c := range []io.Closer{b.runtimeAPI, b.endpoint} {
		if c == nil {
			continue
		}
		// Whoever serves on a listener may have closed it already.
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if b.process != nil {
		errs = append(errs, b.process.kill())
	}
	if b.group != nil {
		errs = append(errs, b.group.End()) // a frozen one dies only here
	}
	if b.process != nil && b.replies != nil {
		errs = append(errs, b.drain(ctx)) // and with process 1 everything inside
	}
	if b.control != nil {
		errs = append(errs, b.control.Close())
	}
	if b.link != nil {
		errs = append(errs, b.link.Close())
	}
	b.mu.Lock()
	tmp := b.tmp
	b.tmp = nil
	b.mu.Unlock()
	if tmp != nil {
		errs = append(errs, tmp.Close())
	}
	if b.users != nil {
		errs = append(errs, b.users.Close())
	}
	if b.group != nil {
		errs = append(errs, b.group.Remove())
	}
	b.driver.forget(b)
	if b.left != nil {
		errs = append(errs, b.left())
	}
	return errors.Join(errs...)
}

// drain waits for process 1 to be gone; descriptors in replies that nobody
// awaits any more are closed.
func (b *box) drain(ctx context.Context) error {
	for {
		select {
		case r, ok := <-b.replies:
			if !ok {
				return nil
			}
			for _, fd := range r.fds {
				unix.Close(fd)
			}
		case <-ctx.Done():
			return fmt.Errorf("process 1 does not end: %w", ctx.Err())
		}
	}
}

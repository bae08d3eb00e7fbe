package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// qemu runs machines of the type "microvm", which has no firmware to speak of,
// no PCI, and as few devices as there can be.
type qemu struct {
	path      string
	accel     string // "kvm" or "tcg"
	kernel    *os.File
	initramfs *os.File
	tscKHz    int
	launcher  *launcher
}

func (q *qemu) name() string { return "qemu/" + q.accel }

// Descriptors of QEMU, in the order in which they are passed.
const (
	fdMonitor = 3 + iota
	fdSerial
	fdMemory
	fdKernel
	fdInitramfs
	fdFirst // of disks
)

func (q *qemu) boot(ctx context.Context, c config) (machine, error) {
	return q.start(ctx, c, nil)
}

func (q *qemu) resume(ctx context.Context, c config, s *saved) (machine, error) {
	m, err := q.start(ctx, c, s)
	if err != nil {
		return nil, err
	}
	if err := m.load(ctx, s.state); err != nil {
		m.kill()
		<-m.done
		return nil, fmt.Errorf("microvm: resume: %w\n%s", err, m.said())
	}
	return m, nil
}

func (q *qemu) arguments(c config, s *saved) []string {
	sharing := "on"
	if s != nil && c.memory == nil {
		sharing = "off"
	}
	args := []string{
		"-name", "lambdad", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-m", strconv.Itoa(c.memoryMiB), "-smp", strconv.Itoa(c.cpus),
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-object", fmt.Sprintf("memory-backend-file,id=m0,size=%dM,mem-path=/proc/self/fd/%d,share=%s", c.memoryMiB, fdMemory, sharing),
		"-M", "microvm,acpi=on,x-option-roms=off,pit=on,pic=on,rtc=on,memory-backend=m0", "-bios", "qboot.rom",
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", fdMonitor), "-mon", "chardev=monitor,mode=control",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-device", "virtio-serial-device,max_ports=2", "-chardev", fmt.Sprintf("socket,id=line,fd=%d", fdSerial), "-device", "virtserialport,chardev=line,name=lambdad.0",
		"-device", "virtio-scsi-device,id=scsi,num_queues=1",
	}
	if q.accel == "kvm" {
		args = append(args, "-accel", "kvm", "-cpu", "host")
	} else {
		args = append(args, "-accel", "tcg,thread=multi,tb-size=64", "-cpu", "max")
	}
	for i, d := range c.disks {
		n := d.number
		args = append(args,
			"-add-fd", fmt.Sprintf("fd=%d,set=%d", fdFirst+i, n),
			"-blockdev", fmt.Sprintf("driver=raw,node-name=n%d,read-only=%s,file.driver=file,file.filename=%s,file.locking=off", n, onOff(!d.writable), fdset(n)),
			"-device", fmt.Sprintf("scsi-hd,bus=scsi.0,scsi-id=0,lun=%d,drive=n%d,id=d%d", n, n, n))
	}
	if s != nil {
		return append(args, "-incoming", "defer")
	}
	return append(args, "-kernel", fmt.Sprintf("/proc/self/fd/%d", fdKernel), "-initrd", fmt.Sprintf("/proc/self/fd/%d", fdInitramfs), "-append", q.commandLine())
}

func onOff(v bool) string {
	if v {
		return "on"
	}
	return "off"
}

// commandLine is the kernel's. Without virtualisation the guest's clock is the host's
// counter, which the guest cannot calibrate while the host is busy, and hangs: tell it.
func (q *qemu) commandLine() string {
	line := "console=ttyS0 quiet reboot=t panic=-1 mitigations=off random.trust_cpu=on rdinit=/init"
	if q.accel != "kvm" {
		line += " nokaslr"
		if q.tscKHz > 0 {
			line += " tsc_early_khz=" + strconv.Itoa(q.tscKHz)
		}
	}
	return line
}

func (q *qemu) start(ctx context.Context, c config, s *saved) (*qemuMachine, error) {
	monitor, theirMonitor, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirMonitor.Close()
	defer monitor.Close()
	serial, theirSerial, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirSerial.Close()
	defer serial.Close()
	memory := c.memory
	if memory == nil && s != nil {
		memory = s.memory
	}
	m := &qemuMachine{config: c, memory: memory, done: make(chan struct{})}
	command := exec.Command(q.path, q.arguments(c, s)...)
	command.ExtraFiles = []*os.File{theirMonitor, theirSerial, memory, q.kernel, q.initramfs}
	for _, d := range c.disks {
		command.ExtraFiles = append(command.ExtraFiles, d.file)
	}
	command.Stdout, command.Stderr = &m.console, &m.console
	var group *os.File
	if c.group != nil {
		if group, err = c.group.Directory(); err != nil {
			return nil, err
		}
		if group != nil {
			defer group.Close()
		}
	}
	confine(command, group)
	monitorConn, err := net.FileConn(monitor)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	serialConn, err := net.FileConn(serial)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: %w", err), monitorConn.Close())
	}
	m.line = serialConn
	if err := q.launcher.start(command); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: %s: %w", q.path, err), monitorConn.Close(), serialConn.Close())
	}
	m.process = command.Process
	followed(ctx, m.pid())
	go func() {
		// How it ended, its machine's users see.
		_ = command.Wait()
		monitorConn.Close()
		serialConn.Close()
		close(m.done)
	}()
	if c.group != nil {
		if err := c.group.Attach(command.Process.Pid, group != nil); err != nil {
			m.kill()
			<-m.done
			return nil, err
		}
	}
	m.qmp = newQMP(monitorConn.(*net.UnixConn))
	if err := m.qmp.call(ctx, nil, "qmp_capabilities", nil); err != nil {
		m.kill()
		<-m.done
		return nil, fmt.Errorf("microvm: %w\n%s", err, m.said())
	}
	return m, nil
}

// qemuMachine is one QEMU process.
type qemuMachine struct {
	config  config
	memory  *os.File
	process *os.Process
	qmp     *qmp
	line    net.Conn
	console tail
	done    chan struct{}
}

func (m *qemuMachine) serial() io.ReadWriteCloser { return m.line }
func (m *qemuMachine) ended() <-chan struct{}     { return m.done }
func (m *qemuMachine) said() string               { return m.console.String() }
func (m *qemuMachine) pid() int                   { return m.process.Pid }

// kill is by a handle that is the process's own, never another's number.
func (m *qemuMachine) kill() { _ = m.process.Kill() }

func (m *qemuMachine) attach(ctx context.Context, d disk) error {
	path, err := m.qmp.pass(ctx, d.file)
	if err != nil {
		return err
	}
	node := fmt.Sprintf("n%d", d.number)
	if err := m.qmp.call(ctx, nil, "blockdev-add", map[string]any{"driver": "raw", "node-name": node, "read-only": !d.writable,
		"file": map[string]any{"driver": "file", "filename": path, "locking": "off"}}); err != nil {
		return err
	}
	if err := m.qmp.call(ctx, nil, "device_add", map[string]any{"driver": "scsi-hd", "bus": "scsi.0", "scsi-id": 0, "lun": d.number,
		"drive": node, "id": fmt.Sprintf("d%d", d.number)}); err != nil {
		return err
	}
	m.config.disks = append(m.config.disks, d)
	return nil
}

func (m *qemuMachine) pause(ctx context.Context) error   { return m.qmp.call(ctx, nil, "stop", nil) }
func (m *qemuMachine) unpause(ctx context.Context) error { return m.qmp.call(ctx, nil, "cont", nil) }

// stateMax bounds what QEMU writes of its devices: a tenth of a MiB is usual.
const stateMax = 16 << 20

// ignoreShared leaves the guest's memory where it is: only devices are written.
func (m *qemuMachine) ignoreShared(ctx context.Context) error {
	return m.qmp.call(ctx, nil, "migrate-set-capabilities", map[string]any{"capabilities": []any{map[string]any{"capability": "x-ignore-shared", "state": true}}})
}

func (m *qemuMachine) save(ctx context.Context) (*saved, error) {
	if err := m.ignoreShared(ctx); err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	if err := m.qmp.call(ctx, nil, "getfd", map[string]any{"fdname": "state"}, theirs); err != nil {
		return nil, err
	}
	theirs.Close()
	type read struct {
		state []byte
		err   error
	}
	done := make(chan read, 1)
	go func() {
		state, err := io.ReadAll(io.LimitReader(ours, stateMax))
		done <- read{state, err}
	}()
	if err := m.qmp.call(ctx, nil, "migrate", map[string]any{"uri": "fd:state"}); err != nil {
		return nil, err
	}
	if err := m.migrated(ctx); err != nil {
		return nil, err
	}
	var r read
	select {
	case r = <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.err != nil || len(r.state) == stateMax {
		return nil, fmt.Errorf("microvm: a state of %d bytes: %w", len(r.state), errors.Join(r.err, io.ErrShortBuffer))
	}
	m.kill()
	select {
	case <-m.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.config.memory == nil {
		return nil, errors.New("microvm: a copy's memory is shared, and cannot be saved")
	}
	if err := seal(m.memory); err != nil {
		return nil, err
	}
	c := m.config
	c.memory, c.group = nil, nil
	return &saved{config: c, memory: m.memory, state: r.state}, nil
}

// migratedStep is how often QEMU is asked whether it has finished.
const migratedStep = time.Millisecond

func (m *qemuMachine) migrated(ctx context.Context) error {
	for {
		var info struct {
			Status string `json:"status"`
			Error  string `json:"error-desc"`
		}
		if err := m.qmp.call(ctx, &info, "query-migrate", nil); err != nil {
			return err
		}
		switch info.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("microvm: the machine's state is %s: %s", info.Status, info.Error)
		}
		select {
		case <-time.After(migratedStep):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// load puts a saved state into a machine that waits for one. It is then paused.
func (m *qemuMachine) load(ctx context.Context, state []byte) error {
	if err := m.ignoreShared(ctx); err != nil {
		return err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	if err := m.qmp.call(ctx, nil, "getfd", map[string]any{"fdname": "state"}, theirs); err != nil {
		return errors.Join(err, ours.Close())
	}
	theirs.Close()
	go func() {
		// A machine that does not take all of it says so by its status.
		_, _ = ours.Write(state)
		ours.Close()
	}()
	if err := m.qmp.call(ctx, nil, "migrate-incoming", map[string]any{"uri": "fd:state"}); err != nil {
		return err
	}
	return m.migrated(ctx)
}

// newMemory makes a file for a machine's memory that has no name and goes with its last user.
func newMemory(mib int) (*os.File, error) {
	fd, err := unix.MemfdCreate("lambdad-microvm", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	f := os.NewFile(uintptr(fd), "memory")
	if err := f.Truncate(int64(mib) << 20); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: %w", err), f.Close())
	}
	return f, nil
}

// seal makes a saved memory such that nobody can change it: not a copy's monitor
// either, should its guest have broken into it.
func seal(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	if err != nil {
		return fmt.Errorf("microvm: seal a memory: %w", err)
	}
	return nil
}

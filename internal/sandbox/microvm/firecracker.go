package microvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

// firecracker runs machines that have no bus that anything could be added to: their
// drives are there from the boot on, and show nothing until a disk is put behind them.
// Source: Firecracker's src/firecracker/swagger/firecracker.yaml.
type firecracker struct {
	path      string
	program   *os.File // at path, which the monitor's user need not be able to walk
	dir       string   // of the machines' directories
	kernel    *os.File
	initramfs *os.File
	nothing   *os.File // behind a drive without a disk
	launcher  *launcher
}

// newFirecracker takes a program that was found. Machines of an earlier lambdad have
// ended with it; their directories go.
func newFirecracker(h *hostSide, path string, k kernel.Kernel, guestProgram string) (*firecracker, error) {
	f := &firecracker{path: path, dir: filepath.Join(h.dir, "machines"), kernel: h.kernel, launcher: h.launcher}
	if err := os.RemoveAll(f.dir); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	var err error
	if f.program, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	if f.nothing, err = newNothing(); err == nil {
		f.initramfs, err = makeInitramfs(k, guestProgram, nil)
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *firecracker) close() error {
	return errors.Join(closeFile(f.program), closeFile(f.nothing), closeFile(f.initramfs), os.RemoveAll(f.dir))
}

func (f *firecracker) name() string { return "firecracker" }

// fireCommandLine is the kernel's.
const fireCommandLine = "console=ttyS0 quiet reboot=k panic=-1 pci=off mitigations=off random.trust_cpu=on rdinit=/init"

const (
	// guestCID is the guest's address; each monitor has addresses of its own.
	guestCID = 3
	apiName  = "api.sock"
	lineName = "line.sock"
	// firecrackerCPUs is the most that it gives a machine.
	firecrackerCPUs = 32
)

func (f *firecracker) boot(ctx context.Context, c config) (machine, error) {
	m, err := f.start(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	return m.orEnd(m.configure(ctx, f))
}

// configure tells a new monitor what its machine is made of, and starts it.
func (m *fireMachine) configure(ctx context.Context, f *firecracker) error {
	type body map[string]any
	calls := []struct {
		path string
		body body
	}{
		{"/machine-config", body{"vcpu_count": min(m.config.cpus, firecrackerCPUs), "mem_size_mib": m.config.memoryMiB}},
		{"/boot-source", body{"kernel_image_path": m.lent(f.kernel), "initrd_path": m.lent(f.initramfs), "boot_args": fireCommandLine}},
	}
	for slot := range guest.Slots {
		id := driveName(slot)
		calls = append(calls, struct {
			path string
			body body
		}{"/drives/" + id, body{"drive_id": id, "path_on_host": id, "is_root_device": false, "is_read_only": slot != guest.TmpSlot}})
	}
	for _, call := range append(calls, []struct {
		path string
		body body
	}{
		{"/vsock", body{"guest_cid": guestCID, "uds_path": lineName}},
		{"/entropy", body{}},
		{"/actions", body{"action_type": "InstanceStart"}},
	}...) {
		if err := m.api.call(ctx, "PUT", call.path, call.body); err != nil {
			return err
		}
	}
	return nil
}

func (f *firecracker) resume(ctx context.Context, c config, s *saved) (machine, error) {
	m, err := f.start(ctx, c, s)
	if err != nil {
		return nil, err
	}
	// Names in a saved state are relative, and each machine has a directory: the drives
	// and the socket are the copy's own.
	return m.orEnd(m.api.call(ctx, "PUT", "/snapshot/load", map[string]any{
		"snapshot_path": m.lent(m.state),
		"mem_backend":   map[string]any{"backend_type": "File", "backend_path": m.lent(s.memory)},
		"resume_vm":     false, // whoever asked for the copy lets it run
	}))
}

// orEnd is the machine, unless something went wrong.
func (m *fireMachine) orEnd(err error) (machine, error) {
	if err == nil {
		return m, nil
	}
	m.kill()
	<-m.done
	return nil, fmt.Errorf("microvm: %w\n%s", err, m.said())
}

func (f *firecracker) start(ctx context.Context, c config, s *saved) (*fireMachine, error) {
	m := &fireMachine{config: c, done: make(chan struct{}), descriptors: map[*os.File]int{}}
	var err error
	if m.room, err = newRoom(f.dir); err != nil {
		return nil, err
	}
	m.clear = sync.OnceFunc(m.leave)
	door, err := os.Open(string(m.room))
	if err != nil {
		m.clear()
		return nil, fmt.Errorf("microvm: %w", err)
	}
	defer door.Close()
	// It is short, as the name of a socket must be, and good for who cannot walk there.
	inside := fmt.Sprintf("/proc/self/fd/%d/", door.Fd())
	if err := f.launch(m, s, inside); err != nil {
		m.clear()
		return nil, err
	}
	followed(ctx, m.pid())
	if m.api, err = dialAPI(ctx, inside+apiName, m.done); err != nil {
		_, err = m.orEnd(err)
		return nil, err
	}
	go func() {
		<-m.done
		m.api.close()
	}()
	return m, nil
}

// leave is called when the monitor has ended, or was never started.
func (m *fireMachine) leave() {
	if m.line != nil {
		m.line.Close()
	}
	// What it closes was nobody else's, and what it cannot remove the next driver does.
	_ = closeFile(m.state)
	_ = m.room.remove()
	close(m.done)
}

// launch starts the monitor's process, in a directory of its own. Files that it may
// open it is lent as descriptors.
func (f *firecracker) launch(m *fireMachine, s *saved, inside string) error {
	var err error
	if m.state, err = newMemory(0); err != nil {
		return err
	}
	if s != nil {
		if _, err := m.state.Write(s.state); err != nil {
			return fmt.Errorf("microvm: %w", err)
		}
	}
	command := exec.Command(f.path, "--api-sock", apiName, "--id", "lambdad")
	m.lend(command, f.program, f.kernel, f.initramfs, f.nothing, m.state, m.config.memory)
	if s != nil {
		m.lend(command, s.memory)
	}
	command.Path = m.lent(f.program)
	behind := map[int]*os.File{}
	for _, d := range m.config.disks {
		slot, err := slotOf(d)
		if err != nil {
			return err
		}
		if err := allow(d); err != nil {
			return err
		}
		m.lend(command, d.file)
		behind[slot] = d.file
	}
	for slot := range guest.Slots {
		file := behind[slot]
		if file == nil {
			file = f.nothing
		}
		if err := os.Symlink(m.lent(file), m.room.path(driveName(slot))); err != nil {
			return fmt.Errorf("microvm: %w", err)
		}
	}
	if m.line, err = listenLine(fmt.Sprintf("%s%s_%d", inside, lineName, guest.LinePort)); err != nil {
		return err
	}
	command.Stdout, command.Stderr = &m.console, &m.console
	m.process, err = f.launcher.run(command, m.config.group, inside, m.clear, m.line.from)
	return err
}

// fireMachine is one Firecracker process.
type fireMachine struct {
	config      config
	room        room
	state       *os.File
	descriptors map[*os.File]int
	process     *os.Process
	api         *fireAPI
	line        *incoming
	console     tail
	done        chan struct{}
	clear       func()
}

// lend passes files on, once each; nil is none.
func (m *fireMachine) lend(command *exec.Cmd, files ...*os.File) {
	for _, file := range files {
		if _, known := m.descriptors[file]; file == nil || known {
			continue
		}
		m.descriptors[file] = 3 + len(command.ExtraFiles)
		command.ExtraFiles = append(command.ExtraFiles, file)
	}
}

// lent is the name that a file has for the monitor.
func (m *fireMachine) lent(file *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d", m.descriptors[file])
}

func (m *fireMachine) serial() io.ReadWriteCloser { return m.line }
func (m *fireMachine) ended() <-chan struct{}     { return m.done }
func (m *fireMachine) said() string               { return m.console.String() }
func (m *fireMachine) pid() int                   { return m.process.Pid }

// kill is by a handle that is the process's own, never another's number.
func (m *fireMachine) kill() { _ = m.process.Kill() }

// attach puts a disk behind the drive that waits for it; the guest sees the size change.
func (m *fireMachine) attach(ctx context.Context, d disk) error {
	slot, err := slotOf(d)
	if err != nil {
		return err
	}
	if err := allow(d); err != nil {
		return err
	}
	id := driveName(slot)
	if err := m.room.place(d, id); err != nil {
		return err
	}
	if err := m.api.call(ctx, "PATCH", "/drives/"+id, map[string]any{"drive_id": id, "path_on_host": id}); err != nil {
		return err
	}
	m.config.disks = append(m.config.disks, d)
	return nil
}

func (m *fireMachine) pause(ctx context.Context) error   { return m.setState(ctx, "Paused") }
func (m *fireMachine) unpause(ctx context.Context) error { return m.setState(ctx, "Resumed") }

func (m *fireMachine) setState(ctx context.Context, state string) error {
	return m.api.call(ctx, "PATCH", "/vm", map[string]any{"state": state})
}

// save ends the machine on an error, too: its line is broken by the attempt.
func (m *fireMachine) save(ctx context.Context) (*saved, error) {
	s, err := m.write(ctx)
	m.kill()
	select {
	case <-m.done:
	case <-time.After(killMax):
		err = errors.Join(err, errors.New("microvm: the monitor does not end"))
	}
	if err != nil {
		return nil, err
	}
	// Firecracker writes every page, also those that the guest has never touched.
	if err := errors.Join(punchZeros(s.memory), seal(s.memory)); err != nil {
		return nil, err
	}
	return s, nil
}

func (m *fireMachine) write(ctx context.Context) (*saved, error) {
	if m.config.memory == nil {
		return nil, errors.New("microvm: a copy without memory of its own cannot be saved")
	}
	if err := m.state.Truncate(0); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	if err := m.api.call(ctx, "PUT", "/snapshot/create", map[string]any{"snapshot_type": "Full",
		"snapshot_path": m.lent(m.state), "mem_file_path": m.lent(m.config.memory)}); err != nil {
		return nil, err
	}
	state, err := io.ReadAll(io.NewSectionReader(m.state, 0, stateMax))
	if err != nil || len(state) == 0 || len(state) == stateMax {
		return nil, fmt.Errorf("microvm: a state of %d bytes: %w", len(state), errors.Join(err, io.ErrUnexpectedEOF))
	}
	if info, err := m.config.memory.Stat(); err != nil || info.Size() != int64(m.config.memoryMiB)<<20 {
		return nil, fmt.Errorf("microvm: not all of a machine's memory was written: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	c := m.config
	c.memory, c.group = nil, nil
	return &saved{config: c, memory: m.config.memory, state: state}, nil
}

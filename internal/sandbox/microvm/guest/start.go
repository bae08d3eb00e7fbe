package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// failure is what a reply says of an error.
func failure(err error) line.Reply {
	r := line.Reply{Error: err.Error()}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.Errno = int(errno)
	}
	var refused *refusal
	r.Exec = errors.As(err, &refused)
	return r
}

// refusal is the kernel's, of the program.
type refusal struct{ errno syscall.Errno }

func (r *refusal) Error() string { return r.errno.Error() }
func (r *refusal) Unwrap() error { return r.errno }

func (a *agent) start(s line.Start) error {
	if a.started {
		return errors.New("started before")
	}
	a.started = true
	for _, m := range s.Mounts {
		if err := place(m); err != nil {
			return fmt.Errorf("%s: %w", m.Target, err)
		}
	}
	if err := a.layers(s.Layers); err != nil {
		return fmt.Errorf("/opt: %w", err)
	}
	if err := mountTmp(s); err != nil {
		return fmt.Errorf("/tmp: %w", err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, ""); err != nil {
		return err
	}
	if err := errors.Join(limit(s.Limits), limitProcesses(s.Processes)); err != nil {
		return err
	}
	return a.run(s)
}

func (a *agent) layers(numbers []int) error {
	var dirs []string
	for _, n := range numbers {
		at, err := disk(n)
		if err != nil {
			return err
		}
		dirs = append([]string{at}, dirs...) // the later one on top
	}
	switch len(dirs) {
	case 0:
		return nil
	case 1:
		return bind(dirs[0], "/opt", true)
	}
	at, err := inRoot("/opt", true)
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.Mount("overlay", at.path(), "overlay", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, "lowerdir="+strings.Join(dirs, ":"))
}

func mountTmp(s line.Start) error {
	if s.TmpMiB == 0 {
		return nil
	}
	at, err := inRoot("/tmp", true)
	if err != nil {
		return err
	}
	defer at.Close()
	if s.TmpDisk == 0 {
		return unix.Mount("tmpfs", at.path(), "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, fmt.Sprintf("mode=1777,size=%dm,nr_inodes=%d", s.TmpMiB, s.TmpMiB*64))
	}
	device, err := findDisk(s.TmpDisk)
	if err != nil {
		return err
	}
	if err := unix.Mount(device, at.path(), "ext4", unix.MS_NODEV|unix.MS_NOSUID, "nobarrier"); err != nil {
		return err
	}
	if err := os.Remove(root + "/tmp/lost+found"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Chmod(root+"/tmp", 0o777|os.ModeSticky)
}

// Stage is the argument that makes this program the one that becomes the function.
const Stage = "become"

// Descriptors of the stage beyond the first three.
const (
	stageSpec   = 3
	stageStatus = 4
	stageGroup  = 5
)

// run starts the program through a stage, which is this file again: it sheds
// what process 1 has, and says why if the program cannot be executed.
func (a *agent) run(s line.Start) error {
	if err := a.openOutput(); err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer writer.Close()
	if err := writer.Chown(s.UID, s.GID); err != nil {
		return err
	}
	specReader, specWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer specReader.Close()
	statusReader, statusWriter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer statusReader.Close()
	procs, err := os.OpenFile(group+"/cgroup.procs", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer procs.Close()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"lambdad-guest", Stage}, &syscall.ProcAttr{
		Env:   []string{"GOMAXPROCS=1", "GOGC=off"},
		Files: []uintptr{null.Fd(), writer.Fd(), writer.Fd(), specReader.Fd(), statusWriter.Fd(), procs.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	statusWriter.Close()
	if err != nil {
		return err
	}
	ended := a.wait(pid)
	go func() {
		specWriter.Write(line.Encode(s))
		specWriter.Close()
	}()
	status, err := io.ReadAll(statusReader)
	if err != nil {
		return err
	}
	if len(status) > 0 {
		<-ended
		var failed line.Reply
		if err := json.Unmarshal(status, &failed); err != nil {
			return err
		}
		if failed.Exec {
			return &refusal{syscall.Errno(failed.Errno)}
		}
		return errors.New(failed.Error)
	}
	a.mu.Lock()
	a.program = pid
	a.mu.Unlock()
	go a.pump(reader)
	go a.watch(ended)
	return nil
}

func (a *agent) openOutput() error {
	s, err := a.line.Open(line.Output)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.output = s
	return nil
}

// pump carries what the program writes. After a copy the output is another stream.
func (a *agent) pump(from *os.File) {
	defer from.Close()
	buffer := make([]byte, line.PayloadMax)
	for {
		n, err := from.Read(buffer)
		a.mu.Lock()
		to := a.output
		a.mu.Unlock()
		if n > 0 {
			to.Write(buffer[:n]) // one that failed is of a machine that this was copied from
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// watch tells the host when the first process has ended, and ends what it left.
func (a *agent) watch(ended <-chan syscall.WaitStatus) {
	status := <-ended
	a.mu.Lock()
	a.program = 0
	a.mu.Unlock()
	if err := writeGroup("cgroup.kill", "1"); err != nil {
		fmt.Println("lambdad-guest:", err)
	}
	exit := line.Exit{}
	if status.Signaled() {
		exit.Signal = int(status.Signal())
	} else {
		exit.Code = status.ExitStatus()
	}
	usage, err := measure()
	if err != nil {
		fmt.Println("lambdad-guest:", err)
	}
	exit.Usage = usage
	if err := a.line.Send(line.Encode(line.Reply{Exited: &exit})); err != nil {
		fmt.Println("lambdad-guest:", err)
	}
}

package microvm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// launcher starts machine monitors from one thread that stays: they are to die
// with lambdad, and the kernel ties that to the thread that forked them.
type launcher struct {
	requests chan launch
	once     sync.Once
}

type launch struct {
	command *exec.Cmd
	done    chan error
}

func newLauncher() *launcher {
	l := &launcher{requests: make(chan launch)}
	go func() {
		runtime.LockOSThread()
		for r := range l.requests {
			r.done <- r.command.Start()
		}
	}()
	return l
}

func (l *launcher) start(command *exec.Cmd) error {
	done := make(chan error, 1)
	l.requests <- launch{command, done}
	return <-done
}

// run starts a confined monitor in a directory, and in a control group if there is a
// door to one. born is told its number; ended is called when nothing of it is left, also
// before an error is returned.
func (l *launcher) run(command *exec.Cmd, door groupDoor, dir string, ended func(), born func(pid int)) (*os.Process, error) {
	var group *os.File
	if door != nil {
		var err error
		if group, err = door.Directory(); err != nil {
			return nil, err
		}
		if group != nil {
			defer group.Close()
		}
	}
	confine(command, group)
	command.Dir = dir
	if err := l.start(command); err != nil {
		return nil, fmt.Errorf("microvm: %s: %w", command.Args[0], err)
	}
	gone := make(chan struct{})
	born(command.Process.Pid)
	go func() {
		// How it ended, its machine's users see.
		_ = command.Wait()
		ended()
		close(gone)
	}()
	if door != nil {
		if err := door.Attach(command.Process.Pid, group != nil); err != nil {
			_ = command.Process.Kill()
			<-gone
			return nil, err
		}
	}
	return command.Process, nil
}

func (l *launcher) close() { l.once.Do(func() { close(l.requests) }) }

// vmmID is the user that a monitor runs as when lambdad is root: one that owns nothing.
const vmmID = 65534

// kvmAccess says whether a monitor can open the device, and the group that it needs for
// that; 0 is none: root's it does not get.
func kvmAccess(device string) (group uint32, ok bool) {
	info, err := os.Stat(device)
	if err != nil {
		return 0, false
	}
	if os.Geteuid() != 0 {
		return 0, unix.Access(device, unix.R_OK|unix.W_OK) == nil
	}
	mode := info.Mode().Perm()
	if stat, is := info.Sys().(*syscall.Stat_t); is && mode&0o006 != 0o006 && mode&0o060 == 0o060 && stat.Gid != 0 {
		return stat.Gid, true
	}
	return 0, mode&0o006 == 0o006
}

// confine takes from a monitor's process what it does not need: the network,
// other processes, the host's names, and root's rights.
func confine(command *exec.Cmd, group *os.File) {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if os.Geteuid() == 0 {
		attributes.Credential = &syscall.Credential{Uid: vmmID, Gid: vmmID}
		if group, _ := kvmAccess(kvmDevice); group != 0 {
			attributes.Credential.Groups = []uint32{group}
		}
		attributes.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS
	}
	if group != nil {
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(group.Fd())
	}
	command.SysProcAttr = attributes
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/bin:/bin"}
}

// socketPair is two ends of a connection: ours, and one to pass on.
func socketPair() (ours, theirs *os.File, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("microvm: %w", err)
	}
	if err := syscall.SetNonblock(pair[0], true); err != nil {
		return nil, nil, errors.Join(err, syscall.Close(pair[0]), syscall.Close(pair[1]))
	}
	return os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs"), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// tailMax is how much of a console is remembered.
const tailMax = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > tailMax {
		t.text = append([]byte(nil), t.text[len(t.text)-tailMax:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

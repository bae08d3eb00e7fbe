package container

import (
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

// spawner forks every process 1 from one thread that lives as long as the
// driver: the kernel kills a child with PDEATHSIG when the thread that forked
// it ends, and Go may end any other thread.
type spawner struct {
	work chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func()), done: make(chan struct{})}
	go func() {
		// Never unlocked: the thread ends with this goroutine, by close, when
		// all its children are gone.
		runtime.LockOSThread()
		defer close(s.done)
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *spawner) close() {
	close(s.work)
	<-s.done
}

// run starts process 1 and returns when it has been executed. The child is a
// copy of this process until then, so our descriptor's number is good in it.
func (s *spawner) run(init *os.File, attributes *os.ProcAttr) (process *os.Process, err error) {
	finished := make(chan struct{})
	s.work <- func() {
		defer close(finished)
		process, err = os.StartProcess("/proc/self/fd/"+strconv.Itoa(int(init.Fd())), []string{pid1.Name}, attributes)
	}
	<-finished
	return process, err
}

// namespaces that each sandbox has of its own.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// rootlessCapabilities are what process 1 needs in its own user namespace
// where it is not its root; they reach nothing outside it.
var rootlessCapabilities = []uintptr{
	unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP,
	unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, // overlayfs makes itself a work directory of mode 0
}

// attributes say how process 1 is born.
func (b *box) attributes(null, control, group *os.File) *os.ProcAttr {
	users, groups := b.ids()
	system := &syscall.SysProcAttr{
		Cloneflags:                 namespaces,
		UidMappings:                users,
		GidMappings:                groups,
		GidMappingsEnableSetgroups: !b.driver.rootless,
		Setpgid:                    true, // a terminal's Ctrl-C is for lambdad alone
		Pdeathsig:                  syscall.SIGKILL,
	}
	if b.driver.rootless {
		system.AmbientCaps = rootlessCapabilities
	} else {
		system.Credential = &syscall.Credential{Uid: 0, Gid: 0}
	}
	if group != nil {
		system.UseCgroupFD, system.CgroupFD = true, int(group.Fd())
	}
	return &os.ProcAttr{
		Dir: "/",
		// One thread of Go code and no collector: process 1 hardly allocates.
		Env:   []string{"GOMAXPROCS=1", "GOGC=off"},
		Files: []*os.File{null, null, null, control},
		Sys:   system,
	}
}

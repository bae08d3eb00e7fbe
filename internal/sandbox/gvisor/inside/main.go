// Package inside owns process 1 of a gVisor sandbox: it waits for its orders on
// standard input and answers on standard output, both pipes, because those
// survive a checkpoint; it moves code and /tmp into place, starts the program without
// any privilege, and tells how it ended. It runs on gVisor's kernel, so what it
// mounts is mounted there and nowhere on the host. It must never import anything
// of lambdad, so that a sandbox starts fast and stays small.
package inside

import (
	"bufio"
	"os"
	"syscall"
)

// Name of the command that is nothing but this package.
const Name = "lambdad-gvisor-init"

// Shelf is where, inside, the driver lays down what Start binds into place.
const Shelf = "/.lambdad"

// Enter is the argument that makes the command, on the host, wait for a byte on
// descriptor 3 and become the rest of its arguments: between its fork and that
// byte the driver puts it into control groups.
const Enter = "enter"

// Who the program is, as on Lambda: sbx_user1051.
const (
	UID = 993
	GID = 990
)

// Main is the command.
func Main() int {
	if len(os.Args) > 2 && os.Args[1] == Enter {
		return enter(os.Args[2:])
	}
	control := os.NewFile(1, "replies")
	requests := bufio.NewReader(os.NewFile(0, "requests"))
	if err := discard(); err != nil {
		return fail(control, "furnish", err)
	}
	start, err := newLauncher()
	if err != nil {
		return fail(control, "give up privileges", err)
	}
	if err := Write(control, Reply{Parked: true}); err != nil {
		return 1
	}
	program := 0
	for {
		var r Request
		if err := Read(requests, &r); err != nil {
			return 1 // the driver is gone, or gives this sandbox up
		}
		switch {
		case r.Start != nil && (len(r.Start.Argv) == 0) == (program == 0):
			return fail(control, "start", syscall.EINVAL)
		case r.Start != nil:
			if err := furnish(*r.Start); err != nil {
				return fail(control, "furnish", err)
			}
			if program == 0 {
				if program, err = start(*r.Start); err != nil {
					_ = Write(control, Reply{Refused: &Refusal{Text: r.Start.Argv[0], Errno: int(errnoOf(err))}})
					return 1
				}
			}
			if err := Write(control, Reply{Started: true}); err != nil {
				return 1
			}
			if len(r.Start.Argv) > 0 {
				go await(control, program)
			}
		case r.Signal > 0 && program > 0:
			// It may have ended already.
			_ = syscall.Kill(program, syscall.Signal(r.Signal))
		}
	}
}

// await tells how the program ended, and ends the sandbox.
func await(control *os.File, program int) {
	_ = Write(control, Reply{Exited: reap(program)})
	os.Exit(0) // and the kernel ends everything else in here
}

func enter(argv []string) int {
	if _, err := syscall.Read(3, make([]byte, 1)); err != nil {
		return 1
	}
	syscall.CloseOnExec(3)
	err := syscall.Exec(argv[0], argv, os.Environ())
	os.Stderr.WriteString(argv[0] + ": " + err.Error() + "\n")
	return 1
}

func fail(control *os.File, step string, err error) int {
	_ = Write(control, Reply{Failed: &Refusal{Text: step + ": " + err.Error(), Errno: int(errnoOf(err))}})
	return 1
}

func errnoOf(err error) syscall.Errno {
	for err != nil {
		if errno, ok := err.(syscall.Errno); ok {
			return errno
		}
		wrapped, ok := err.(interface{ Unwrap() error })
		if !ok {
			return 0
		}
		err = wrapped.Unwrap()
	}
	return 0
}

// reap waits for every process that has no other parent, until the program ends.
func reap(program int) *Exit {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		if err == syscall.EINTR || (err == nil && pid != program) {
			continue
		}
		switch {
		case err != nil:
			return &Exit{Signal: int(syscall.SIGKILL)}
		case status.Signaled():
			return &Exit{Signal: int(status.Signal())}
		default:
			return &Exit{Code: status.ExitStatus()}
		}
	}
}

// Command program runs inside sandboxes under test: each argument list names one
// thing to do there, and what happened goes to stdout. It knows nothing of
// drivers and must never import one, for it runs where none can be.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"unsafe"
)

// A deed does one thing and returns what it saw. An error is printed as
// "error: ..." and makes the exit status 1.
type deed func(args []string) (string, error)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "stamp" {
		// The first thing that can be done: the benchmarks' "first instruction".
		var now syscall.Timespec
		_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
		if errno != 0 {
			os.Exit(1)
		}
		fmt.Println(now.Nano())
		return
	}
	if len(os.Args) < 2 {
		fmt.Println("error: nothing to do")
		os.Exit(2)
	}
	args := os.Args[1:]
	if len(args) > 2 && args[0] == "await" { // until somebody hangs up there
		if err := await(args[1]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		args = args[2:]
	}
	do, ok := deeds()[args[0]]
	if !ok {
		fmt.Println("error: unknown deed", args[0])
		os.Exit(2)
	}
	saw, err := do(args[1:])
	if saw != "" {
		fmt.Println(saw)
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// each runs every deed, given by words between "--", as a child, and tells after each deed's lines how it ended.
func each(args []string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for n := 0; len(args) > 0; n++ {
		end := slices.Index(args, "--")
		if end < 0 {
			end = len(args)
		}
		child := exec.Command(self, args[:end]...)
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return "", err
		}
		_ = child.Wait() // its state tells
		fmt.Printf("deed %d: %d\n", n, child.ProcessState.ExitCode())
		args = args[min(end+1, len(args)):]
	}
	return "", nil
}

func deeds() map[string]deed {
	all := map[string]deed{}
	for _, group := range []map[string]deed{lifeDeeds(), fileDeeds(), bombDeeds(), networkDeeds(), escapeDeeds()} {
		for name, d := range group {
			all[name] = d
		}
	}
	all["each"] = each
	return all
}

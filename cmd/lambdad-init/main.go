// Command lambdad-init is process 1 inside a container sandbox, and the spawner
// that forks them. It is started by the driver only, never by hand; everything
// it does is in package pid1, and it must import nothing else, so that a sandbox
// starts fast and stays small.
package main

import (
	"syscall"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

func main() {
	if _, spawner := syscall.Getenv(pid1.SpawnerVariable); spawner {
		syscall.Exit(pid1.Spawner())
	}
	syscall.Exit(pid1.Main())
}

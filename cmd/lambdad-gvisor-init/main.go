// Command lambdad-gvisor-init is process 1 inside a gVisor sandbox. It is started
// by the driver only, never by hand; everything it does is in package inside.
package main

import (
	"os"

	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
)

func main() { os.Exit(inside.Main()) }

// Command lambdad-guest is process 1 inside a virtual machine of the microvm
// driver. It is put there by the driver only, never run by hand; everything it
// does is in package guest, and it must import nothing else, so that a machine
// boots fast and stays small.
package main

import (
	"os"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == guest.Stage {
		os.Exit(guest.Become())
	}
	os.Exit(guest.Main())
}

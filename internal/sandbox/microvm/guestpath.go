package microvm

import (
	"embed"
	"fmt"

	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// guestName is the file of process 1 in a machine.
const guestName = "lambdad-guest"

// embedded holds it if `make` built it before lambdad; a plain go build leaves
// only the note that is committed.
//
//go:embed guestbin
var embedded embed.FS

// FindGuest returns the path of lambdad-guest.
func FindGuest(dir string) (string, error) {
	path, err := isolate.FindExecutable(dir, embedded, "guestbin/"+guestName)
	if err != nil {
		return "", fmt.Errorf("microvm: %w", err)
	}
	return path, nil
}

package container

import (
	"embed"
	"fmt"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// embedded holds process 1 if `make` built it before lambdad; a plain go build
// leaves only the note that is committed.
//
//go:embed initbin
var embedded embed.FS

// FindInit returns the path of lambdad-init.
func FindInit(dir string) (string, error) {
	path, err := isolate.FindExecutable(dir, embedded, "initbin/"+pid1.Name)
	if err != nil {
		return "", fmt.Errorf("container: %w; `scripts/init.sh FILE` only compiles it", err)
	}
	return path, nil
}

package gvisor

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// RunscName is the program that `make runsc` builds.
const RunscName = "runsc"

// FindRunsc returns the path of runsc: in the node's tools directory, beside this
// program, or in PATH.
func FindRunsc(toolsDir string) (string, error) {
	var places []string
	if toolsDir != "" {
		places = append(places, filepath.Join(toolsDir, RunscName))
	}
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), RunscName))
	}
	for _, path := range places {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return filepath.Abs(path)
		}
	}
	found, err := exec.LookPath(RunscName)
	if err != nil {
		return "", fmt.Errorf("gvisor: runsc is neither at %q nor in PATH; `make runsc` builds it: %w", places, sandbox.ErrUnsupported)
	}
	return filepath.Abs(found)
}

// embedded holds process 1 if `make` built it before lambdad; a plain go build
// leaves only the note that is committed.
//
//go:embed initbin
var embedded embed.FS

// FindInit returns the path of lambdad-gvisor-init.
func FindInit(dir string) (string, error) {
	path, err := isolate.FindExecutable(dir, embedded, "initbin/"+inside.Name)
	if err != nil {
		return "", fmt.Errorf("gvisor: %w: %w", err, sandbox.ErrUnsupported)
	}
	return path, nil
}

package gvisor

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/gvisor/inside"
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

// FindInit returns the path of lambdad-gvisor-init: the embedded one, written
// into dir; or the one beside this program; or the one in PATH.
func FindInit(dir string) (string, error) {
	content, err := embedded.ReadFile("initbin/" + inside.Name)
	if err == nil {
		return writeInit(dir, content)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), inside.Name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath(inside.Name)
	if err != nil {
		return "", fmt.Errorf("gvisor: %s is neither embedded, nor beside this program, nor in PATH; `make build` embeds it: %w",
			inside.Name, sandbox.ErrUnsupported)
	}
	return filepath.Abs(found)
}

// writeInit puts the embedded process 1 where it can be executed. Its name
// carries its hash, so that an upgrade never writes over one that runs.
func writeInit(dir string, content []byte) (string, error) {
	hash := sha256.Sum256(content)
	target := filepath.Join(dir, inside.Name+"-"+hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	half := target + ".half" // the directory is locked: nobody else writes it
	err := os.WriteFile(half, content, 0o755)
	if err == nil {
		err = os.Rename(half, target)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("gvisor: %w", err), os.Remove(half))
	}
	return target, nil
}

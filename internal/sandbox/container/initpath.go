package container

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

// embedded holds process 1 if `make` built it before lambdad; a plain go build
// leaves only the note that is committed.
//
//go:embed initbin
var embedded embed.FS

// FindInit returns the path of lambdad-init: the embedded one, written into
// dir; or the one beside this program; or the one in PATH.
func FindInit(dir string) (string, error) {
	content, err := embedded.ReadFile("initbin/" + pid1.Name)
	if err == nil {
		return writeInit(dir, content)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("container: %w", err)
	}
	beside := filepath.Join(filepath.Dir(self), pid1.Name)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	found, err := exec.LookPath(pid1.Name)
	if err != nil {
		return "", fmt.Errorf("container: %s is neither embedded, nor beside %s, nor in PATH; `make build` embeds it, `scripts/init.sh FILE` only compiles it: %w", pid1.Name, self, err)
	}
	return filepath.Abs(found)
}

// writeInit puts the embedded process 1 where it can be executed. Its name
// carries its hash, so that an upgrade never writes over one that runs.
func writeInit(dir string, content []byte) (string, error) {
	hash := sha256.Sum256(content)
	target := filepath.Join(dir, pid1.Name+"-"+hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	f, err := os.CreateTemp(dir, pid1.Name+".tmp-")
	if err != nil {
		return "", fmt.Errorf("container: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o755), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), target)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("container: %w", err), os.Remove(f.Name()))
	}
	return target, nil
}

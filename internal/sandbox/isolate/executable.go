package isolate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// halfSuffix is of a file that is being written.
const halfSuffix = ".half"

// FindExecutable returns the path of a program that belongs to lambdad: the embedded one
// (a file of a folder that has only a note after a plain go build), written into dir; or
// the one beside this program; or the one in PATH.
func FindExecutable(dir string, embedded fs.FS, file string) (string, error) {
	name := filepath.Base(file)
	content, err := fs.ReadFile(embedded, file)
	if err == nil {
		return writeExecutable(dir, name, content)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither embedded, nor beside this program, nor in PATH; `make build` embeds it: %w", name, err)
	}
	return filepath.Abs(found)
}

// writeExecutable puts an embedded program where it can be executed. Its name carries its
// hash, so that an upgrade never writes over one that runs.
func writeExecutable(dir, name string, content []byte) (string, error) {
	hash := sha256.Sum256(content)
	target := filepath.Join(dir, name+"-"+hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	half := target + halfSuffix // the directory is locked: nobody else writes it
	err := os.WriteFile(half, content, 0o755)
	if err == nil {
		err = os.Rename(half, target)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(half))
	}
	return target, nil
}

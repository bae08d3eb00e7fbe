package microvm

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// guestName is the file of process 1 in a machine.
const guestName = "lambdad-guest"

// embedded holds it if `make` built it before lambdad; a plain go build leaves
// only the note that is committed.
//
//go:embed guestbin
var embedded embed.FS

// FindGuest returns the path of lambdad-guest: the embedded one, written into
// dir; or the one beside this program; or the one in PATH.
func FindGuest(dir string) (string, error) {
	content, err := embedded.ReadFile("guestbin/" + guestName)
	if err == nil {
		return writeGuest(dir, content)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("microvm: %w", err)
	}
	beside := filepath.Join(filepath.Dir(self), guestName)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	found, err := exec.LookPath(guestName)
	if err != nil {
		return "", fmt.Errorf("microvm: %s is neither embedded, nor beside %s, nor in PATH; `make build` embeds it: %w", guestName, self, err)
	}
	return filepath.Abs(found)
}

func writeGuest(dir string, content []byte) (string, error) {
	hash := sha256.Sum256(content)
	target := filepath.Join(dir, guestName+"-"+hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	half := target + ".tmp"
	err := os.WriteFile(half, content, 0o755)
	if err == nil {
		err = os.Rename(half, target)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("microvm: %w", err), os.Remove(half))
	}
	return target, nil
}

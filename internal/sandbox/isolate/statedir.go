// Package isolate owns what an isolate is whatever its walls are made of: a name, a
// life that ends once, a program that ends once, the furniture of its root, the checks
// of what it is asked to be, and the locked directory and the list of the driver that
// made it. It must never import a driver: how walls are made is theirs.
package isolate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// StateDir is a driver's own directory on the host. It names the node, and nobody else
// has it open: another driver would reap sandboxes that are alive.
type StateDir struct {
	Path string // absolute
	lock *os.File
}

// OpenStateDir makes and locks a state directory.
func OpenStateDir(path string) (*StateDir, error) {
	if path == "" {
		return nil, errors.New("no state directory")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another lambdad: %w", path, err), lock.Close())
	}
	d := &StateDir{Path: path, lock: lock}
	if err := d.removeHalfWritten(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

// removeHalfWritten removes what an earlier process began to write and did not end.
func (d *StateDir) removeHalfWritten() error {
	found, err := filepath.Glob(filepath.Join(d.Path, "*"+halfSuffix))
	for _, path := range found {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// Close lets others have the directory.
func (d *StateDir) Close() error { return d.lock.Close() }

// Hash stands for the node where a path is too long or says too much.
func (d *StateDir) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(d.Path)) }

// GroupName is what the node's control groups are below unless they are told another name.
func (d *StateDir) GroupName(prefix string) string {
	hash := d.Hash()
	return prefix + hex.EncodeToString(hash[:6])
}

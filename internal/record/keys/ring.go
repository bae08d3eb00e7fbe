// Package keys owns what encrypts functions' variables at rest: lambdad's own key, the named keys of a
// folder that stand for KMS's, and the envelopes that they seal. It must never import a store, so
// that no key can end up beside what it has sealed.
package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Why a key cannot be used.
var (
	ErrNotFound = errors.New("keys: no such key")
	ErrDisabled = errors.New("keys: the key is disabled")
	ErrState    = errors.New("keys: the key is pending deletion")
	// ErrDenied is also what an envelope gets that the key has not sealed, or not for this function.
	ErrDenied = errors.New("keys: access denied")
)

const (
	keyBytes  = 32
	localName = "local"     // lambdad's own key: that many raw bytes
	reloading = time.Second // how often a ring looks at its folder
)

// Ring holds the keys of a folder in memory.
type Ring struct {
	dir   string
	local []byte

	mu    sync.RWMutex
	named map[string]Key // by ARN
}

// Open reads a folder of keys, and makes the folder and lambdad's own key if they are not there.
func Open(dir string) (*Ring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	local, err := openLocal(filepath.Join(dir, localName))
	if err != nil {
		return nil, err
	}
	r := &Ring{dir: dir, local: local}
	return r, r.Reload()
}

// openLocal reads lambdad's own key. Two nodes that start at once agree, because only one
// link has the name.
func openLocal(path string) ([]byte, error) {
	for range 2 {
		key, err := os.ReadFile(path)
		if err == nil && len(key) != keyBytes {
			return nil, fmt.Errorf("keys: %s holds %d bytes and not %d: it is no key", path, len(key), keyBytes)
		}
		if err == nil {
			return key, os.Chmod(path, 0o600)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("keys: %w", err)
		}
		if err := publish(path, newKey()); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("keys: %s: %w", path, fs.ErrNotExist)
}

func newKey() []byte {
	key := make([]byte, keyBytes)
	rand.Read(key)
	return key
}

// publish makes a file that is whole as soon as it has its name, and fails if the name is taken.
func publish(path string, data []byte) error {
	temporary, err := write(path, data)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// replace does the same over a file that is there.
func replace(path string, data []byte) error {
	temporary, err := write(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("keys: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func write(path string, data []byte) (temporary string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return "", fmt.Errorf("keys: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("keys: %w", err)
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// Run follows the folder until ctx ends: keys are made and disabled by another process. A folder that
// cannot be read leaves what is known; failed is told when it begins and when the reason changes.
func (r *Ring) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(reloading)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			err := r.Reload()
			if err == nil {
				told = ""
			} else if told != err.Error() {
				told = err.Error()
				failed(err)
			}
		}
	}
}

// Reload reads the named keys again.
func (r *Ring) Reload() error {
	all, err := List(r.dir)
	if err != nil {
		return err
	}
	named := make(map[string]Key, len(all))
	for _, k := range all {
		named[k.ARN] = k
	}
	r.mu.Lock()
	r.named = named
	r.mu.Unlock()
	return nil
}

// Usable reports whether a key could open what it has sealed for functions of an account; "" is
// lambdad's own key, which always can.
func (r *Ring) Usable(keyARN, account string) error {
	_, err := r.material(keyARN, account)
	return err
}

func (r *Ring) material(keyARN, account string) ([]byte, error) {
	if keyARN == "" {
		return r.local, nil
	}
	r.mu.RLock()
	k, ok := r.named[keyARN]
	r.mu.RUnlock()
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w", keyARN, ErrNotFound)
	case k.Account() != account:
		// KMS opens a key to other accounts by the key's policy; these have none.
		return nil, fmt.Errorf("%s is of account %s: %w", keyARN, k.Account(), ErrDenied)
	case k.State == Disabled:
		return nil, fmt.Errorf("%s: %w", keyARN, ErrDisabled)
	case k.State != Enabled:
		return nil, fmt.Errorf("%s: %w", keyARN, ErrState)
	}
	return k.Material, nil
}

// Same reports whether two envelopes of one function hold the same, without opening them. It may miss what
// different keys have sealed.
func Same(a, b []byte) bool {
	return len(a) > headBytes && len(b) > headBytes && bytes.Equal(a[:headBytes], b[:headBytes])
}

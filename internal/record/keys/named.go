package keys

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// State is what a key may be used for. Source: KMS API, KeyMetadata, KeyState.
type State string

const (
	Enabled         State = "Enabled"
	Disabled        State = "Disabled"
	PendingDeletion State = "PendingDeletion"
)

// Key is a named key: a file of its own in the folder.
type Key struct {
	ARN      string    `json:"arn"` // arn:aws:kms:REGION:ACCOUNT:key/ID
	State    State     `json:"state"`
	Created  time.Time `json:"created"`
	Material []byte    `json:"material"`
}

// String keeps the material out of every log.
func (k Key) String() string { return k.ARN + " (" + string(k.State) + ")" }

// GoString keeps it out of %#v.
func (k Key) GoString() string { return k.String() }

// Account is whose functions may use the key.
func (k Key) Account() string {
	if parts := strings.Split(k.ARN, ":"); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

const (
	fileSuffix   = ".key"
	fileBytesMax = 4096
	// keysMax bounds the folder: each of its files is read every second.
	keysMax = 1000
)

// Owner is the account and region of a new key.
type Owner struct{ Partition, Account, Region string }

// Create makes a named key in a folder, enabled.
func Create(dir string, of Owner) (Key, error) {
	if all, err := List(dir); err != nil {
		return Key{}, err
	} else if len(all) >= keysMax {
		return Key{}, fmt.Errorf("keys: %s holds %d keys, and may not hold more", dir, len(all))
	}
	id := make([]byte, 16)
	rand.Read(id)
	k := Key{
		ARN:   fmt.Sprintf("arn:%s:kms:%s:%s:key/%x-%x-%x-%x-%x", of.Partition, of.Region, of.Account, id[:4], id[4:6], id[6:8], id[8:10], id[10:]),
		State: Enabled, Created: time.Now().UTC().Truncate(time.Second), Material: newKey(),
	}
	return k, put(dir, k, publish)
}

// List reads all named keys of a folder, in the order of their ARNs.
func List(dir string) ([]Key, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var out []Key
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), fileSuffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		k, err := readKey(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed this moment
		}
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Key) int { return strings.Compare(a.ARN, b.ARN) })
	return out, nil
}

func readKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("keys: %w", err)
	}
	if info.Size() > fileBytesMax {
		return Key{}, fmt.Errorf("keys: %s is too large to be a key", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("keys: %w", err)
	}
	return decodeKey(path, b)
}

func decodeKey(path string, b []byte) (Key, error) {
	var k Key
	if err := json.Unmarshal(b, &k); err != nil {
		return Key{}, fmt.Errorf("keys: %s: %w", path, err)
	}
	if len(k.Material) != keyBytes || k.Account() == "" || fileOf(k.ARN) != filepath.Base(path) {
		return Key{}, fmt.Errorf("keys: %s is no key", path)
	}
	return k, nil
}

// SetState enables or disables a key, or marks it for deletion.
func SetState(dir, arn string, to State) (Key, error) {
	k, err := readKey(filepath.Join(dir, fileOf(arn)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && k.ARN != arn {
		return Key{}, fmt.Errorf("%s: %w", arn, ErrNotFound)
	}
	if err != nil {
		return Key{}, err
	}
	k.State = to
	return k, put(dir, k, replace)
}

// Remove ends a key for good: nothing opens any more what it has sealed.
func Remove(dir, arn string) error {
	err := os.Remove(filepath.Join(dir, fileOf(arn)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", arn, ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return syncDir(dir)
}

func put(dir string, k Key, how func(string, []byte) error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return how(filepath.Join(dir, fileOf(k.ARN)), b)
}

// fileOf is the name of a key's file: the last part of its ARN, which is unique.
func fileOf(arn string) string {
	return filepath.Base(arn[strings.LastIndexByte(arn, '/')+1:]) + fileSuffix
}

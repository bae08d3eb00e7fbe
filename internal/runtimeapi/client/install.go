// Package client owns the runtime clients that are mounted at /var/runtime: the
// programs in Python, Node.js, Java and Ruby that speak the Runtime API for a
// function's handler. They are embedded, and written once to a directory named
// after their content. It must never import worker or sandbox: it says what to
// mount and what to start, and does neither.
package client

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

//go:generate go run ./java/build java/src java/lambdad-runtime.jar

//go:embed python/*.py nodejs/*.js nodejs/*.mjs ruby/*.rb java/lambdad-runtime.jar
var files embed.FS

// Set is an installed set of runtime clients.
type Set struct {
	// Dir holds one directory for each language; its name is the content's hash.
	Dir string
}

// Install writes the clients below dir, if this version of them is not there
// yet, and returns where they are. Any number of processes may do so at once.
func Install(dir string) (Set, error) {
	name, err := contentName(files)
	if err != nil {
		return Set{}, fmt.Errorf("client: %w", err)
	}
	final := filepath.Join(dir, name)
	if intact(final) {
		return Set{Dir: final}, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Set{}, fmt.Errorf("client: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return Set{}, fmt.Errorf("client: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := writeFiles(tmp); err != nil {
		return Set{}, fmt.Errorf("client: %w", err)
	}
	if err := os.Rename(tmp, final); err == nil || intact(final) {
		// Whoever renames first wins; what the others would write is the same.
		return Set{Dir: final}, nil
	}
	// There, and not whole: the machine lost power before it was on disk.
	if err := os.RemoveAll(final); err != nil {
		return Set{}, fmt.Errorf("client: %w", err)
	}
	if err := os.Rename(tmp, final); err != nil && !intact(final) {
		return Set{}, fmt.Errorf("client: %w", err)
	}
	return Set{Dir: final}, nil
}

// intact reports whether every file is in dir as it is embedded.
func intact(dir string) bool {
	return fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := files.ReadFile(p)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return errDamaged
		}
		return nil
	}) == nil
}

var errDamaged = errors.New("client: an installed file is damaged")

// contentName is a hash of every file's name and bytes.
func contentName(fsys fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n", p, len(b))
		h.Write(b)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)[:16]), err
}

// writeFiles writes files that any user in a sandbox can read and none can change.
func writeFiles(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path.Clean(p)))
		if d.IsDir() {
			return os.Mkdir(to, 0o755)
		}
		b, err := files.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o444)
	})
}

package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// extensionsDir is where a layer or an image has external extensions. Source: Lambda
// developer guide, "Lambda extensions API".
const extensionsDir = "extensions"

// ErrExtensions means that a function has external extensions, which no driver starts yet:
// without them it would not be what its owner made.
var ErrExtensions = errors.New("worker: external extensions are not run here")

// refuseExtensions refuses each program that would be started beside the runtime.
func (e *Environment) refuseExtensions() error {
	for _, dir := range e.layerDirs {
		name, err := extensionIn(dir)
		if err != nil {
			return fmt.Errorf("look for extensions: %w", err)
		}
		if name != "" {
			return fmt.Errorf("%w: /opt/%s/%s", ErrExtensions, extensionsDir, name)
		}
	}
	return nil
}

// extensionIn returns the first extension of a layer, "" without one. It follows no symbolic link: the
// layer is a stranger's, and the link would lead through the host. A linked folder counts as one.
func extensionIn(layer string) (string, error) {
	for _, dir := range []string{layer, filepath.Join(layer, extensionsDir)} {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0 && dir != layer:
			return ".", nil
		case !info.IsDir():
			return "", nil
		}
	}
	entries, err := os.ReadDir(filepath.Join(layer, extensionsDir))
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			return entry.Name(), nil
		}
	}
	return "", nil
}

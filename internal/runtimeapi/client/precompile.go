package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// precompileTimeMax is far above what an interpreter takes for a few files.
const precompileTimeMax = 30 * time.Second

// precompileScript never looks at the sources again: their directory is named after
// their content. Python 3.7 and later.
const precompileScript = `
import py_compile, sys
for f in sys.argv[1:]:
    py_compile.compile(f, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
`

// Precompile has a Python interpreter of this host compile the Python client, once
// for each interpreter: a sandbox cannot keep what it compiles, and would do it
// at every cold start (2.4 of 20 ms measured). It runs the interpreter on the
// host, so it must not be called for one that came from outside, in an image.
func (s Set) Precompile(ctx context.Context, interpreter string) error {
	info, err := os.Stat(interpreter)
	if err != nil {
		return fmt.Errorf("client: precompile: %w", err)
	}
	dir := filepath.Join(s.Dir, "python")
	cache := filepath.Join(dir, "__pycache__")
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", interpreter, info.Size(), info.ModTime().UnixNano()))
	marker := filepath.Join(cache, ".done-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	sources, err := filepath.Glob(filepath.Join(dir, "lambdad_*.py"))
	if err != nil {
		return fmt.Errorf("client: precompile: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, precompileTimeMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, append([]string{"-I", "-c", precompileScript}, sources...)...)
	cmd.Env = []string{"LC_CTYPE=" + utf8Locale}
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("client: precompile with %s: %w: %s", interpreter, err, out)
	}
	// Readable by the users of sandboxes, whatever this process's umask.
	err = filepath.WalkDir(cache, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case d.IsDir():
			err = os.Chmod(p, 0o755)
		default:
			err = os.Chmod(p, 0o444)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process's, renamed meanwhile
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("client: precompile: %w", err)
	}
	if err := os.WriteFile(marker, nil, 0o444); err != nil {
		return fmt.Errorf("client: precompile: %w", err)
	}
	return nil
}

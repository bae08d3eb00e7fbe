// Package sandboxtest is the suite that every sandbox driver passes, and the
// static program that the suite runs in the sandboxes. It must never import a
// driver: a driver's own tests hand it a factory.
package sandboxtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Packages that tests build and run.
const (
	// InitPackage is process 1 of the container driver.
	InitPackage = "github.com/lambdad/lambdad/cmd/lambdad-init"
	// ProgramPackage is the program that does, inside, what a test asks for.
	ProgramPackage = "github.com/lambdad/lambdad/internal/sandbox/sandboxtest/program"
)

// Built, set in the environment, is a directory that holds the commands
// already: for a test process that may not run the compiler.
const Built = "LAMBDAD_SANDBOXTEST_BUILT"

// Build compiles a command statically and returns its path, in a directory of
// its own that may serve as a CodeDir or be mounted.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	if dir := os.Getenv(Built); dir != "" {
		return filepath.Join(dir, filepath.Base(pkg))
	}
	dir := t.TempDir()
	// A sandbox without root looks into it as another user would.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	command := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, pkg)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

// Package sandboxtest is the suite that every sandbox driver passes, and the
// static program that the suite runs in the sandboxes. It must never import a
// driver: a driver's own tests hand it a factory.
package sandboxtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Packages that tests build and run.
const (
	// InitPackage is process 1 of the container driver; it is C.
	InitPackage = "github.com/lambdad/lambdad/cmd/lambdad-init"
	// GvisorInitPackage is process 1 of the gVisor driver.
	GvisorInitPackage = "github.com/lambdad/lambdad/cmd/lambdad-gvisor-init"
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
	if pkg == InitPackage {
		needCompiler(t)
	}
	dir := t.TempDir()
	// A sandbox without root looks into it as another user would.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	if pkg == InitPackage {
		if err := BuildInit(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	command := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, pkg)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return path
}

func needCompiler(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("process 1 of sandboxes is C, and there is no cc here")
	}
}

// BuildInit compiles process 1 of the container driver into a file. It needs cc.
func BuildInit(path string) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/lambdad/lambdad").Output()
	if err != nil {
		return fmt.Errorf("find the sources: %w", err)
	}
	script := filepath.Join(strings.TrimSpace(string(root)), "scripts", "init.sh")
	if out, err := exec.Command(script, path).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", filepath.Base(path), err, out)
	}
	return nil
}

package container_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// nobody is the user that the rootless suite runs as when root starts it.
const nobody = 65534

// TestRootless runs the suite as an ordinary user.
func TestRootless(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	if out, err := exec.Command("unshare", "-U", "-n", "true").CombinedOutput(); err != nil {
		t.Skipf("this user may not make user namespaces: %v: %s", err, out)
	}
	init := sandboxtest.Build(t, sandboxtest.InitPackage)
	sandboxtest.Run(t, func(t testing.TB, stateDir string) sandbox.Driver {
		d, err := container.New(container.Options{StateDir: stateDir, Init: init})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// asNobody runs this test again, in this binary, without root.
func asNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "lambdad-rootless-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, pkg := range []string{sandboxtest.InitPackage, sandboxtest.ProgramPackage} {
		content, err := os.ReadFile(sandboxtest.Build(t, pkg))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(pkg)), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(temporary, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	// The binary lies where nobody cannot walk: it is executed by descriptor.
	child := exec.Command(fmt.Sprintf("/proc/self/fd/%d", self.Fd()), "-test.run=^TestRootless$", "-test.v")
	child.Dir = dir
	child.Env = append(os.Environ(), sandboxtest.Built+"="+dir, "TMPDIR="+temporary, "HOME="+temporary)
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

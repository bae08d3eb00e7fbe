package microvm_test

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

const guestPackage = "github.com/lambdad/lambdad/cmd/lambdad-guest"

func needQEMU(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86")
	}
}

// kernelDir is a folder with a prepared kernel, which outlives the test: one fetch is enough.
func kernelDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LAMBDAD_TEST_MICROVM_KERNEL")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip("needs a cache directory for a guest's kernel")
		}
		dir = filepath.Join(cache, "lambdad", "microvm")
	}
	if _, err := kernel.Prepare(t.Context(), dir, func(step string) { t.Log(step) }); err != nil {
		t.Skipf("needs a guest's kernel: %v", err)
	}
	return dir
}

func open(t testing.TB, kernels, guest, dir string) *microvm.Driver {
	t.Helper()
	d, err := microvm.New(microvm.Options{StateDir: dir, KernelDir: kernels, Guest: guest, Accel: "tcg",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSuite runs where QEMU is and a kernel can be had, without virtualisation.
func TestSuite(t *testing.T) {
	needQEMU(t)
	kernels := kernelDir(t)
	guest := sandboxtest.Build(t, guestPackage)
	usr := smallUsr(t)
	sandboxtest.Run(t, func(t testing.TB, stateDir string) sandbox.Driver {
		return &smaller{open(t, kernels, guest, stateDir), usr}
	}, sandboxtest.OwnKernel)
}

// smaller shows a part of the host's /usr in place of all of it, which a disk
// would have to hold.
type smaller struct {
	*microvm.Driver
	usr string
}

func (s *smaller) Park(ctx context.Context, spec sandbox.ParkSpec) (sandbox.Sandbox, error) {
	spec.Rootfs.Mounts = slices.Clone(spec.Rootfs.Mounts)
	for i, m := range spec.Rootfs.Mounts {
		if m.Source == "/usr" {
			spec.Rootfs.Mounts[i].Source = s.usr
		}
	}
	return s.Driver.Park(ctx, spec)
}

// smallUsr holds interpreters and their libraries; all of /usr without one.
func smallUsr(t *testing.T) string {
	python, err := filepath.EvalSymlinks("/usr/bin/python3")
	if err != nil {
		return "/usr"
	}
	top := t.TempDir()
	usr := filepath.Join(top, "usr")
	copyInto := func(from, to string) {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"python3", "node"} {
		program, err := filepath.EvalSymlinks(filepath.Join("/usr/bin", name))
		if err != nil {
			continue
		}
		copyInto(program, filepath.Join(usr, "bin", name))
		out, err := exec.Command("ldd", program).Output()
		if err != nil {
			t.Skipf("ldd %s: %v", program, err)
		}
		for _, m := range regexp.MustCompile(`(/lib[^ ]*) \(0x`).FindAllStringSubmatch(string(out), -1) {
			copyInto(m[1], filepath.Join(usr, m[1]))
		}
	}
	for _, name := range []string{"lib", "lib64"} {
		if err := os.Symlink("usr/"+name, filepath.Join(top, name)); err != nil {
			t.Fatal(err)
		}
	}
	library := filepath.Join("/usr/lib", filepath.Base(python))
	if err := os.CopyFS(filepath.Join(usr, "lib", filepath.Base(python)), only{os.DirFS(library)}); err != nil {
		t.Fatal(err)
	}
	return usr
}

// only is without links, which lead elsewhere.
type only struct{ fs.FS }

func (o only) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(o.FS, name)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool { return !e.IsDir() && !e.Type().IsRegular() }), err
}

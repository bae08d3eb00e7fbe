package isolation

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

func openMicroVM(t *testing.T) sandbox.Driver {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("needs qemu-system-x86")
	}
	kernels := os.Getenv("LAMBDAD_TEST_MICROVM_KERNEL")
	if kernels == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip("needs a cache directory for a guest's kernel")
		}
		kernels = filepath.Join(cache, "lambdad", "microvm")
	}
	if entries, err := os.ReadDir(kernels); (err != nil || len(entries) == 0) && os.Getenv("LAMBDAD_TEST_MICROVM") == "" {
		t.Skip("needs a guest's kernel: lambdad microvm prepare, or LAMBDAD_TEST_MICROVM=1 to fetch one")
	}
	if err := microvm.Prepare(t.Context(), kernels, func(step string) { t.Log(step) }); err != nil {
		t.Skipf("needs a guest's kernel: %v", err)
	}
	opened, err := microvm.New(microvm.Options{StateDir: t.TempDir(), KernelDir: kernels, Guest: sandboxtest.Build(t, "github.com/lambdad/lambdad/cmd/lambdad-guest"), Accel: "tcg"})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

var microvmAnswers = map[string]string{}

// microvmContained: what succeeds, succeeds in a kernel that is the sandbox's own.
var microvmContained = map[string]string{}

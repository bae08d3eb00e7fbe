package microvm_test

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"testing"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm"
	"github.com/lambdad/lambdad/internal/sandbox/sandboxtest"
)

// TestFirecrackerSuite is the drivers' suite with the program itself, where it is and
// may use KVM. A machine that does not boot with it fails: QEMU does not stand in.
func TestFirecrackerSuite(t *testing.T) {
	path, err := exec.LookPath("firecracker")
	if named := os.Getenv("LAMBDAD_FIRECRACKER"); named != "" {
		path, err = named, nil
	}
	if err != nil {
		t.Skip("needs firecracker")
	}
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs KVM: %v", err)
	}
	device.Close()
	kernels := kernelDir(t)
	guest := sandboxtest.Build(t, guestPackage)
	usr := smallUsr(t)
	sandboxtest.Run(t, func(t testing.TB, stateDir string) sandbox.Driver {
		d, err := microvm.New(microvm.Options{StateDir: stateDir, KernelDir: kernels, Guest: guest, Firecracker: path,
			Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err == nil && d.Monitor(t.Context()) != "firecracker" {
			err = errors.Join(errors.New("no machine boots with Firecracker"), d.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return &smaller{d, usr}
	}, sandboxtest.OwnKernel)
}

package probe

import (
	"os"

	"github.com/lambdad/lambdad/internal/sandbox/microvm"
)

// microvmSandbox opens the driver of virtual machines, which finds everything that it needs. It
// boots none: without KVM that takes seconds.
func microvmSandbox(options Options) []Finding {
	f := Finding{Name: "microvm", Status: Degraded}
	dir, err := os.MkdirTemp("", "lambdad-doctor-")
	if err != nil {
		f.Detail = err.Error()
		return []Finding{f}
	}
	defer os.RemoveAll(dir)
	driver, err := microvm.New(microvm.Options{StateDir: dir, KernelDir: options.KernelDir, Firecracker: options.Firecracker, ToolsDir: options.ToolsDir})
	if err != nil {
		f.Detail = err.Error()
		f.Remedy = "For --isolation=microvm install qemu-system-x86 or Firecracker, and run `lambdad microvm prepare` as root. lambdad works without."
		return []Finding{f}
	}
	if err := driver.Close(); err != nil {
		f.Detail = err.Error()
		return []Finding{f}
	}
	f.Status, f.Detail = OK, "a kernel and a machine monitor are there; fast with kvm, emulated without"
	return []Finding{f}
}

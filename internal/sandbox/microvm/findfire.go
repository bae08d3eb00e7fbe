package microvm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

const (
	firecrackerProgram = "firecracker"
	// FirecrackerOff as its path chooses QEMU.
	FirecrackerOff = "off"
)

// findFirecracker returns its path, or "" if it is nowhere or not wanted. One that was
// named must be there.
func findFirecracker(o Options) (string, error) {
	switch o.Firecracker {
	case FirecrackerOff:
		return "", nil
	case "":
	default:
		if !executable(o.Firecracker) {
			return "", fmt.Errorf("microvm: no program Firecracker at %s: %w", o.Firecracker, sandbox.ErrUnsupported)
		}
		return filepath.Abs(o.Firecracker)
	}
	var places []string
	if o.ToolsDir != "" {
		places = append(places, filepath.Join(o.ToolsDir, firecrackerProgram))
	}
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), firecrackerProgram))
	}
	if at := slices.IndexFunc(places, executable); at >= 0 {
		return filepath.Abs(places[at])
	}
	found, err := exec.LookPath(firecrackerProgram)
	if err != nil {
		return "", nil
	}
	return filepath.Abs(found)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// probeFirecracker tells whether it will be tried.
func probeFirecracker(o Options) Finding {
	f := Finding{Name: "Firecracker", Works: true}
	path, err := findFirecracker(o)
	switch {
	case err != nil:
		f.Works, f.Detail, f.Remedy = false, err.Error(), "Mend --firecracker (LAMBDAD_FIRECRACKER)."
		return f
	case o.Firecracker == FirecrackerOff:
		f.Detail = "not wanted; machines are QEMU's"
		return f
	case path == "":
		f.Detail = "not here; machines are QEMU's"
		return f
	}
	f.Detail = path + "; used if a machine boots with it, else QEMU"
	device, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	if err != nil {
		f.Works, f.Detail = false, path+"; not used, as it needs "+kvmDevice
		return f
	}
	device.Close()
	if _, ok := kvmAccess(kvmDevice); !ok {
		f.Works, f.Detail = false, path+"; not used, as "+kvmDevice+" is closed to who is not root"
		return f
	}
	if k, err := kernel.Find(o.KernelDir); err == nil && len(k.Modules) > 0 && !slices.ContainsFunc(k.Modules, func(m string) bool {
		return strings.HasPrefix(filepath.Base(m), "vmw_vsock_virtio_transport.")
	}) {
		f.Works, f.Detail = false, path+"; the guest kernel was prepared without modules for it"
		f.Remedy = "Remove " + filepath.Dir(k.Image) + " and run: lambdad microvm prepare"
	}
	return f
}

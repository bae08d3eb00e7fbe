package microvm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/image"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

// socketModules are for machines whose line is a socket; others have no use for them.
var socketModules = []string{"vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport", "virtio_rng"}

// makeInitramfs packs process 1 and the modules, into a file without a name. It is
// not compressed: a machine without virtualisation unpacks slowly.
func makeInitramfs(k kernel.Kernel, guestProgram string, without []string) (*os.File, error) {
	var content bytes.Buffer
	cpio := image.NewInitramfs(&content)
	program, err := os.ReadFile(guestProgram)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	cpio.Dir("dev")
	cpio.Char("dev/console", 0o600, 5, 1)
	cpio.File("init", 0o755, program)
	dir := strings.TrimPrefix(path.Dir(guest.ModulesList), "/")
	var list strings.Builder
	for _, module := range k.Modules {
		if slices.Contains(without, strings.TrimSuffix(filepath.Base(module), ".ko")) {
			continue
		}
		code, err := os.ReadFile(module)
		if err != nil {
			return nil, fmt.Errorf("microvm: %w", err)
		}
		name := filepath.Base(module)
		cpio.File(path.Join(dir, name), 0o644, code)
		fmt.Fprintln(&list, name)
	}
	cpio.File(strings.TrimPrefix(guest.ModulesList, "/"), 0o644, []byte(list.String()))
	if err := cpio.Close(); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	fd, err := unix.MemfdCreate("lambdad-initramfs", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	f := os.NewFile(uintptr(fd), "initramfs")
	if _, err := f.Write(content.Bytes()); err != nil {
		return nil, errors.Join(fmt.Errorf("microvm: %w", err), f.Close())
	}
	return f, nil
}

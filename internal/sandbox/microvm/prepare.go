package microvm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

// Prepare fetches the guest's kernel into a directory, and says what it does.
func Prepare(ctx context.Context, dir string, say func(string)) error {
	_, err := kernel.Prepare(ctx, dir, say)
	return err
}

// Finding is one thing that virtual machines need of a host.
type Finding struct {
	Name   string
	Works  bool
	Detail string
	Remedy string // what to do about it; "" if nothing need be
}

// Probe tells what is here and what is missing. It boots nothing: whether a
// machine boots with KVM, the driver finds out with its first one.
func Probe(_ context.Context, options Options) []Finding {
	monitor := Finding{Name: "machine monitor"}
	if path, err := exec.LookPath(qemuProgram); err == nil {
		monitor.Works, monitor.Detail = true, path
	} else {
		monitor.Detail, monitor.Remedy = qemuProgram+" is not in PATH", "Install qemu-system-x86 (Debian, Ubuntu)."
	}
	fire := probeFirecracker(options)
	if path, err := findFirecracker(options); err == nil && path != "" && !monitor.Works {
		monitor.Remedy = "Install qemu-system-x86 (Debian, Ubuntu), unless every machine here boots with Firecracker."
	}
	guestKernel := Finding{Name: "guest kernel"}
	if k, err := kernel.Find(options.KernelDir); err == nil {
		guestKernel.Works, guestKernel.Detail = true, k.Release
	} else if errors.Is(err, kernel.ErrMissing) {
		guestKernel.Detail, guestKernel.Remedy = "none is prepared", "Run: lambdad microvm prepare"
	} else {
		guestKernel.Detail, guestKernel.Remedy = err.Error(), "Remove "+options.KernelDir+" and run: lambdad microvm prepare"
	}
	acceleration := Finding{Name: "acceleration", Works: true, Detail: kvmDevice + " can be opened; if no machine boots with it, they are emulated"}
	if f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0); err != nil {
		acceleration.Works = false
		acceleration.Detail = fmt.Sprintf("none (%v): machines are emulated, which is ten times slower", err)
		acceleration.Remedy = "Enable virtualisation in the firmware, and add this user to the group kvm."
	} else {
		f.Close()
		if _, ok := kvmAccess(kvmDevice); !ok {
			acceleration.Works = false
			acceleration.Detail = fmt.Sprintf("%s is closed to the monitors, which do not run as root: machines are emulated, which is ten times slower", kvmDevice)
			acceleration.Remedy = "chgrp kvm " + kvmDevice + " && chmod 660 " + kvmDevice + " (and a udev rule that keeps it so)."
		}
	}
	disks := Finding{Name: "disks for /tmp", Works: true, Detail: "ext4"}
	if t := openTmpDisks("", slog.New(slog.DiscardHandler)); t.mke2 == "" {
		disks.Works, disks.Detail, disks.Remedy = false, "none: /tmp counts as memory", "Install e2fsprogs."
	}
	return []Finding{monitor, fire, guestKernel, acceleration, disks}
}

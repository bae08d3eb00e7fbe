package microvm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

// hostSide is what machines are made with on this host.
type hostSide struct {
	log         *slog.Logger
	dir         string
	kernelState string
	release     string
	accel       string // as wanted
	kvmDevice   string
	binary      string // QEMU's; "" without
	kernel      *os.File
	initramfs   *os.File
	firecracker *firecracker // nil without
	launcher    *launcher

	once    sync.Once
	monitor monitor
	err     error
}

const (
	qemuProgram = "qemu-system-x86_64"
	kvmDevice   = "/dev/kvm"
	// kvmBootMax bounds the attempt to boot with KVM: it takes a fraction of a second where it works.
	kvmBootMax = 8 * time.Second
)

func openHost(options Options, dir string, k kernel.Kernel, log *slog.Logger) (*hostSide, error) {
	h := &hostSide{log: log, dir: dir, release: k.Release, kernelState: fmt.Sprintf("%s+%d", k.Release, len(k.Modules)), accel: options.Accel, kvmDevice: kvmDevice}
	switch options.Accel {
	case "", "kvm", "tcg":
	default:
		return nil, fmt.Errorf("microvm: no acceleration is named %q: kvm, tcg", options.Accel)
	}
	fire, err := findFirecracker(options)
	if err != nil {
		return nil, err
	}
	if h.binary, err = exec.LookPath(qemuProgram); err != nil {
		h.binary = ""
		if fire == "" {
			return nil, fmt.Errorf("microvm: no machine monitor: install qemu-system-x86, or Firecracker: %w", err)
		}
	}
	if h.kernel, err = os.Open(k.Image); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	h.launcher = newLauncher()
	if h.initramfs, err = makeInitramfs(k, options.Guest, socketModules); err == nil && fire != "" {
		h.firecracker, err = newFirecracker(h, fire, k, options.Guest)
	}
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *hostSide) close() error {
	h.launcher.close()
	errs := []error{h.kernel.Close(), closeFile(h.initramfs)}
	if h.firecracker != nil {
		errs = append(errs, h.firecracker.close())
	}
	return errors.Join(errs...)
}

func (h *hostSide) qemu(accel string) *qemu {
	return &qemu{path: h.binary, accel: accel, kernel: h.kernel, initramfs: h.initramfs, tscKHz: tscKHz("/proc/cpuinfo"), launcher: h.launcher}
}

// choose finds out once what boots here: Firecracker, then QEMU with KVM, then without.
func (h *hostSide) choose(ctx context.Context) (monitor, error) {
	h.once.Do(func() {
		fire := h.firecracker != nil && h.accel != "tcg"
		switch {
		case fire && h.kvmBoots(ctx, "firecracker", h.firecracker.path, h.firecracker):
			h.monitor = h.firecracker
		case h.binary == "":
			h.err = fmt.Errorf("microvm: no machine boots with Firecracker here, and %s is not installed: %w", qemuProgram, sandbox.ErrUnsupported)
			return
		case h.accel != "":
			h.monitor = h.qemu(h.accel)
		case h.kvmBoots(ctx, "kvm", h.binary, h.qemu("kvm")):
			h.monitor = h.qemu("kvm")
		default:
			h.monitor = h.qemu("tcg")
		}
		h.log.Info("virtual machines", "monitor", h.monitor.name(), "kernel", h.release)
	})
	return h.monitor, h.err
}

// kvmBoots boots a machine with KVM and remembers what came of it in a file: a hypervisor
// may offer the device and then hang.
func (h *hostSide) kvmBoots(ctx context.Context, file, program string, m monitor) bool {
	device, err := os.OpenFile(h.kvmDevice, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	device.Close()
	key := strings.Join([]string{h.kernelState, programState(program), hostRelease()}, " ")
	remembered := filepath.Join(h.dir, file)
	if known, err := os.ReadFile(remembered); err == nil {
		if answer, ok := strings.CutPrefix(string(known), key+": "); ok {
			return answer == "boots\n"
		}
	}
	answer := "boots"
	if err := h.tryBoot(ctx, m); err != nil {
		answer = "does not boot"
		h.log.Info("no machine boots with KVM and this monitor here", "monitor", m.name(), "error", err)
	}
	if err := os.WriteFile(remembered, []byte(key+": "+answer+"\n"), 0o600); err != nil {
		h.log.Warn("cannot remember whether KVM works", "error", err)
	}
	return answer == "boots"
}

// programState tells a program from another version at the same place.
func programState(program string) string {
	info, err := os.Stat(program)
	if err != nil {
		return program
	}
	return fmt.Sprintf("%s,%d,%d", program, info.Size(), info.ModTime().UnixNano())
}

func (h *hostSide) tryBoot(ctx context.Context, m monitor) error {
	ctx, cancel := watch(context.WithoutCancel(ctx), kvmBootMax, nil)
	defer cancel()
	memory, err := newMemory(probeMiB)
	if err != nil {
		return err
	}
	l, err := bootOnce(ctx, m, config{memoryMiB: probeMiB, cpus: 1, memory: memory}, guestEvents{})
	if err != nil {
		return err
	}
	l.end()
	return nil
}

const probeMiB = 256

func hostRelease() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(release))
}

var bogomips = regexp.MustCompile(`(?m)^bogomips\s*:\s*([0-9.]+)`)

// tscKHz is the rate of this host's counter, 0 if unknown: bogomips is twice it
// where the kernel counts by it. Source: calibrate_delay_is_known in the kernel.
func tscKHz(cpuinfo string) int {
	content, err := os.ReadFile(cpuinfo)
	if err != nil {
		return 0
	}
	m := bogomips.FindSubmatch(content)
	if m == nil {
		return 0
	}
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0
	}
	return int(rate * 500)
}

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

	"github.com/lambdad/lambdad/internal/sandbox/microvm/kernel"
)

// hostSide is what machines are made with on this host.
type hostSide struct {
	log       *slog.Logger
	dir       string
	release   string
	accel     string // as wanted
	binary    string
	kernel    *os.File
	initramfs *os.File
	launcher  *launcher

	once    sync.Once
	monitor monitor
}

const (
	qemuProgram = "qemu-system-x86_64"
	kvmDevice   = "/dev/kvm"
	// kvmBootMax bounds the attempt to boot with KVM: it takes a fraction of a second where it works.
	kvmBootMax = 8 * time.Second
)

func openHost(options Options, dir string, k kernel.Kernel, log *slog.Logger) (*hostSide, error) {
	h := &hostSide{log: log, dir: dir, release: k.Release, accel: options.Accel}
	var err error
	if h.binary, err = exec.LookPath(qemuProgram); err != nil {
		return nil, fmt.Errorf("microvm: no machine monitor: install qemu-system-x86: %w", err)
	}
	switch options.Accel {
	case "", "kvm", "tcg":
	default:
		return nil, fmt.Errorf("microvm: no acceleration is named %q: kvm, tcg", options.Accel)
	}
	if h.kernel, err = os.Open(k.Image); err != nil {
		return nil, fmt.Errorf("microvm: %w", err)
	}
	if h.initramfs, err = makeInitramfs(k, options.Guest); err != nil {
		return nil, errors.Join(err, h.kernel.Close())
	}
	h.launcher = newLauncher()
	return h, nil
}

func (h *hostSide) close() error {
	h.launcher.close()
	return errors.Join(h.kernel.Close(), h.initramfs.Close())
}

func (h *hostSide) qemu(accel string) *qemu {
	return &qemu{path: h.binary, accel: accel, kernel: h.kernel, initramfs: h.initramfs, tscKHz: tscKHz("/proc/cpuinfo"), launcher: h.launcher}
}

// choose finds out once what boots here.
func (h *hostSide) choose(ctx context.Context) monitor {
	h.once.Do(func() {
		switch {
		case h.accel != "":
			h.monitor = h.qemu(h.accel)
		case h.kvmBoots(ctx):
			h.monitor = h.qemu("kvm")
		default:
			h.monitor = h.qemu("tcg")
		}
		h.log.Info("virtual machines", "monitor", h.monitor.name(), "kernel", h.release)
	})
	return h.monitor
}

// kvmBoots boots a machine with KVM and remembers what came of it: a hypervisor
// may offer the device and then hang.
func (h *hostSide) kvmBoots(ctx context.Context) bool {
	device, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	device.Close()
	key := strings.Join([]string{h.release, h.binary, hostRelease()}, " ")
	remembered := filepath.Join(h.dir, "kvm")
	if known, err := os.ReadFile(remembered); err == nil {
		if answer, ok := strings.CutPrefix(string(known), key+": "); ok {
			return answer == "boots\n"
		}
	}
	answer := "boots"
	if err := h.tryBoot(ctx, h.qemu("kvm")); err != nil {
		answer = "does not boot"
		h.log.Info("no machine boots with KVM here; machines are emulated, which is slow", "error", err)
	}
	if err := os.WriteFile(remembered, []byte(key+": "+answer+"\n"), 0o600); err != nil {
		h.log.Warn("cannot remember whether KVM works", "error", err)
	}
	return answer == "boots"
}

func (h *hostSide) tryBoot(ctx context.Context, m monitor) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), kvmBootMax)
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

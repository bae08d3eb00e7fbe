// Package probe finds out what a host can do for sandboxes, by doing it: it
// makes the namespaces, runs code in a virtual machine, parks a sandbox, and
// tells what is missing and how to get it. It changes nothing that stays. It
// must never import a room above sandbox: it judges hosts, not functions.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Status of a finding.
type Status int

const (
	// OK works.
	OK Status = iota
	// Degraded works in part, or lambdad does without.
	Degraded
	// Missing does not work.
	Missing
)

// String names the status.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Degraded:
		return "degraded"
	case Missing:
		return "missing"
	default:
		return fmt.Sprintf("status %d", int(s))
	}
}

// Finding is one thing that was tried.
type Finding struct {
	Name   string
	Status Status
	Detail string // what was found
	Remedy string // what to do about it; "" if nothing need be
}

// probeMax bounds one finding.
const probeMax = 10 * time.Second

// Options of Host.
type Options struct {
	// Init is the path of lambdad-init; "" looks where the driver would.
	Init string
	// Runsc is the path of gVisor's runsc; "" looks in ToolsDir, and where the driver would.
	Runsc    string
	ToolsDir string
	// KernelDir is where `lambdad microvm prepare` put the kernel of virtual machines.
	KernelDir string
	// Firecracker is the path of that monitor, as for Runsc; "off" means QEMU.
	Firecracker string
}

// Host tries everything that sandboxes want of a host.
func Host(ctx context.Context) []Finding { return HostWith(ctx, Options{}) }

// HostWith is Host with options.
func HostWith(ctx context.Context, options Options) []Finding {
	var all []Finding
	for _, group := range []func(context.Context) []Finding{
		kernel, root, namespaces, controlGroups, filesystems, security, network,
		func(ctx context.Context) []Finding { return parked(ctx, options.Init) },
		func(ctx context.Context) []Finding { return gvisorSandbox(ctx, options) },
		func(context.Context) []Finding { return microvmSandbox(options) },
		virtualMachine, tools,
	} {
		ctx, cancel := context.WithTimeout(ctx, probeMax)
		all = append(all, group(ctx)...)
		cancel()
	}
	return all
}

// kernelMin is the oldest release with mount_setattr, which the driver needs.
const kernelMin = "5.12"

func kernel(context.Context) []Finding {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return []Finding{{"kernel", Missing, err.Error(), "lambdad needs Linux " + kernelMin + " or newer."}}
	}
	release := unix.ByteSliceToString(name.Release[:])
	f := Finding{Name: "kernel", Detail: "Linux " + release}
	if olderThan(release, kernelMin) {
		f.Status, f.Remedy = Missing, "Upgrade to Linux "+kernelMin+" or newer."
	}
	return []Finding{f}
}

func olderThan(release, least string) bool {
	var a, b [2]int
	for _, p := range []struct {
		text string
		into *[2]int
	}{{release, &a}, {least, &b}} {
		if n, err := fmt.Sscanf(p.text, "%d.%d", &p.into[0], &p.into[1]); err != nil || n != 2 {
			return false // a name we do not understand: let the rest tell
		}
	}
	return a[0] < b[0] || (a[0] == b[0] && a[1] < b[1])
}

func root(context.Context) []Finding {
	if os.Geteuid() == 0 {
		return []Finding{{Name: "root", Detail: "running as root"}}
	}
	return []Finding{{"root", Degraded, fmt.Sprintf("running as user %d", os.Geteuid()),
		"Run as root for limits without delegation, for a disk-backed /tmp, and for functions that reach the internet."}}
}

// kinds are the namespaces that each sandbox has.
var kinds = []struct {
	name string
	flag uintptr
}{
	{"user", syscall.CLONE_NEWUSER}, {"pid", syscall.CLONE_NEWPID}, {"mount", syscall.CLONE_NEWNS}, {"network", syscall.CLONE_NEWNET},
	{"ipc", syscall.CLONE_NEWIPC}, {"uts", syscall.CLONE_NEWUTS}, {"cgroup", syscall.CLONE_NEWCGROUP},
}

// namespaces starts a program in each kind: without root in a user namespace
// of its own, as the driver does.
func namespaces(ctx context.Context) []Finding {
	program, err := exec.LookPath("true")
	if err != nil {
		return []Finding{{"namespaces", Missing, "no program `true` to try them with", "Install coreutils."}}
	}
	var found []Finding
	for _, kind := range kinds {
		flags := kind.flag
		if os.Geteuid() != 0 {
			flags |= syscall.CLONE_NEWUSER
		}
		command := exec.CommandContext(ctx, program)
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		f := Finding{Name: kind.name + " namespace", Detail: "a process was started in one"}
		if err := command.Run(); err != nil {
			f.Status, f.Detail, f.Remedy = Missing, err.Error(), "The kernel was built without it, or a container around lambdad forbids it."
			if flags&syscall.CLONE_NEWUSER != 0 {
				f.Remedy = namespaceRemedy()
			}
		}
		found = append(found, f)
	}
	return found
}

// namespaceRemedy looks for the setting that forbids user namespaces, of which
// every sandbox has one.
func namespaceRemedy() string {
	for _, setting := range []struct {
		path, bad, remedy string
		rootToo           bool
	}{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1, or run as root", false},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root", false},
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=65536", true},
	} {
		content, err := os.ReadFile(setting.path)
		if err == nil && (setting.rootToo || os.Geteuid() != 0) && strings.TrimSpace(string(content)) == setting.bad {
			return setting.remedy
		}
	}
	// The kernel allows them to nobody in a chroot. Source: user_namespaces(7), EPERM.
	return "A chroot allows no user namespaces, and a container may forbid them: give it --privileged."
}

func tools(ctx context.Context) []Finding {
	var found []Finding
	for _, tool := range []struct {
		name   string
		try    []string
		remedy string
	}{
		// criu knows best whether it fits the kernel: old ones do not fit new kernels.
		{"criu", []string{"check"}, "Install criu 4.1 or newer, and be root, to restore environments from snapshots; lambdad works without."},
	} {
		path, err := exec.LookPath(tool.name)
		if err != nil {
			found = append(found, Finding{tool.name, Degraded, "not in PATH", tool.remedy})
			continue
		}
		out, err := exec.CommandContext(ctx, path, tool.try...).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err != nil {
			detail := fmt.Sprintf("%s %s: %v: %s", path, tool.try[0], err, lines[len(lines)-1])
			found = append(found, Finding{tool.name, Degraded, detail, tool.remedy})
			continue
		}
		found = append(found, Finding{Name: tool.name, Detail: path + ": " + lines[0]})
	}
	return found
}

// reason shortens an error for a table.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, fs.ErrNotExist):
		return "not there"
	default:
		return err.Error()
	}
}

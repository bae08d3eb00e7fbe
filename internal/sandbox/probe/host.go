package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container"
	"github.com/lambdad/lambdad/internal/sandbox/container/cgroup"
	"github.com/lambdad/lambdad/internal/sandbox/container/scratch"
)

// controlGroups makes a node's groups and one sandbox's, and takes them away.
func controlGroups(context.Context) []Finding {
	host, err := cgroup.Detect()
	if err != nil {
		return []Finding{{"control groups", Missing, err.Error(), "Mount cgroup2 at /sys/fs/cgroup."}}
	}
	f := Finding{Name: "control groups", Detail: host.Version()}
	parent, err := cgroup.OpenParent(host, "lambdad-probe-"+strings.ToLower(rand.Text()[:8]))
	if err != nil {
		f.Status, f.Detail = Missing, f.Detail+": "+err.Error()
		return []Finding{f}
	}
	if group, err := parent.Make("try"); err != nil {
		f.Status, f.Detail = Missing, f.Detail+": "+err.Error()
	} else if err := group.Remove(); err != nil {
		f.Status, f.Detail = Degraded, f.Detail+": "+err.Error()
	}
	if missing := parent.Unenforced(); len(missing) > 0 {
		f.Status = Degraded
		f.Detail += ", none to be had for " + strings.Join(missing, ", ")
		f.Remedy = groupsRemedy(host.Version(), os.Geteuid(), exists(systemdRuns))
	}
	freeze := Finding{Name: "freezer", Detail: "by control groups"}
	if !parent.CanFreeze() {
		freeze.Status, freeze.Detail = Degraded, "by SIGSTOP, which functions can notice"
		freeze.Remedy = groupsRemedy(host.Version(), os.Geteuid(), exists(systemdRuns))
	}
	if err := parent.Remove(); err != nil {
		f.Status, f.Detail = Degraded, f.Detail+": "+err.Error()
	}
	fast := Finding{Name: "favordynmods", Detail: "moving into a group is fast"}
	if host.Version() == "v2" {
		fast.Detail = "not needed: sandboxes are born in their groups"
	} else if file, err := cgroup.FavorDynMods("lambdad-probe-" + strings.ToLower(rand.Text()[:8])); err != nil {
		fast.Status, fast.Detail = Degraded, "parking takes up to 15 ms longer after a quiet moment: "+reason(err)
		fast.Remedy = "Linux 6.0 or newer, and root."
	} else if err := file.Close(); err != nil {
		fast.Status, fast.Detail = Degraded, err.Error()
	}
	return []Finding{f, freeze, fast}
}

// systemdRuns is there if systemd is process 1. Source: sd_booted(3).
const systemdRuns = "/run/systemd/system"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// groupsRemedy says how to get groups. Only version 2 can be delegated by
// systemd to an ordinary user.
func groupsRemedy(version string, uid int, systemd bool) string {
	switch {
	case uid == 0:
		return "A container around lambdad keeps them from it: give it a writable /sys/fs/cgroup, e.g. by --privileged."
	case version == "v2" && systemd:
		return "Start it with: systemd-run --user --scope -p Delegate=yes lambdad serve; or run as root."
	default:
		return fmt.Sprintf("Run as root, or have root give user %d a group of its own, as docs/guide/rootless.md tells.", uid)
	}
}

func filesystems(ctx context.Context) []Finding {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return []Finding{{"filesystems", Missing, err.Error(), "Mount /proc."}}
	}
	var found []Finding
	for _, kind := range []struct {
		name, use string
		without   Status
	}{
		{"overlay", "merging layers", Missing},
		{"tmpfs", "roots", Missing},
		{"erofs", "images without unpacking", Degraded},
	} {
		f := Finding{Name: kind.name, Detail: "known to the kernel"}
		if !strings.Contains(string(known), "\t"+kind.name+"\n") {
			// Opening one as root loads the module.
			fd, err := unix.Fsopen(kind.name, unix.FSOPEN_CLOEXEC)
			if err == nil {
				err = unix.Close(fd)
			}
			if err != nil {
				f.Status, f.Detail, f.Remedy = kind.without, "not for "+kind.use+": "+reason(err), "modprobe "+kind.name
			}
		}
		found = append(found, f)
	}
	return append(found, tmpDisk(ctx))
}

func tmpDisk(ctx context.Context) Finding {
	f := Finding{Name: "/tmp on disk", Detail: "ext4 images on loop devices"}
	err := error(unix.EPERM)
	if os.Geteuid() == 0 {
		var disks *scratch.Disks
		if disks, err = scratch.Open(ctx, os.TempDir()); err == nil {
			err = disks.Close()
		}
	}
	if err != nil {
		f.Status, f.Detail = Degraded, "a function's /tmp is in memory, and counts as its memory: "+reason(err)
		f.Remedy = "Run as root, with loop devices and e2fsprogs."
	}
	return f
}

func security(context.Context) []Finding {
	filter := Finding{Name: "seccomp", Detail: "filters can be loaded"}
	// The kernel says EFAULT for the missing filter, if it would take one.
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0); err != unix.EFAULT {
		filter.Status, filter.Detail, filter.Remedy = Missing, fmt.Sprint(err), "The kernel needs CONFIG_SECCOMP_FILTER."
	}
	privileges := Finding{Name: "no_new_privs", Detail: "known to the kernel"}
	if _, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil {
		privileges.Status, privileges.Detail = Missing, err.Error()
	}
	return []Finding{filter, privileges}
}

// network tries links and rules in a network namespace that is gone afterwards.
func network(context.Context) []Finding {
	f := Finding{Name: "internet for functions", Detail: "links and rules can be made"}
	if os.Geteuid() != 0 {
		return []Finding{{f.Name, Degraded, "functions reach lambdad's endpoint only", "Run as root."}}
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and with it the namespace
		done <- tryLink()
	}()
	if err := <-done; err != nil {
		return []Finding{{f.Name, Degraded, "functions reach lambdad's endpoint only: " + err.Error(), "The kernel needs veth and nf_tables with NAT."}}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		f.Status, f.Detail = Degraded, err.Error()
		return []Finding{f}
	}
	for _, r := range routes {
		if r.Gw != nil && (r.Dst == nil || r.Dst.IP.Equal(net.IPv4zero)) {
			return []Finding{f}
		}
	}
	f.Status, f.Detail, f.Remedy = Degraded, "the host has no default route", "Give the host a default route, if functions shall have one."
	return []Finding{f}
}

func tryLink() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "probe0"}, PeerName: "probe1"}); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := c.AddTable(&nftables.Table{Name: "probe", Family: nftables.TableFamilyIPv4})
	c.AddChain(&nftables.Chain{Table: table, Name: "nat", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// Sandbox names the finding without which nothing runs.
const Sandbox = "sandbox"

// parked parks a sandbox, destroys it, and tells which limits its driver keeps.
func parked(ctx context.Context, init string) []Finding {
	f := Finding{Name: Sandbox}
	took, unenforced, err := park(ctx, init)
	if err != nil {
		f.Status, f.Detail, f.Remedy = Missing, err.Error(), "See what is missing above. "+namespaceRemedy()
		return []Finding{f}
	}
	f.Detail = fmt.Sprintf("one was parked in %.1f ms", float64(took.Microseconds())/1000)
	return []Finding{f, limits(unenforced)}
}

// limits tells what of a function's configuration its sandbox keeps.
func limits(unenforced []string) Finding {
	if len(unenforced) == 0 {
		return Finding{Name: "limits", Detail: "memory, cpu, processes, descriptors and /tmp are enforced"}
	}
	kept := []string{"processes", "descriptors", "the size of /tmp"} // by rlimits, and by whatever /tmp is
	for _, limit := range []string{"cpu", "memory"} {
		if !slices.Contains(unenforced, limit) {
			kept = slices.Insert(kept, 0, limit)
		}
	}
	return Finding{"limits", Degraded, "NOT enforced: " + strings.Join(unenforced, ", ") + "; enforced: " + strings.Join(kept, ", "),
		"See control groups and /tmp on disk, above."}
}

func park(ctx context.Context, init string) (took time.Duration, unenforced []string, err error) {
	dir, err := os.MkdirTemp("", "lambdad-probe-")
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	driver, err := container.New(container.Options{StateDir: dir, Init: init})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, driver.Close()) }()
	began := time.Now()
	s, err := driver.Park(ctx, sandbox.ParkSpec{ID: "probe"})
	if err != nil {
		return 0, nil, err
	}
	took = time.Since(began)
	return took, driver.Unenforced(), s.Destroy(ctx)
}

package microvm

import (
	"os"
	"path"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/image"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

const (
	hostname = "sandbox" // the same everywhere, so that it tells nothing
	codeDir  = "/var/task"
	// The program's user, as Lambda names and numbers it.
	programUser = "sbx_user1051"
	programUID  = 993
	programGID  = 990
)

// directories that every root has.
var directories = []string{"/proc", "/dev", "/tmp", "/etc", "/opt", "/var/task", "/var/runtime"}

// masked describe the kernel; they read as empty, as in other sandboxes.
var masked = []string{
	"/proc/cmdline", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg", "/proc/kallsyms", "/proc/modules", "/proc/timer_list",
	"/proc/sched_debug", "/proc/sysrq-trigger", "/proc/latency_stats", "/proc/iomem", "/proc/ioports", "/proc/config.gz",
	"/proc/vmallocinfo", "/proc/slabinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
}

// frozen can be written by root.
var frozen = []string{"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/pressure"}

// rootPlan is a root filesystem as disks: the first is a layer with the
// furniture and single files, the others are directories.
type rootPlan struct {
	images []image.Spec
	park   line.Park
}

// rootDisk is the number of the first disk.
const rootDisk = guest.RootDisk

func planRoot(rootfs sandbox.Rootfs) (rootPlan, error) {
	p := rootPlan{park: line.Park{Hostname: hostname, Root: line.Mount{Disk: rootDisk}, Masked: masked, Frozen: frozen}}
	first := image.Spec{Dirs: directories}
	p.images = []image.Spec{{}}
	if rootfs.Base != "" {
		p.park.Base = true
		p.images = append(p.images, image.Spec{Dir: rootfs.Base})
		p.park.Mounts = append(p.park.Mounts, line.Mount{Disk: rootDisk + 1})
	}
	var shown []string // directories that were mounted so far
	for _, m := range rootfs.Mounts {
		spec, file, err := imageOf(m)
		if err != nil {
			return p, err
		}
		if file != "" && !below(m.Target, shown) {
			first.Entries = append(first.Entries, image.Entry{Path: m.Target, Source: m.Source})
			continue
		}
		if file == "" {
			shown = append(shown, m.Target)
		}
		p.images = append(p.images, spec)
		p.park.Mounts = append(p.park.Mounts, line.Mount{Disk: rootDisk + len(p.images) - 1, Target: m.Target, File: file})
	}
	for _, e := range furniture(rootfs) {
		if !covered(e.Path, rootfs.Mounts) {
			first.Entries = append(first.Entries, e)
		}
	}
	p.images[0] = first
	return p, nil
}

// imageOf is the image that shows a mount, and the file in it if the mount is one.
func imageOf(m sandbox.Mount) (spec image.Spec, file string, err error) {
	if !path.IsAbs(m.Source) || !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" {
		return spec, "", &mountError{m}
	}
	info, err := os.Stat(m.Source)
	if err != nil {
		return spec, "", err
	}
	if info.IsDir() {
		return image.Spec{Dir: m.Source}, "", nil
	}
	return image.Spec{Entries: []image.Entry{{Path: "/file", Source: m.Source}}}, "file", nil
}

type mountError struct{ mount sandbox.Mount }

func (e *mountError) Error() string {
	return "microvm: " + e.mount.Source + " cannot be mounted at " + e.mount.Target
}

func below(target string, dirs []string) bool {
	for _, d := range dirs {
		if strings.HasPrefix(target, d+"/") {
			return true
		}
	}
	return false
}

func covered(file string, mounts []sandbox.Mount) bool {
	for _, m := range mounts {
		if file == m.Target || strings.HasPrefix(file, m.Target+"/") {
			return true
		}
	}
	return false
}

// furniture is what a C library reads to know who and where it is, and the
// links into a host's /usr that a dynamic loader's path begins with.
func furniture(rootfs sandbox.Rootfs) []image.Entry {
	list := []image.Entry{
		{Path: "/etc/passwd", Content: "root:x:0:0:root:/root:/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/:/sbin/nologin\n" +
			programUser + ":x:993:990::/home/" + programUser + ":/sbin/nologin\n"},
		{Path: "/etc/group", Content: "root:x:0:\nnobody:x:65534:\n" + programUser + ":x:990:\n"},
		{Path: "/etc/hosts", Content: "127.0.0.1 localhost " + hostname + "\n"},
		{Path: "/etc/hostname", Content: hostname + "\n"},
		{Path: "/etc/nsswitch.conf", Content: "passwd: files\ngroup: files\nhosts: files dns\n"},
		{Path: "/etc/resolv.conf", Content: "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"},
	}
	if rootfs.Base != "" {
		return list
	}
	for _, m := range rootfs.Mounts {
		if m.Target != "/usr" {
			continue
		}
		for _, name := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
			target, err := os.Readlink(path.Join(path.Dir(m.Source), name))
			if err == nil && strings.HasPrefix(target, "usr/") {
				list = append(list, image.Entry{Path: name, Content: target, Link: true})
			}
		}
	}
	return list
}

package container

import (
	"os"
	"path"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
)

// rootKiB bounds what the furnished root itself holds: empty directories, mount
// points, and a few short files.
const rootKiB = 512

// hostname inside; the same everywhere, so that it tells nothing.
const hostname = "sandbox"

// directories that every root has. /dev/shm is not among them: Lambda has none.
var directories = []string{"/proc", "/dev", "/tmp", "/etc", "/opt", "/var/task", "/var/runtime"}

// devices of the host that are visible.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// masked describe the host or its kernel; they read as empty.
var masked = []string{
	"/proc/cmdline", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg", "/proc/kallsyms", "/proc/modules", "/proc/timer_list",
	"/proc/sched_debug", "/proc/sysrq-trigger", "/proc/latency_stats", "/proc/iomem", "/proc/ioports", "/proc/config.gz",
	"/proc/vmallocinfo", "/proc/slabinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
}

// frozen can be written by root on an ordinary host.
var frozen = []string{"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/pressure"}

// files of /etc that a C library reads to know who and where it is.
func files(rootfs sandbox.Rootfs) []pid1.File {
	list := []pid1.File{
		{Path: "/etc/passwd", Content: "root:x:0:0:root:/root:/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/:/sbin/nologin\n" +
			programUser + ":x:993:990::/home/" + programUser + ":/sbin/nologin\n"},
		{Path: "/etc/group", Content: "root:x:0:\nnobody:x:65534:\n" + programUser + ":x:990:\n"},
		{Path: "/etc/hosts", Content: "127.0.0.1 localhost " + hostname + "\n"},
		{Path: "/etc/hostname", Content: hostname + "\n"},
		{Path: "/etc/nsswitch.conf", Content: "passwd: files\ngroup: files\nhosts: files dns\n"},
		// Without egress nothing answers there, and a lookup fails at once.
		{Path: "/etc/resolv.conf", Content: "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"},
		{Path: "/dev/fd", Content: "/proc/self/fd", Link: true},
		{Path: "/dev/stdin", Content: "/proc/self/fd/0", Link: true},
		{Path: "/dev/stdout", Content: "/proc/self/fd/1", Link: true},
		{Path: "/dev/stderr", Content: "/proc/self/fd/2", Link: true},
	}
	if rootfs.Base == "" {
		list = append(list, mergedLinks(rootfs.Mounts)...)
	}
	// A file that the caller mounts is the caller's.
	kept := list[:0]
	for _, f := range list {
		if !covered(f.Path, rootfs.Mounts) {
			kept = append(kept, f)
		}
	}
	return kept
}

// mergedLinks gives a root with the host's /usr the links into it that the
// host has: the dynamic loader's path begins with /lib64.
func mergedLinks(mounts []sandbox.Mount) []pid1.File {
	var links []pid1.File
	for _, m := range mounts {
		if m.Target != "/usr" {
			continue
		}
		for _, name := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
			target, err := os.Readlink(path.Join(path.Dir(m.Source), name))
			if err == nil && strings.HasPrefix(target, "usr/") {
				links = append(links, pid1.File{Path: name, Content: target, Link: true})
			}
		}
	}
	return links
}

func covered(file string, mounts []sandbox.Mount) bool {
	for _, m := range mounts {
		if file == m.Target || strings.HasPrefix(file, m.Target+"/") {
			return true
		}
	}
	return false
}

package isolate

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
)

const (
	// Hostname inside; the same everywhere, so that it tells nothing.
	Hostname = "sandbox"
	// CodeDir is where the function's code is, and its program begins.
	CodeDir = "/var/task"
)

// Who the program is inside. Source: `id` on Lambda, recorded as sbx_user1051
// in 2025; its numbers are those of the managed runtimes.
const (
	ProgramUser = "sbx_user1051"
	ProgramUID  = 993
	ProgramGID  = 990
	NobodyID    = 65534
)

// Directories that every root has. /dev/shm is not among them: Lambda has none.
func Directories() []string {
	return []string{"/proc", "/dev", "/tmp", "/etc", "/opt", CodeDir, "/var/runtime"}
}

// Masked describe the host or its kernel; they read as empty.
func Masked() []string {
	return []string{
		"/proc/cmdline", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg", "/proc/kallsyms", "/proc/modules", "/proc/timer_list",
		"/proc/sched_debug", "/proc/sysrq-trigger", "/proc/latency_stats", "/proc/iomem", "/proc/ioports", "/proc/config.gz",
		"/proc/vmallocinfo", "/proc/slabinfo", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
	}
}

// Frozen can be written by root on an ordinary host.
func Frozen() []string {
	return []string{"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/acpi", "/proc/scsi", "/proc/asound", "/proc/pressure"}
}

// File of a root: its content, or where it links to.
type File struct {
	Path, Content string
	Link          bool
}

// Files are those that a C library reads to know who and where it is, and the links into
// a host's /usr that a dynamic loader's path begins with, and the driver's further ones. One
// that the caller mounts is the caller's.
func Files(rootfs sandbox.Rootfs, further ...File) []File {
	list := []File{
		{Path: "/etc/passwd", Content: "root:x:0:0:root:/root:/sbin/nologin\n" +
			fmt.Sprintf("nobody:x:%d:%d:nobody:/:/sbin/nologin\n", NobodyID, NobodyID) +
			fmt.Sprintf("%s:x:%d:%d::/home/%s:/sbin/nologin\n", ProgramUser, ProgramUID, ProgramGID, ProgramUser)},
		{Path: "/etc/group", Content: fmt.Sprintf("root:x:0:\nnobody:x:%d:\n%s:x:%d:\n", NobodyID, ProgramUser, ProgramGID)},
		// Extensions listen at the long name. Source: Lambda developer guide, "Specifying a destination protocol".
		{Path: "/etc/hosts", Content: "127.0.0.1 localhost " + Hostname + " " + Hostname + ".localdomain\n"},
		{Path: "/etc/hostname", Content: Hostname + "\n"},
		{Path: "/etc/nsswitch.conf", Content: "passwd: files\ngroup: files\nhosts: files dns\n"},
		// Without egress nothing answers there, and a lookup fails at once.
		{Path: "/etc/resolv.conf", Content: "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"},
	}
	if rootfs.Base == "" {
		list = append(list, mergedLinks(rootfs.Mounts)...)
	}
	list = append(list, further...)
	kept := list[:0]
	for _, f := range list {
		if !covered(f.Path, rootfs.Mounts) {
			kept = append(kept, f)
		}
	}
	return kept
}

// mergedLinks gives a root with the host's /usr the links into it that the host has: the
// dynamic loader's path begins with /lib64.
func mergedLinks(mounts []sandbox.Mount) []File {
	var links []File
	for _, m := range mounts {
		if m.Target != "/usr" {
			continue
		}
		for _, name := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
			target, err := os.Readlink(path.Join(path.Dir(m.Source), name))
			if err == nil && strings.HasPrefix(target, "usr/") {
				links = append(links, File{Path: name, Content: target, Link: true})
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

package container

import (
	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/container/pid1"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
)

// rootKiB bounds what the furnished root itself holds: empty directories, mount
// points, and a few short files.
const rootKiB = 512

// devices of the host that are visible.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// files of the root: what every one has, and what links into its own /proc.
func files(rootfs sandbox.Rootfs) []pid1.File {
	all := isolate.Files(rootfs,
		isolate.File{Path: "/dev/fd", Content: "/proc/self/fd", Link: true},
		isolate.File{Path: "/dev/stdin", Content: "/proc/self/fd/0", Link: true},
		isolate.File{Path: "/dev/stdout", Content: "/proc/self/fd/1", Link: true},
		isolate.File{Path: "/dev/stderr", Content: "/proc/self/fd/2", Link: true},
	)
	list := make([]pid1.File, len(all))
	for i, f := range all {
		list[i] = pid1.File(f)
	}
	return list
}

package microvm

import (
	"fmt"
	"os"
	"strings"

	"github.com/lambdad/lambdad/internal/sandbox"
	"github.com/lambdad/lambdad/internal/sandbox/isolate"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/guest"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/image"
	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

// rootPlan is a root filesystem as disks: the first is a layer with the
// furniture and single files, the others are directories.
type rootPlan struct {
	images []image.Spec
	park   line.Park
}

// rootDisk is the number of the first disk.
const rootDisk = guest.RootDisk

func planRoot(rootfs sandbox.Rootfs) (rootPlan, error) {
	p := rootPlan{park: line.Park{Hostname: isolate.Hostname, Root: line.Mount{Disk: rootDisk}, Masked: isolate.Masked(), Frozen: isolate.Frozen()}}
	first := image.Spec{Dirs: isolate.Directories()}
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
	for _, f := range isolate.Files(rootfs) {
		first.Entries = append(first.Entries, image.Entry{Path: f.Path, Content: f.Content, Link: f.Link})
	}
	p.images[0] = first
	return p, nil
}

// imageOf is the image that shows a mount, and the file in it if the mount is one.
func imageOf(m sandbox.Mount) (spec image.Spec, file string, err error) {
	if err := isolate.CheckMount(m); err != nil {
		return spec, "", fmt.Errorf("microvm: %w", err)
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

func below(target string, dirs []string) bool {
	for _, d := range dirs {
		if strings.HasPrefix(target, d+"/") {
			return true
		}
	}
	return false
}

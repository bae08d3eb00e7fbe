package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/sandbox/microvm/line"
)

const (
	root   = "/run/root"
	images = "/run/images"
	upper  = "/run/upper"
	// upperKiB bounds mount points that the images lack.
	upperKiB = 1024
)

// devices that the program sees, by their numbers. Source: the kernel's devices.txt.
var devices = map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}

// disk mounts a disk that the host has attached, and returns where.
func disk(number int) (string, error) {
	target := filepath.Join(images, strconv.Itoa(number))
	if err := os.MkdirAll(target, 0o755); err != nil {
		return "", err
	}
	device, err := findDisk(number)
	if err != nil {
		return "", err
	}
	if err := unix.Mount(device, target, "erofs", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, ""); err != nil {
		return "", fmt.Errorf("disk %d: %w", number, err)
	}
	return target, nil
}

// park makes the root. It stays writable until start has made its mount points.
func (a *agent) park(p line.Park) error {
	if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
		return err
	}
	for _, dir := range []string{root, upper, images} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	layer, err := disk(p.Root.Disk)
	if err != nil {
		return err
	}
	mounts := p.Mounts
	if p.Base && len(mounts) > 0 {
		base, err := disk(mounts[0].Disk)
		if err != nil {
			return err
		}
		layer += ":" + base
		mounts = mounts[1:]
	}
	if err := unix.Mount("tmpfs", upper, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, fmt.Sprintf("mode=755,size=%dk", upperKiB)); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(upper+"/u", 0o755), os.Mkdir(upper+"/w", 0o755)); err != nil {
		return err
	}
	if err := unix.Mount("overlay", root, "overlay", unix.MS_NODEV|unix.MS_NOSUID, "lowerdir="+layer+",upperdir="+upper+"/u,workdir="+upper+"/w"); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	if err := mountDevices(); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := place(m); err != nil {
			return fmt.Errorf("%s: %w", m.Target, err)
		}
	}
	return mountProc(p)
}

func mountDevices() error {
	at, err := inRoot("/dev", true)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := unix.Mount("tmpfs", at.path(), "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"); err != nil {
		return err
	}
	for name, minor := range devices {
		path := filepath.Join(root, "dev", name)
		if err := errors.Join(unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))), os.Chmod(path, 0o666)); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(root, "dev", name)); err != nil {
			return err
		}
	}
	return unix.Mount("", filepath.Join(root, "dev"), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, "")
}

// mountProc shows the program its own processes only, and hides what tells of
// the kernel, as in other sandboxes.
func mountProc(p line.Park) error {
	at, err := inRoot("/proc", true)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := unix.Mount("proc", at.path(), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "hidepid=invisible"); err != nil {
		return err
	}
	const readOnly = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, path := range p.Masked {
		if _, err := os.Lstat(root + path); err == nil {
			if err := unix.Mount("/dev/null", root+path, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	for _, path := range p.Frozen {
		if _, err := os.Lstat(root + path); err != nil {
			continue
		}
		if err := unix.Mount(root+path, root+path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := unix.Mount("", root+path, "", readOnly, ""); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// place shows a disk, or a file of it, in the root.
func place(m line.Mount) error {
	from, err := disk(m.Disk)
	if err != nil {
		return err
	}
	return bind(filepath.Join(from, m.File), m.Target, m.File == "")
}

func bind(from, target string, directory bool) error {
	at, err := inRoot(target, directory)
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.Mount(from, at.path(), "", unix.MS_BIND, "")
}

// handle is a place in the root, found without leaving it by a symbolic link.
type handle struct{ *os.File }

func (h handle) path() string { return fmt.Sprintf("/proc/self/fd/%d", h.Fd()) }

// inRoot opens a mount point, making what is missing on the way.
func inRoot(target string, directory bool) (handle, error) {
	if !filepath.IsAbs(target) || filepath.Clean(target) != target || target == "/" {
		return handle{}, fmt.Errorf("%q is no mount point", target)
	}
	top, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return handle{}, err
	}
	defer unix.Close(top)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	at, err := unix.Openat2(top, ".", &how)
	if err != nil {
		return handle{}, err
	}
	parts := strings.Split(target[1:], "/")
	for i, part := range parts {
		so := strings.Join(parts[:i+1], "/")
		next, err := unix.Openat2(top, so, &how)
		if err == unix.ENOENT {
			if i < len(parts)-1 || directory {
				err = unix.Mkdirat(at, part, 0o755)
			} else {
				var file int
				if file, err = unix.Openat(at, part, unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644); err == nil {
					err = unix.Close(file)
				}
			}
			if err == nil {
				next, err = unix.Openat2(top, so, &how)
			}
		}
		unix.Close(at)
		if err != nil {
			return handle{}, err
		}
		at = next
	}
	return handle{os.NewFile(uintptr(at), target)}, nil
}

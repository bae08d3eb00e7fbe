// Package scratch makes the disk-backed filesystem that a sandbox has as /tmp:
// a sparse ext4 image on a loop device, so that its size is a real limit
// (ENOSPC), files in it are not memory (the kernel writes them back and drops
// them), and nothing is left when the process that made it dies: the image has
// no name, and the device frees itself with its last mount. It must never
// import the driver, which alone knows whose /tmp it is.
package scratch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// blockBytes is a filesystem's block, and what the loop device takes at least.
	blockBytes = 4096
	// inodeBytes is the share of one file in the size: ext4's own default.
	inodeBytes = 16384
	// tryMiB is the size of the filesystem that Open makes to see whether it can.
	tryMiB = 8
	// loopMajor is the number of the loop driver.
	loopMajor = 7
	// tablesShare and tablesMiB are what ext4 takes for itself.
	tablesShare = 56
	tablesMiB   = 2
	// reserveShare and reserveMiB are what ext4 keeps back for delayed writes.
	reserveShare = 48
	reserveMiB   = 17
	// busyMax bounds how often another process may snatch the free loop device.
	busyMax = 64
	// sizesMax bounds how many sizes have a template; /tmp has 512 to 10,240 MiB.
	sizesMax = 64
)

// Disks makes scratch filesystems.
type Disks struct {
	dir     string
	mke2fs  string
	control *os.File

	mu        sync.Mutex
	templates map[int]*template // by MiB
}

// template is an empty filesystem of one size: the few of its blocks that are
// not zero, 60 KiB for 512 MiB.
type template struct {
	bytes  int64
	blocks []extent
}

type extent struct {
	at   int64
	data []byte
}

// Open looks for what scratch filesystems need: root, loop devices, mke2fs.
// The images lie in dir. It makes one, to see that it can.
func Open(ctx context.Context, dir string) (*Disks, error) {
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		for _, path := range []string{"/sbin/mke2fs", "/usr/sbin/mke2fs"} {
			if _, statErr := os.Stat(path); statErr == nil {
				mke2fs, err = path, nil
				break
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	d := &Disks{dir: dir, mke2fs: mke2fs, control: control, templates: map[int]*template{}}
	// Only a mount proves that this host, or the container around us, lets us.
	mount, err := d.Make(ctx, tryMiB, os.Geteuid())
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := unix.Close(mount); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close gives up the templates. Filesystems that are mounted stay.
func (d *Disks) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.templates = nil
	return d.control.Close()
}

// Make returns a detached mount of a new filesystem that holds so many MiB of
// files, belongs to owner, and has mode 1777.
func (d *Disks) Make(ctx context.Context, mib, owner int) (int, error) {
	t, err := d.template(ctx, mib)
	if err != nil {
		return -1, err
	}
	image, err := unnamed(d.dir)
	if err != nil {
		return -1, err
	}
	defer image.Close() // the loop device holds it
	if err := image.Truncate(t.bytes); err != nil {
		return -1, fmt.Errorf("scratch: %w", err)
	}
	loop, err := d.attach(image)
	if err != nil {
		return -1, err
	}
	defer loop.Close() // the mount holds it
	// Through the device and not into the image: the kernel flushes that to the
	// disk when it is attached, and the mount finds these blocks in memory.
	for _, e := range t.blocks {
		if _, err := loop.WriteAt(e.data, e.at); err != nil {
			return -1, fmt.Errorf("scratch: %w", err)
		}
	}
	mount, err := mountExt4(loop.Name())
	if err != nil {
		return -1, err
	}
	if err := prepare(mount, owner); err != nil {
		unix.Close(mount)
		return -1, fmt.Errorf("scratch: %w", err)
	}
	return mount, nil
}

// template is made on first use, and kept unless it is of one size too many.
func (d *Disks) template(ctx context.Context, mib int) (*template, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.templates == nil {
		return nil, fmt.Errorf("scratch: %w", os.ErrClosed)
	}
	if t := d.templates[mib]; t != nil {
		return t, nil
	}
	image, err := d.format(ctx, mib)
	if err != nil {
		return nil, err
	}
	t, err := readTemplate(image)
	if err := errors.Join(err, image.Close()); err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	if len(d.templates) < sizesMax {
		d.templates[mib] = t
	}
	return t, nil
}

// readTemplate keeps what of an image is not a hole.
func readTemplate(image *os.File) (*template, error) {
	info, err := image.Stat()
	if err != nil {
		return nil, err
	}
	t := &template{bytes: info.Size()}
	for at := int64(0); ; {
		data, err := unix.Seek(int(image.Fd()), at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		if at, err = unix.Seek(int(image.Fd()), data, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		if t.blocks, err = appendBlocks(t.blocks, io.NewSectionReader(image, data, at-data), data); err != nil {
			return nil, err
		}
	}
}

// appendBlocks reads a run of data and drops its empty blocks: a filesystem
// that knows no holes is one run.
func appendBlocks(list []extent, from io.Reader, at int64) ([]extent, error) {
	for {
		block := make([]byte, blockBytes)
		n, err := io.ReadFull(from, block)
		if err == io.EOF {
			return list, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		if !bytes.Equal(block[:n], zeros[:n]) {
			if last := len(list) - 1; last >= 0 && list[last].at+int64(len(list[last].data)) == at {
				list[last].data = append(list[last].data, block[:n]...)
			} else {
				list = append(list, extent{at, block[:n]})
			}
		}
		at += int64(n)
	}
}

var zeros [blockBytes]byte

// format makes an unnamed image and a filesystem in it.
func (d *Disks) format(ctx context.Context, mib int) (*os.File, error) {
	f, err := os.CreateTemp(d.dir, "scratch-")
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	// The filesystem's own tables come on top of what the files may take.
	size := strconv.Itoa(mib+mib/tablesShare+tablesMiB+min(mib/reserveShare, reserveMiB)) + "m"
	// A journal, checks against bit rot and reserved blocks are of no use to
	// what lives for one sandbox.
	out, err := exec.CommandContext(ctx, d.mke2fs, "-q", "-F", "-t", "ext4",
		"-O", "^has_journal,^metadata_csum,^resize_inode,^huge_file,uninit_bg",
		"-E", "lazy_itable_init=1,nodiscard", "-m", "0", "-b", strconv.Itoa(blockBytes), "-i", strconv.Itoa(inodeBytes),
		f.Name(), size).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("scratch: mke2fs: %w: %s", err, out)
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unnamed opens a file that exists in no directory.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), filepath.Join(dir, "image")), nil
	}
	f, err := os.CreateTemp(dir, "image-") // a filesystem without O_TMPFILE
	if err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("scratch: %w", err), f.Close())
	}
	return f, nil
}

// attach finds a free loop device for the image. It detaches itself when its
// last user, the mount, is gone.
func (d *Disks) attach(image *os.File) (*os.File, error) {
	for range busyMax {
		n, err := unix.IoctlRetInt(int(d.control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("scratch: no free loop device: %w", err)
		}
		loop, err := d.openLoop(n)
		if err != nil {
			return nil, fmt.Errorf("scratch: %w", err)
		}
		config := unix.LoopConfig{Fd: uint32(image.Fd()), Size: blockBytes}
		config.Info.Flags = unix.LO_FLAGS_AUTOCLEAR
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return loop, nil
		}
		if closed := loop.Close(); closed != nil {
			return nil, closed
		}
		if err != unix.EBUSY {
			return nil, fmt.Errorf("scratch: loop device: %w", err)
		}
	}
	return nil, fmt.Errorf("scratch: loop devices are taken faster than they can be had: %w", unix.EBUSY)
}

// openLoop opens a loop device, through a node of our own where /dev is a
// container's, which knows only the devices of its start.
func (d *Disks) openLoop(n int) (*os.File, error) {
	loop, err := os.OpenFile("/dev/loop"+strconv.Itoa(n), os.O_RDWR, 0)
	if !errors.Is(err, os.ErrNotExist) {
		return loop, err
	}
	node := filepath.Join(d.dir, "loop-"+strconv.Itoa(n))
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, uint32(n)))); err != nil && err != unix.EEXIST {
		return nil, fmt.Errorf("make %s: %w", node, err)
	}
	return os.OpenFile(node, os.O_RDWR, 0)
}

func mountExt4(device string) (int, error) {
	fs, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("scratch: fsopen: %w", err)
	}
	defer unix.Close(fs)
	for _, set := range []func() error{
		func() error { return unix.FsconfigSetString(fs, "source", device) },
		func() error { return unix.FsconfigSetFlag(fs, "noinit_itable") }, // the image is sparse: it reads as zeros
		// Nothing here shall outlive a crash: no flush may wait for the disk.
		func() error { return unix.FsconfigSetFlag(fs, "nobarrier") },
		func() error { return unix.FsconfigCreate(fs) },
	} {
		if err := set(); err != nil {
			return -1, fmt.Errorf("scratch: mount: %w", err)
		}
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return -1, fmt.Errorf("scratch: mount: %w", err)
	}
	return mount, nil
}

func prepare(mount, owner int) error {
	if err := unix.Unlinkat(mount, "lost+found", unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return err
	}
	if err := unix.Fchownat(mount, "", owner, owner, unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	// fchmod refuses a descriptor of a detached mount, which is O_PATH.
	return unix.Fchmodat(mount, ".", 0o1777, 0)
}

package image

import (
	"fmt"
	"io"
	"path"
)

// Initramfs writes the initial root of a machine, in the "newc" form of cpio.
// Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
type Initramfs struct {
	to    io.Writer
	inode int
	dirs  map[string]bool
	err   error
}

// NewInitramfs begins one; Close ends it.
func NewInitramfs(to io.Writer) *Initramfs {
	return &Initramfs{to: to, dirs: map[string]bool{".": true, "/": true, "": true}}
}

const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeChar = 0o020000
)

// File adds a file, and the directories on the way.
func (i *Initramfs) File(name string, mode uint32, content []byte) {
	i.parents(name)
	i.entry(name, modeFile|mode, content, 0, 0)
}

// Dir adds a directory.
func (i *Initramfs) Dir(name string) {
	i.parents(path.Join(name, "x"))
}

// Char adds a character device.
func (i *Initramfs) Char(name string, mode uint32, major, minor int) {
	i.parents(name)
	i.entry(name, modeChar|mode, nil, major, minor)
}

func (i *Initramfs) parents(name string) {
	dir := path.Dir(name)
	if i.dirs[dir] {
		return
	}
	i.parents(dir)
	i.dirs[dir] = true
	i.entry(dir, modeDir|0o755, nil, 0, 0)
}

func (i *Initramfs) entry(name string, mode uint32, content []byte, major, minor int) {
	i.inode++
	i.printf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		i.inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0)
	i.printf("%s\x00", name)
	i.pad(110 + len(name) + 1)
	if i.err == nil {
		_, i.err = i.to.Write(content)
	}
	i.pad(len(content))
}

func (i *Initramfs) pad(n int) { i.printf("%s", "\x00\x00\x00"[:(4-n%4)%4]) }

func (i *Initramfs) printf(format string, args ...any) {
	if i.err == nil {
		_, i.err = fmt.Fprintf(i.to, format, args...)
	}
}

// Close writes the end and returns the first error.
func (i *Initramfs) Close() error {
	i.inode = -1
	i.entry("TRAILER!!!", 0, nil, 0, 0)
	return i.err
}

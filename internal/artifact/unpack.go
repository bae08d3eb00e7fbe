package artifact

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"
)

// Modes of an unpacked tree. Code in a sandbox runs as nobody in particular, so all
// of it is world-readable; of a file's own mode only "executable" survives.
const (
	modeDir        fs.FileMode = 0o755
	modeFile       fs.FileMode = 0o644
	modeExecutable fs.FileMode = 0o755
)

type bounds struct {
	zipBytesMax      int64
	unzippedBytesMax int64
	filesMax         int
}

// unpacker writes a planned tree. With a nil root it writes nothing and only
// reads every byte, for the checksums.
type unpacker struct {
	ctx    context.Context
	buffer []byte
}

// unpackZip checks the archive and writes its tree into into, which must be empty, or
// nowhere if into is nil. Before it writes it takes room for the tree. It returns the unzipped size.
func unpackZip(ctx context.Context, r io.ReaderAt, size int64, limits bounds, into *os.Root, takeRoom func(int64) (func(), error)) (int64, error) {
	archive, err := openZip(r, size, limits.filesMax)
	if err != nil {
		return 0, err
	}
	p, err := planZip(ctx, archive, limits)
	if err != nil {
		return 0, err
	}
	u := &unpacker{ctx: ctx, buffer: make([]byte, 128<<10)}
	if into == nil {
		return p.bytes, u.verify(p.root)
	}
	giveBack, err := takeRoom(p.bytes + int64(p.nodes)*blockBytes)
	if err != nil {
		return 0, fmt.Errorf("artifact: unpack: %w", err)
	}
	defer giveBack()
	if err := u.dir(into, p.root); err != nil {
		return 0, err
	}
	return p.bytes, nil
}

// dir fills the directory that root is. Each directory is entered through a root of
// its own just made, so no path is ever walked twice, or through a link.
func (u *unpacker) dir(root *os.Root, n *node) error {
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		child := n.children[name]
		var err error
		switch child.kind {
		case kindDir:
			err = u.subdir(root, name, child)
		case kindFile:
			err = u.file(root, name, child.entry)
		case kindLink:
			err = root.Symlink(child.target, name)
		}
		if err != nil {
			return err
		}
	}
	// Set last, whatever umask this process has.
	if err := root.Chmod(".", modeDir); err != nil {
		return err
	}
	if n.entry != nil {
		mtime := modified(n.entry)
		return root.Chtimes(".", mtime, mtime)
	}
	return nil
}

func (u *unpacker) subdir(root *os.Root, name string, n *node) error {
	if err := root.Mkdir(name, 0o700); err != nil {
		return err
	}
	sub, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer sub.Close()
	return u.dir(sub, n)
}

func (u *unpacker) file(root *os.Root, name string, f *zip.File) error {
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := u.copy(out, f); err != nil {
		return err
	}
	mode := modeFile
	if f.Mode()&0o111 != 0 {
		mode = modeExecutable
	}
	if err := out.Chmod(mode); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	mtime := modified(f)
	return root.Chtimes(name, mtime, mtime)
}

// copy decompresses one entry and holds it to the size it declared; archive/zip
// holds it to its checksum.
func (u *unpacker) copy(to io.Writer, f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return damaged(f, err.Error())
	}
	defer r.Close()
	var written uint64
	for {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(u.buffer)
		if written += uint64(n); written > f.UncompressedSize64 {
			return damaged(f, "it is larger than it declares")
		}
		if _, werr := to.Write(u.buffer[:n]); werr != nil {
			return fmt.Errorf("artifact: unpack: %w", werr)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return damaged(f, err.Error())
		}
	}
}

func (u *unpacker) verify(n *node) error {
	for _, child := range n.children {
		var err error
		switch child.kind {
		case kindDir:
			err = u.verify(child)
		case kindFile:
			err = u.copy(io.Discard, child.entry)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// modified keeps an entry's time within what every file system can hold.
func modified(f *zip.File) time.Time {
	earliest := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) // zip's own
	latest := time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	switch t := f.Modified; {
	case t.Before(earliest):
		return earliest
	case t.After(latest):
		return latest
	default:
		return t
	}
}

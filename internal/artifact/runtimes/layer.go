package runtimes

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"github.com/lambdad/lambdad/internal/artifact"
)

// layerClaim is what an image's manifest and configuration say of a layer.
type layerClaim struct {
	digest v1.Hash // of the bytes as transferred
	diffID v1.Hash // as unpacked
	size   int64   // as transferred
}

// applyLayer unpacks one layer over the tree and proves what is claimed of it. It asks the layer
// itself for nothing but its bytes.
func (t *tree) applyLayer(ctx context.Context, layer v1.Layer, claim layerClaim) error {
	want := claim.digest
	body, err := layer.Compressed()
	if err != nil {
		return fmt.Errorf("runtimes: layer %s: %w", want, err)
	}
	defer body.Close()
	packed := newDigester(body, claim.size)
	in := bufio.NewReaderSize(packed, 64<<10)
	plain, done, err := decompress(in)
	if err != nil {
		return fmt.Errorf("%w: layer %s: %v", ErrMismatch, want, err)
	}
	defer done()
	unpacked := newDigester(plain, t.bytesMax)
	if err := t.applyTar(ctx, unpacked); err != nil {
		return fmt.Errorf("layer %s: %w", want, err)
	}
	for _, r := range []io.Reader{unpacked, in} { // padding, and what follows the archive
		if _, err := io.Copy(io.Discard, r); err != nil {
			return fmt.Errorf("layer %s: %w", want, err)
		}
	}
	if got := packed.digest(); got != want {
		return fmt.Errorf("%w: layer %s has the digest %s", ErrMismatch, want, got)
	}
	if got := unpacked.digest(); got != claim.diffID {
		return fmt.Errorf("%w: layer %s unpacks to %s, not to %s", ErrMismatch, want, got, claim.diffID)
	}
	return nil
}

// decompress goes by the first bytes; media types of layers are often wrong.
func decompress(in *bufio.Reader) (r io.Reader, done func(), err error) {
	magic, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	switch {
	case strings.HasPrefix(string(magic), "\x1f\x8b"):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, err
		}
		return z, func() { z.Close() }, nil
	case string(magic) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return in, func() {}, nil
}

// applyTar unpacks an archive over the tree. Whiteouts hide what lower layers hold; owners,
// setuid bits and extended attributes are dropped, and so are devices and pipes: a sandbox gets its own.
func (t *tree) applyTar(ctx context.Context, r io.Reader) error {
	archive := tar.NewReader(r)
	made := layerPaths{made: map[string]bool{}, above: map[string]bool{}, opaque: map[string]bool{}}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: not a tar archive: %w", ErrMismatch, err)
		}
		if err := t.count(); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name, err := cleanName(h.Name)
		if err != nil {
			return err
		}
		at, err := t.place(name)
		if err != nil {
			return err
		}
		if hidden, ok := strings.CutPrefix(path.Base(name), whiteoutPrefix); ok {
			if err := t.whiteout(path.Dir(at), hidden, made); err != nil {
				return err
			}
			continue
		}
		if err := t.applyEntry(ctx, at, h, archive); err != nil {
			return err
		}
		made.add(at)
	}
}

// layerPaths are what one layer made itself, which its own opaque whiteouts spare.
type layerPaths struct {
	made   map[string]bool
	above  map[string]bool // the directories above those
	opaque map[string]bool // already emptied of lower layers
}

func (l layerPaths) add(at string) {
	l.made[at] = true
	for dir := path.Dir(at); dir != "." && !l.above[dir]; dir = path.Dir(dir) {
		l.above[dir] = true
	}
}

// Source of the names: OCI image specification, "Layer Filesystem Changeset", Whiteouts.
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..opq" // after the prefix
)

func (t *tree) whiteout(dir, hidden string, made layerPaths) error {
	if hidden == whiteoutOpaque {
		if made.opaque[dir] {
			return nil
		}
		made.opaque[dir] = true
		return t.hideAll(dir, made)
	}
	if strings.HasPrefix(hidden, whiteoutPrefix) {
		return nil // of another storage driver: means nothing here
	}
	if hidden == "" || hidden == "." || hidden == ".." {
		return fmt.Errorf("%w: a whiteout of nothing", artifact.ErrUnsafe)
	}
	at := path.Join(dir, hidden)
	if made.made[at] || made.above[at] {
		return nil
	}
	return t.remove(at)
}

// hideAll removes what lower layers put into a directory.
func (t *tree) hideAll(dir string, made layerPaths) error {
	d, err := t.root.Open(dir)
	if err != nil {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	entries, err := d.ReadDir(-1)
	d.Close()
	if err != nil {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	for _, e := range entries {
		at := path.Join(dir, e.Name())
		if e.IsDir() && (made.made[at] || made.above[at]) {
			if err := t.hideAll(at, made); err != nil {
				return err
			}
			continue
		}
		if !made.made[at] {
			if err := t.remove(at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tree) applyEntry(ctx context.Context, at string, h *tar.Header, body io.Reader) error {
	mode := fs.FileMode(h.Mode & 0o777)
	switch h.Typeflag {
	case tar.TypeDir:
		return t.mkdir(at, mode)
	case tar.TypeReg, tar.TypeGNUSparse:
		return t.write(ctx, at, mode, h.ModTime, body)
	case tar.TypeSymlink:
		if h.Linkname == "" || len(h.Linkname) > linkTargetMax || strings.ContainsRune(h.Linkname, 0) {
			return fmt.Errorf("%w: %q links to no path", artifact.ErrUnsafe, short(h.Name))
		}
		if err := t.replace(at); err != nil {
			return err
		}
		t.moved()
		if err := t.root.Symlink(h.Linkname, at); err != nil {
			return fmt.Errorf("runtimes: unpack: %w", err)
		}
		return nil
	case tar.TypeLink:
		return t.hardLink(at, h)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil
	}
	return fmt.Errorf("%w: %q is of the unknown kind %q", artifact.ErrUnsafe, short(h.Name), h.Typeflag)
}

func (t *tree) hardLink(at string, h *tar.Header) error {
	name, err := cleanName(h.Linkname)
	if err != nil {
		return err
	}
	dir, err := t.resolve(path.Dir(name))
	if err != nil {
		return err
	}
	from := path.Join(dir, path.Base(name))
	info, err := t.root.Lstat(from)
	if err != nil || !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink {
		return fmt.Errorf("%w: %q is a hard link to %q, which is no file", artifact.ErrUnsafe, short(h.Name), short(h.Linkname))
	}
	if from == at {
		return nil
	}
	if err := t.replace(at); err != nil {
		return err
	}
	if err := t.root.Link(from, at); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("runtimes: unpack: %w", err)
	}
	return nil
}

// digester hashes what is read through it and refuses to read more than max.
type digester struct {
	r    io.Reader
	hash hash.Hash
	left int64
}

func newDigester(r io.Reader, max int64) *digester {
	return &digester{r: r, hash: sha256.New(), left: max}
}

func (d *digester) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if d.left -= int64(n); d.left < 0 {
		return 0, fmt.Errorf("%w: it is larger than it may be", artifact.ErrTooLarge)
	}
	d.hash.Write(p[:n])
	return n, err
}

func (d *digester) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(d.hash.Sum(nil))}
}

package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// PutZip stores an archive and unpacks it. When it returns without error the
// bytes are durable and the tree is ready to be mounted. The same bytes again
// cost a hash and nothing else. A refusal, an error or a crash leaves nothing behind.
func (s *Store) PutZip(ctx context.Context, r io.Reader) (Zip, error) {
	work, z, err := s.spool(ctx, r)
	if work != "" {
		defer os.RemoveAll(work)
	}
	if err != nil {
		return Zip{}, err
	}
	done, err := s.change(ctx, z.Digest)
	if err != nil {
		return Zip{}, err
	}
	defer done()
	if stored, err := s.stored(ctx, z); err == nil {
		return stored, nil
	}
	if z.UnzippedBytes, err = s.unpackInto(ctx, filepath.Join(work, "code.zip"), work); err != nil {
		return Zip{}, err
	}
	if err := s.publish(work, z.Digest); err != nil {
		return Zip{}, fmt.Errorf("artifact: store zip: %w", err)
	}
	return z, nil
}

// InspectZip answers what PutZip would, with the same refusals, and stores nothing.
func (s *Store) InspectZip(ctx context.Context, r io.Reader) (Zip, error) {
	work, z, err := s.spool(ctx, r)
	if work != "" {
		defer os.RemoveAll(work)
	}
	if err != nil {
		return Zip{}, err
	}
	z.UnzippedBytes, err = s.unpackInto(ctx, filepath.Join(work, "code.zip"), "")
	if err != nil {
		return Zip{}, err
	}
	return z, nil
}

// spool writes r to a file in a new staging directory while hashing it. The
// caller removes the directory, also after an error, unless it is "".
func (s *Store) spool(ctx context.Context, r io.Reader) (work string, z Zip, err error) {
	if work, err = os.MkdirTemp(s.staging(), "zip-"); err != nil {
		return "", Zip{}, fmt.Errorf("artifact: spool: %w", err)
	}
	out, err := os.OpenFile(filepath.Join(work, "code.zip"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return work, Zip{}, fmt.Errorf("artifact: spool: %w", err)
	}
	defer out.Close()
	hash := sha256.New()
	in := io.LimitReader(&contextReader{ctx: ctx, r: r}, s.limits.zipBytesMax+1)
	n, err := io.Copy(&roomWriter{to: io.MultiWriter(out, hash), store: s}, in)
	switch {
	case err != nil:
		return work, Zip{}, fmt.Errorf("artifact: spool: %w", err)
	case n > s.limits.zipBytesMax:
		return work, Zip{}, fmt.Errorf("%w: more than %d bytes", ErrZipTooLarge, s.limits.zipBytesMax)
	}
	if err := out.Close(); err != nil {
		return work, Zip{}, fmt.Errorf("artifact: spool: %w", err)
	}
	return work, Zip{Digest: Digest(hex.EncodeToString(hash.Sum(nil))), Bytes: n}, nil
}

// stored answers for bytes that are already here, and marks them as wanted now.
func (s *Store) stored(ctx context.Context, z Zip) (Zip, error) {
	f, size, err := s.openZip(z.Digest)
	if err != nil {
		return Zip{}, err
	}
	defer f.Close()
	if size != z.Bytes {
		return Zip{}, ErrDamaged
	}
	archive, err := openZip(f, size, s.limits.filesMax)
	if err != nil {
		return Zip{}, err
	}
	p, err := planZip(ctx, archive, s.limits)
	if err != nil {
		return Zip{}, err
	}
	z.UnzippedBytes = p.bytes
	now := time.Now()
	return z, os.Chtimes(s.home(z.Digest), now, now)
}

// unpackInto unpacks zipFile to work/tree and marks it complete, or only checks it if
// work is "".
func (s *Store) unpackInto(ctx context.Context, zipFile, work string) (int64, error) {
	done, err := s.startUnpacking(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	in, err := os.Open(zipFile)
	if err != nil {
		return 0, fmt.Errorf("artifact: unpack: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return 0, fmt.Errorf("artifact: unpack: %w", err)
	}
	if work == "" {
		return unpackZip(ctx, in, info.Size(), s.limits, nil, nil)
	}
	tree := filepath.Join(work, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return 0, fmt.Errorf("artifact: unpack: %w", err)
	}
	root, err := os.OpenRoot(tree)
	if err != nil {
		return 0, fmt.Errorf("artifact: unpack: %w", err)
	}
	defer root.Close()
	n, err := unpackZip(ctx, in, info.Size(), s.limits, root, s.takeRoom)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(work, "complete"), []byte(s.boot+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("artifact: unpack: %w", err)
	}
	return n, nil
}

// publish moves a complete staging directory to its digest's place. Only the zip is
// flushed to the disk: the tree is believed in this boot only and can be made again.
func (s *Store) publish(work string, d Digest) error {
	if err := syncFile(filepath.Join(work, "code.zip")); err != nil {
		return err
	}
	if err := syncDir(work); err != nil {
		return err
	}
	err := os.Rename(work, s.home(d))
	if errors.Is(err, os.ErrExist) { // damaged: stored() refused it
		if err = s.discard(s.home(d)); err == nil {
			err = os.Rename(work, s.home(d))
		}
	}
	if err != nil {
		return err
	}
	return syncDir(s.zips())
}

// discard moves something out of the way by one rename and then deletes it.
func (s *Store) discard(name string) error {
	work, err := os.MkdirTemp(s.staging(), "discard-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.Rename(name, filepath.Join(work, "old")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

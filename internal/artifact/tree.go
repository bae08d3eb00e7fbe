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
	"strings"
)

// Dir is the unpacked tree of a digest, to be mounted read-only. A caller that
// mounts it calls Hold first. Usually it is there; a tree that is missing, was not finished or
// was written before the machine's last boot is unpacked again, once however many ask.
func (s *Store) Dir(ctx context.Context, d Digest) (string, error) {
	if !d.valid() {
		return "", fmt.Errorf("%w: %q", ErrNotFound, clip(string(d)))
	}
	if s.ready(d) {
		return s.tree(d), nil
	}
	done, err := s.change(ctx, d)
	if err != nil {
		return "", err
	}
	defer done()
	if s.ready(d) {
		return s.tree(d), nil
	}
	if err := s.verifyZip(ctx, d); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(s.staging(), "tree-")
	if err != nil {
		return "", fmt.Errorf("artifact: unpack again: %w", err)
	}
	defer os.RemoveAll(work)
	if _, err := s.unpackInto(ctx, s.zipFile(d), work); err != nil {
		return "", fmt.Errorf("artifact: unpack again: %w", err)
	}
	if err := s.replaceTree(work, d); err != nil {
		return "", fmt.Errorf("artifact: unpack again: %w", err)
	}
	return s.tree(d), nil
}

// ready tells whether the tree is complete. Data that was written but not flushed
// survives the death of this process and not that of the machine, hence the boot.
func (s *Store) ready(d Digest) bool {
	raw, err := os.ReadFile(s.marker(d))
	if err != nil || strings.TrimSpace(string(raw)) != s.boot {
		return false
	}
	info, err := os.Lstat(s.tree(d))
	return err == nil && info.IsDir()
}

// replaceTree never lets a marker stand beside a tree that it does not speak of.
func (s *Store) replaceTree(work string, d Digest) error {
	if err := os.Remove(s.marker(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.discard(s.tree(d)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(work, "tree"), s.tree(d)); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "complete"), s.marker(d))
}

// verifyZip proves that the bytes at rest are still those that were stored.
func (s *Store) verifyZip(ctx context.Context, d Digest) error {
	f, _, err := s.openZip(d)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, &contextReader{ctx: ctx, r: f}); err != nil {
		return fmt.Errorf("artifact: verify zip: %w", err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != string(d) {
		return fmt.Errorf("%w: %s has the digest %s", ErrDamaged, d, got)
	}
	return nil
}

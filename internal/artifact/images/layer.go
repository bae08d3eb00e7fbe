package images

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

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
)

// sharedImage is a registry's image whose layers are fetched once for all images that have them.
type sharedImage struct {
	v1.Image
	store *Store
	ctx   context.Context
}

// Layers implements v1.Image.
func (i *sharedImage) Layers() ([]v1.Layer, error) {
	manifest, err := i.Manifest()
	if err != nil {
		return nil, err
	}
	layers, err := i.Image.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != len(manifest.Layers) {
		return nil, fmt.Errorf("%w: %d layers, %d of them described", runtimes.ErrMismatch, len(layers), len(manifest.Layers))
	}
	for at, l := range layers {
		layers[at] = &sharedLayer{Layer: l, of: i, claim: manifest.Layers[at]}
	}
	return layers, nil
}

type sharedLayer struct {
	v1.Layer
	of    *sharedImage
	claim v1.Descriptor
}

// Compressed implements v1.Layer: the bytes at rest, which are fetched first if need be.
func (l *sharedLayer) Compressed() (io.ReadCloser, error) {
	s := l.of.store
	d, err := digestOf(l.claim.Digest)
	if err != nil {
		return nil, err
	}
	file := s.layerFile(d)
	now := time.Now()
	if err := os.Chtimes(file, now, now); errors.Is(err, os.ErrNotExist) {
		if err := l.fetch(d); err != nil {
			return nil, err
		}
	}
	return os.Open(file)
}

// fetch reads as many bytes as the manifest claims, proves them, and only then gives them their name.
func (l *sharedLayer) fetch(d artifact.Digest) error {
	s := l.of.store
	body, err := l.Layer.Compressed()
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := os.CreateTemp(s.at("staging"), "layer-")
	if err != nil {
		return fmt.Errorf("images: layer: %w", err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, hash), &contextReader{l.of.ctx, io.LimitReader(body, l.claim.Size+1)})
	switch {
	case err != nil:
		return fmt.Errorf("images: layer %s: %w", d, err)
	case n != l.claim.Size:
		return fmt.Errorf("%w: layer %s has not the %d bytes that it claims", runtimes.ErrMismatch, d, l.claim.Size)
	case hex.EncodeToString(hash.Sum(nil)) != string(d):
		return fmt.Errorf("%w: layer %s has another digest", runtimes.ErrMismatch, d)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("images: layer: %w", err)
	}
	return os.Rename(out.Name(), s.layerFile(d))
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

// sweepLayers removes the layers that no image has which is kept. Needs the images first.
func (s *Store) sweepLayers(used map[artifact.Digest]bool) error {
	entries, err := os.ReadDir(s.at("layers"))
	if err != nil {
		return fmt.Errorf("images: sweep: %w", err)
	}
	var failed []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || used[artifact.Digest(e.Name())] || time.Since(info.ModTime()) < s.grace {
			continue
		}
		if err := os.Remove(filepath.Join(s.at("layers"), e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

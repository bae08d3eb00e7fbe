package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
)

// Store keeps images in one directory of its own, which one process has at a time:
//
//	staging/*                  work in progress; what an earlier process left is removed by Open
//	layers/<digest>            layers as a registry sent them, proven and shared between images
//	roots/<digest>/rootfs      an image's root filesystem, by the digest of its manifest
//	roots/<digest>/image.json  what the image says of how to run it, and which layers it has
//
// A layer and a root appear by one rename, whole and durable. Its methods may be called
// concurrently.
type Store struct {
	dir      string
	folder   string
	bytesMax int64
	grace    time.Duration
	pulling  chan struct{} // tokens

	mu    sync.Mutex
	slots map[artifact.Digest]*slot
}

// slot serialises what changes one image, and counts its holders.
type slot struct {
	busy  chan struct{}
	users int
	holds int
}

// stored is image.json.
type stored struct {
	EntryPoint []string          `json:"entrypoint,omitempty"`
	Command    []string          `json:"command,omitempty"`
	WorkingDir string            `json:"workingDir,omitempty"`
	Env        []string          `json:"env,omitempty"`
	Layers     []artifact.Digest `json:"layers,omitempty"`
	Bytes      int64             `json:"bytes"`
}

// Open opens or makes the store in dir.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{
		dir: dir, folder: o.Folder, bytesMax: o.BytesMax, grace: o.SweepGrace,
		pulling: make(chan struct{}, pullParallelDefault), slots: map[artifact.Digest]*slot{},
	}
	if s.bytesMax <= 0 {
		s.bytesMax = BytesMax
	}
	if s.grace <= 0 {
		s.grace = sweepGraceDefault
	}
	if err := os.RemoveAll(s.at("staging")); err != nil {
		return nil, fmt.Errorf("images: open: %w", err)
	}
	for _, d := range []string{"staging", "layers", "roots"} {
		if err := os.MkdirAll(s.at(d), 0o700); err != nil {
			return nil, fmt.Errorf("images: open: %w", err)
		}
	}
	return s, nil
}

// Resolve finds out which image an ImageUri stands for now, and fetches none of its layers.
func (s *Store) Resolve(ctx context.Context, uri, architecture string) (Reference, error) {
	src, err := s.parse(uri)
	if err != nil {
		return Reference{}, err
	}
	image, err := src.open(ctx, architecture)
	if err != nil {
		return Reference{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return Reference{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	d, err := digestOf(digest)
	if err != nil {
		return Reference{}, err
	}
	return Reference{URI: uri, Resolved: src.pinned(uri, digest), Digest: d}, nil
}

// Pull fetches and unpacks an image that Resolve named, unless it is here. A refusal, an error or
// a crash leaves nothing of it behind but layers that were proven.
func (s *Store) Pull(ctx context.Context, ref Reference, architecture string) error {
	_, done, err := s.change(ctx, ref.Digest)
	if err != nil {
		return err
	}
	defer done()
	if _, err := s.read(ref.Digest); err == nil {
		now := time.Now()
		return os.Chtimes(s.root(ref.Digest), now, now)
	}
	select {
	case s.pulling <- struct{}{}:
		defer func() { <-s.pulling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	work, err := os.MkdirTemp(s.at("staging"), "image-")
	if err != nil {
		return fmt.Errorf("images: pull: %w", err)
	}
	defer os.RemoveAll(work)
	image, err := s.find(ctx, ref, architecture)
	if err != nil {
		return err
	}
	if err := s.unpack(ctx, image, architecture, work); err != nil {
		return kindOf(err)
	}
	if err := s.publish(work, ref.Digest); err != nil {
		return fmt.Errorf("images: pull: %w", err)
	}
	return nil
}

// find is Resolve again, by the digest: the tag may have moved on.
func (s *Store) find(ctx context.Context, ref Reference, architecture string) (v1.Image, error) {
	src, err := s.parse(ref.URI)
	if err != nil {
		return nil, err
	}
	pinned := v1.Hash{Algorithm: "sha256", Hex: string(ref.Digest)}
	if src.reference != nil {
		src.reference = src.repository.Digest(pinned.String())
	}
	image, err := src.open(ctx, architecture)
	if err != nil {
		return nil, err
	}
	if got, err := image.Digest(); err != nil || got != pinned {
		return nil, fmt.Errorf("%w: it has become another one (%s)", ErrNotFound, got)
	}
	if err := checkArchitecture(image, architecture); err != nil {
		return nil, err
	}
	if src.reference != nil {
		image = &sharedImage{Image: image, store: s, ctx: ctx}
	}
	return image, nil
}

func checkArchitecture(image v1.Image, architecture string) error {
	manifest, err := image.Manifest()
	if err != nil || manifest.Config.Size > runtimes.DocumentMax {
		return fmt.Errorf("%w: manifest (%v)", ErrManifest, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("%w: configuration: %w", ErrManifest, err)
	}
	if want := runtimes.Architecture(architecture); config.Architecture != want || config.OS != "linux" {
		return fmt.Errorf("%w: it is for %s/%s, the function for linux/%s", ErrArchitecture, clip(config.OS), clip(config.Architecture), want)
	}
	var total int64
	for _, l := range manifest.Layers {
		if total += max(l.Size, 0); total > BytesMax {
			return fmt.Errorf("%w: the layers have more than %d bytes", artifact.ErrTooLarge, int64(BytesMax))
		}
	}
	return nil
}

func (s *Store) unpack(ctx context.Context, image v1.Image, architecture, work string) error {
	rootfs := filepath.Join(work, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		return fmt.Errorf("images: unpack: %w", err)
	}
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return fmt.Errorf("images: unpack: %w", err)
	}
	defer root.Close()
	config, bytes, err := runtimes.Unpack(ctx, image, architecture, root, s.bytesMax)
	if err != nil {
		return err
	}
	of := stored{
		EntryPoint: config.Config.Entrypoint, Command: config.Config.Cmd,
		WorkingDir: config.Config.WorkingDir, Env: config.Config.Env, Bytes: bytes,
	}
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	for _, l := range manifest.Layers {
		if d, err := digestOf(l.Digest); err == nil {
			of.Layers = append(of.Layers, d)
		}
	}
	raw, err := json.Marshal(of)
	if err != nil {
		return fmt.Errorf("images: unpack: %w", err)
	}
	return os.WriteFile(filepath.Join(work, "image.json"), raw, 0o600)
}

// publish makes the tree durable before it can be seen.
func (s *Store) publish(work string, d artifact.Digest) error {
	dir, err := os.Open(work)
	if err != nil {
		return err
	}
	err = unix.Syncfs(int(dir.Fd()))
	dir.Close()
	if err != nil {
		return err
	}
	if err := os.Rename(work, s.root(d)); err != nil {
		return err
	}
	roots, err := os.Open(s.at("roots"))
	if err != nil {
		return err
	}
	defer roots.Close()
	return roots.Sync()
}

// Image is an image that was pulled. A caller that mounts it calls Hold first.
func (s *Store) Image(d artifact.Digest) (Image, error) {
	of, err := s.read(d)
	if err != nil {
		return Image{}, err
	}
	return Image{
		Root:       filepath.Join(s.root(d), "rootfs"),
		EntryPoint: of.EntryPoint, Command: of.Command, WorkingDir: of.WorkingDir, Env: of.Env,
	}, nil
}

func (s *Store) read(d artifact.Digest) (stored, error) {
	if _, err := artifact.ParseDigest(string(d)); err != nil {
		return stored{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	raw, err := os.ReadFile(filepath.Join(s.root(d), "image.json"))
	if errors.Is(err, os.ErrNotExist) {
		return stored{}, fmt.Errorf("%w: %s", ErrNotFound, d)
	}
	if err != nil {
		return stored{}, fmt.Errorf("images: %w", err)
	}
	var of stored
	if err := json.Unmarshal(raw, &of); err != nil {
		return stored{}, fmt.Errorf("%w: %s: %w", artifact.ErrDamaged, d, err)
	}
	return of, nil
}

func digestOf(h v1.Hash) (artifact.Digest, error) {
	if h.Algorithm != "sha256" {
		return "", fmt.Errorf("%w: the digest %s", ErrManifest, clip(h.String()))
	}
	return artifact.ParseDigest(h.Hex)
}

func (s *Store) at(name string) string              { return filepath.Join(s.dir, name) }
func (s *Store) root(d artifact.Digest) string      { return filepath.Join(s.dir, "roots", string(d)) }
func (s *Store) layerFile(d artifact.Digest) string { return filepath.Join(s.dir, "layers", string(d)) }

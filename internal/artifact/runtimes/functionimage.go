package runtimes

import (
	"context"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// FromRegistry finds the image of a reference such as NAME:TAG or NAME@DIGEST, and of several the
// one for an architecture. Nothing of its layers is read yet.
func FromRegistry(ctx context.Context, reference, architecture string, plainHTTP bool) (v1.Image, error) {
	return fromRegistry(ctx, reference, architecture, plainHTTP)
}

// FromLayout finds the image for an architecture in an OCI image layout directory; tag is "" for
// any.
func FromLayout(dir, tag, architecture string) (v1.Image, error) {
	return fromLayout(dir, tag, architecture)
}

// Unpack writes an image's file system into an empty directory, whatever the image holds never
// out of it, and makes the places that a sandbox mounts over. It returns the image's
// configuration and the bytes of its files, at most bytesMax.
func Unpack(ctx context.Context, image v1.Image, architecture string, root *os.Root, bytesMax int64) (*v1.ConfigFile, int64, error) {
	t := newTree(root)
	t.bytesMax = bytesMax
	config, err := t.unpackImage(ctx, image, architecture, func(string, int64, int64) {})
	if err != nil {
		return nil, 0, err
	}
	if err := t.furnish(); err != nil {
		return nil, 0, err
	}
	return config, t.bytes, nil
}

// Executable reports whether a path of a root filesystem, with links followed as inside, is a
// file that may be executed.
func Executable(root *os.Root, name string) bool {
	at, err := newTree(root).resolve(path.Clean("/" + name))
	if err != nil {
		return false
	}
	info, err := root.Lstat(at)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// DocumentMax bounds the documents of an image: manifests, indexes and configurations.
const DocumentMax = manifestMax

// Architecture is an OCI platform's name of an architecture of Lambda's.
func Architecture(lambda string) string { return platform(lambda).Architecture }

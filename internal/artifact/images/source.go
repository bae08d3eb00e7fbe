package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
)

// Forms of an ImageUri beside AWS's own.
const (
	layoutPrefix  = "oci:"            // oci:/path/of/layout or oci:/path/of/layout:tag
	archivePrefix = "docker-archive:" // docker-archive:/path/of/archive.tar
)

// Bounds of an archive's table of contents, which is read before anything else of it.
const (
	archiveEntriesMax = 4096
	archiveBytesMax   = 2 * BytesMax
)

// source is where an ImageUri leads.
type source struct {
	layout, tag string // a folder
	archive     string // a file
	repository  name.Repository
	reference   name.Reference
	plainHTTP   bool
}

// parse reads an ImageUri. A local path must lie, with all links followed, in the folder.
func (s *Store) parse(uri string) (source, error) {
	if len(uri) > uriBytesMax || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return source{}, fmt.Errorf("%w: %q", ErrReference, clip(uri))
	}
	if at, ok := strings.CutPrefix(uri, layoutPrefix); ok {
		tag := ""
		if i := strings.LastIndexByte(at, ':'); i > strings.LastIndexByte(at, '/') {
			at, tag = at[:i], at[i+1:]
		}
		dir, err := s.local(at)
		return source{layout: dir, tag: tag}, err
	}
	if at, ok := strings.CutPrefix(uri, archivePrefix); ok {
		file, err := s.local(at)
		return source{archive: file}, err
	}
	first, _, _ := strings.Cut(uri, "/")
	src := source{plainHTTP: loopback(first)}
	var options []name.Option
	if src.plainHTTP {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(uri, options...)
	if err != nil {
		return source{}, fmt.Errorf("%w: %q", ErrReference, clip(uri))
	}
	src.reference, src.repository = ref, ref.Context()
	return src, nil
}

// loopback reports whether a registry's host is this machine, by a name that no DNS decides. Only
// there is HTTP spoken without TLS.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// local holds a path to the folder that the operator opened.
func (s *Store) local(at string) (string, error) {
	missing := fmt.Errorf("%w: %q", ErrNotFound, clip(at))
	if s.folder == "" || !filepath.IsAbs(at) {
		return "", missing
	}
	folder, err := filepath.EvalSymlinks(s.folder)
	if err != nil {
		return "", missing
	}
	found, err := filepath.EvalSymlinks(at)
	if err != nil {
		return "", missing
	}
	if in, err := filepath.Rel(folder, found); err != nil || !filepath.IsLocal(in) {
		return "", missing // the same as for what does not exist: nobody probes for files
	}
	return found, nil
}

// open finds the image that a source has for an architecture.
func (src source) open(ctx context.Context, architecture string) (v1.Image, error) {
	var image v1.Image
	var err error
	switch {
	case src.layout != "":
		image, err = runtimes.FromLayout(src.layout, src.tag, architecture)
	case src.archive != "":
		image, err = fromArchive(src.archive)
	default:
		image, err = runtimes.FromRegistry(ctx, src.reference.String(), architecture, src.plainHTTP)
	}
	if err != nil {
		return nil, kindOf(err)
	}
	return image, nil
}

// fromArchive finds the one image of what `docker save` wrote.
func fromArchive(file string) (v1.Image, error) {
	if err := checkArchive(file); err != nil {
		return nil, err
	}
	image, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: archive: %v", ErrManifest, err)
	}
	return image, nil
}

// checkArchive bounds what the archive's reader would take into memory: everything in it that is
// JSON by its name, and by what docker calls its configurations.
func checkArchive(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("%w: not a file", ErrNotFound)
	}
	if info.Size() > archiveBytesMax {
		return fmt.Errorf("%w: the archive", artifact.ErrTooLarge)
	}
	sizes := map[string]int64{}
	archive := tar.NewReader(f)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: archive: %v", ErrManifest, err)
		}
		if sizes[h.Name] = h.Size; len(sizes) > archiveEntriesMax {
			return fmt.Errorf("%w: in the archive", artifact.ErrTooMany)
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir && h.Typeflag != tar.TypeSymlink {
			return fmt.Errorf("%w: %q in the archive", artifact.ErrUnsafe, clip(h.Name))
		}
	}
	if size, ok := sizes["manifest.json"]; !ok || size > runtimes.DocumentMax {
		return fmt.Errorf("%w: the archive's manifest.json", ErrManifest)
	}
	manifests, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
	if err != nil || len(manifests) != 1 {
		return fmt.Errorf("%w: the archive has %d images, not one (%v)", ErrManifest, len(manifests), err)
	}
	if size, ok := sizes[manifests[0].Config]; !ok || size > runtimes.DocumentMax {
		return fmt.Errorf("%w: the archive's configuration", ErrManifest)
	}
	return nil
}

// kindOf tells a registry's refusals apart.
func kindOf(err error) error {
	var refused *transport.Error
	switch {
	case errors.As(err, &refused) && (refused.StatusCode == http.StatusUnauthorized || refused.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.As(err, &refused):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, runtimes.ErrMismatch), errors.Is(err, artifact.ErrTooLarge):
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	var op net.Error
	if errors.As(err, &op) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// pinned is an ImageUri with a digest in the place of its tag.
func (src source) pinned(uri string, d v1.Hash) string {
	if src.reference != nil {
		return src.repository.Name() + "@" + d.String()
	}
	return uri + "@" + d.String()
}

func clip(s string) string { return s[:min(len(s), 120)] }

package runtimes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/lambdad/lambdad/internal/artifact"
)

// Bounds of an image's documents.
const (
	manifestMax   = 4 << 20 // the registry API's own bound on manifests
	indexDepthMax = 3
)

// tagAnnotation names an image of a layout. Source: OCI image specification, "Pre-Defined Annotation Keys".
const tagAnnotation = "org.opencontainers.image.ref.name"

// Progress is told what is being done; total is 0 where it is not known.
type Progress func(stage string, done, total int64)

// fromRegistry finds the image of a reference such as NAME:TAG or NAME@DIGEST.
func fromRegistry(ctx context.Context, reference, architecture string, plainHTTP bool) (v1.Image, error) {
	var options []name.Option
	if plainHTTP {
		options = append(options, name.Insecure)
	}
	ref, err := name.ParseReference(reference, options...)
	if err != nil {
		return nil, fmt.Errorf("runtimes: %q is not an image reference: %w", short(reference), err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	image, err := remote.Image(ref,
		remote.WithContext(ctx),
		remote.WithTransport(&documentBound{transport}),
		remote.WithPlatform(platform(architecture)),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
	)
	if err != nil {
		return nil, fmt.Errorf("runtimes: %s: %w", reference, err)
	}
	return image, nil
}

// documentBound bounds everything a registry sends but blobs, whose sizes the manifest tells and
// which come from wherever the registry redirects to.
type documentBound struct{ next http.RoundTripper }

func (d *documentBound) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	asked := r
	for asked.Response != nil && asked.Response.Request != nil {
		asked = asked.Response.Request // that was redirected
	}
	if !strings.Contains(asked.URL.Path, "/blobs/") {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, manifestMax), res.Body}
	}
	return res, nil
}

// fromLayout finds the image for an architecture in an OCI image layout directory.
func fromLayout(dir, tag, architecture string) (v1.Image, error) {
	if info, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return nil, fmt.Errorf("runtimes: %s is not an OCI image layout: %w", dir, err)
	} else if info.Size() > manifestMax {
		return nil, fmt.Errorf("%w: index.json", artifact.ErrTooLarge)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("runtimes: %s is not an OCI image layout: %w", dir, err)
	}
	image, err := fromIndex(index, tag, architecture, 0)
	if err != nil {
		return nil, err
	}
	if image == nil {
		return nil, fmt.Errorf("%w: %s has no image for %s", ErrMismatch, dir, architecture)
	}
	return image, nil
}

// fromIndex finds an image; a tag, unless it is "", is that of the topmost entry.
func fromIndex(index v1.ImageIndex, tag, architecture string, depth int) (v1.Image, error) {
	if depth > indexDepthMax {
		return nil, nil
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("runtimes: image index: %w", err)
	}
	want := platform(architecture)
	for _, d := range manifest.Manifests {
		if d.Size > manifestMax || d.Platform != nil && (d.Platform.OS != want.OS || d.Platform.Architecture != want.Architecture) {
			continue
		}
		if tag != "" && d.Annotations[tagAnnotation] != tag {
			continue
		}
		switch {
		case d.MediaType.IsImage():
			image, err := index.Image(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("runtimes: image %s: %w", d.Digest, err)
			}
			got, err := image.Digest()
			if err != nil || got != d.Digest {
				return nil, fmt.Errorf("%w: the manifest %s has the digest %s (%v)", ErrMismatch, d.Digest, got, err)
			}
			return image, nil
		case d.MediaType.IsIndex():
			below, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("runtimes: image index %s: %w", d.Digest, err)
			}
			if got, err := below.Digest(); err != nil || got != d.Digest {
				return nil, fmt.Errorf("%w: the index %s has the digest %s (%v)", ErrMismatch, d.Digest, got, err)
			}
			if image, err := fromIndex(below, "", architecture, depth+1); image != nil || err != nil {
				return image, err
			}
		}
	}
	return nil, nil
}

// unpackImage writes an image's file system and returns its configuration.
func (t *tree) unpackImage(ctx context.Context, image v1.Image, architecture string, progress Progress) (config *v1.ConfigFile, err error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("runtimes: image manifest: %w", err)
	}
	if len(manifest.Layers) > layersMax {
		return nil, fmt.Errorf("%w: %d layers", artifact.ErrTooMany, len(manifest.Layers))
	}
	if manifest.Config.Size > manifestMax {
		return nil, fmt.Errorf("%w: the image's configuration", artifact.ErrTooLarge)
	}
	raw, err := image.RawConfigFile()
	if err != nil {
		return nil, fmt.Errorf("runtimes: image configuration: %w", err)
	}
	if got, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || got != manifest.Config.Digest {
		return nil, fmt.Errorf("%w: its configuration %s has the digest %s (%v)", ErrMismatch, manifest.Config.Digest, got, err)
	}
	config, err = v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: its configuration: %v", ErrMismatch, err)
	}
	if want := platform(architecture); config.Architecture != want.Architecture || config.OS != want.OS {
		return nil, fmt.Errorf("%w: it is for %s/%s, not for %s", ErrMismatch, config.OS, config.Architecture, want)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return nil, fmt.Errorf("%w: %d layers, %d of them described", ErrMismatch, len(manifest.Layers), len(config.RootFS.DiffIDs))
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("runtimes: image layers: %w", err)
	}
	var total, done int64
	for _, d := range manifest.Layers {
		if !d.MediaType.IsLayer() || !d.MediaType.IsDistributable() || len(d.URLs) > 0 || d.Size < 0 || d.Size > t.bytesMax {
			return nil, fmt.Errorf("%w: a layer of the kind %s", ErrMismatch, short(string(d.MediaType)))
		}
		total += d.Size
	}
	for i, layer := range layers {
		progress("unpack layers", done, total)
		d := manifest.Layers[i]
		if err := t.applyLayer(ctx, layer, layerClaim{digest: d.Digest, diffID: config.RootFS.DiffIDs[i], size: d.Size}); err != nil {
			return nil, err
		}
		done += d.Size
	}
	progress("unpack layers", done, total)
	return config, nil
}

func platform(architecture string) v1.Platform {
	names := map[string]string{"x86_64": "amd64", "arm64": "arm64"}
	arch, ok := names[architecture]
	if !ok {
		arch = architecture
	}
	return v1.Platform{OS: "linux", Architecture: arch}
}

// Package images owns the container images of functions: where an ImageUri leads, the digest that
// it stands for, and the root filesystem that an image unpacks to, once for all functions that
// use it. It must never import control or worker: it does not know which function uses what.
package images

import (
	"errors"
	"time"

	"github.com/lambdad/lambdad/internal/artifact"
)

// BytesMax bounds what an image unpacks to. Source: Lambda quotas, "Container image code package
// size".
const BytesMax = 10 << 30

const (
	// pullParallel bounds the images that are fetched and unpacked at once.
	pullParallelDefault = 2
	// sweepGraceDefault is how long what was pulled is kept whatever the records say, because
	// the record may not be written yet.
	sweepGraceDefault = time.Hour
	uriBytesMax       = 2048 // ours: a path and a name
)

// Kinds of refusal; match with errors.Is. What an image holds is refused with artifact's kinds.
var (
	ErrNotFound  = errors.New("images: no such image")
	ErrDenied    = errors.New("images: the registry denies access")
	ErrManifest  = errors.New("images: a manifest, configuration or layer of an unsupported kind")
	ErrReference = errors.New("images: not an image reference")
	// ErrArchitecture means that the image is for another architecture than the function.
	ErrArchitecture = errors.New("images: the image is for another architecture")
)

// Reference is an image that an ImageUri was resolved to.
type Reference struct {
	URI      string // as it was given
	Resolved string // the same place, with the digest
	Digest   artifact.Digest
}

// Image is an unpacked image, and what it says of how to run it.
type Image struct {
	Root       string // the directory of its root filesystem
	EntryPoint []string
	Command    []string
	WorkingDir string
	Env        []string // NAME=value
}

// Options of a Store; a zero field takes the default.
type Options struct {
	// Folder is where layout folders and archives may be that an ImageUri names; "" allows none.
	Folder     string
	BytesMax   int64
	SweepGrace time.Duration
}

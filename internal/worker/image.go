package worker

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/images"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/sandbox"
)

// Images gives unpacked container images: *images.Store.
type Images interface {
	// Hold keeps an image from being swept until release is called.
	Hold(digest artifact.Digest) (release func())
	// Image is an image that was pulled.
	Image(digest artifact.Digest) (images.Image, error)
}

// imageEnvironment is AWS_EXECUTION_ENV of functions with an image. Source: what AWS's SDKs send from
// such functions as their execution environment.
const imageEnvironment = "AWS_Lambda_Image"

// runtimeOf is what a function runs on: its runtime, or its image, which brings all of its own.
func (w *Worker) runtimeOf(ctx context.Context, fn *record.Function) (Runtime, error) {
	if fn.Image == nil {
		rt, err := w.opts.Runtimes.Runtime(ctx, runtimeWant(fn))
		if err != nil {
			return Runtime{}, fmt.Errorf("%w: %s: %w", ErrRuntime, fn.Runtime, err)
		}
		return rt, nil
	}
	image, err := w.imageOf(fn)
	if err != nil {
		return Runtime{}, err
	}
	rt := Runtime{Key: image.Root, Rootfs: sandbox.Rootfs{Base: image.Root}, Env: image.Env, Dir: image.WorkingDir}
	if over := fn.Image.Serves().WorkingDir; over != "" {
		rt.Dir = over
	}
	if !filepath.IsAbs(rt.Dir) {
		rt.Dir = filepath.Join("/", rt.Dir) // none is the root: OCI image specification, config, WorkingDir
	}
	rt.Dir = filepath.Clean(rt.Dir)
	return rt, nil
}

func (w *Worker) imageOf(fn *record.Function) (images.Image, error) {
	if w.opts.Images == nil {
		return images.Image{}, fmt.Errorf("%w: there are no images here", ErrRuntime)
	}
	image, err := w.opts.Images.Image(artifact.Digest(fn.Image.Serves().Digest))
	if err != nil {
		return images.Image{}, fmt.Errorf("%w: image %s: %w", ErrRuntime, fn.Image.Serves().Resolved, err)
	}
	return image, nil
}

// gatherImage holds the image. What it has at the places of code and layers is mounted there
// again, because every sandbox mounts something there.
func (e *Environment) gatherImage() error {
	e.releaseCode = e.worker.opts.Images.Hold(artifact.Digest(e.fn.Image.Serves().Digest))
	image, err := e.worker.imageOf(e.fn)
	if err != nil {
		return err
	}
	e.codeDir = filepath.Join(image.Root, sandboxCodeDir)
	e.layerDirs = []string{filepath.Join(image.Root, sandboxLayerDir)}
	return nil
}

const (
	sandboxCodeDir  = "/var/task"
	sandboxLayerDir = "/opt"
)

// imageCommand is ENTRYPOINT and CMD of the image, each replaced by the function's own. It reports
// false if there is no such program, and then what was looked for.
func (e *Environment) imageCommand() (argv []string, ok bool) {
	image, err := e.worker.imageOf(e.fn)
	if err != nil {
		return nil, false
	}
	entry, command, own := image.EntryPoint, image.Command, e.fn.Image.Serves()
	if len(own.EntryPoint) > 0 {
		entry = own.EntryPoint
	}
	if len(own.Command) > 0 {
		command = own.Command
	}
	argv = slices.Concat(entry, command)
	if len(argv) == 0 {
		return nil, false
	}
	paths := ""
	for _, v := range e.variables() {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			paths = value
		}
	}
	found, ok := image.LookPath(argv[0], paths, e.runtime.Dir)
	if ok {
		argv[0] = found
	}
	return argv, ok
}

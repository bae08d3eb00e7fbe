package lambda

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/images"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

const (
	packageTypeImage = api.PackageTypeImage
	// pullParallel functions wait for images at once.
	pullParallel = 4
	// resolveTimeout bounds what a caller waits for a registry's answer.
	resolveTimeout = 20 * time.Second
	// pullTimeout bounds how long a function is Pending for an image.
	pullTimeout = 30 * time.Minute
)

// Reason codes of a function whose image cannot be had. Source: the model's StateReasonCode.
const (
	codeImageDeleted      = "ImageDeleted"
	codeImageAccessDenied = "ImageAccessDenied"
	codeInvalidImage      = "InvalidImage"
)

// Images keeps container images. *images.Store is one.
type Images interface {
	// Resolve finds the image that a URI stands for now.
	Resolve(ctx context.Context, uri, architecture string) (images.Reference, error)
	// Pull fetches it, unless it is here.
	Pull(ctx context.Context, ref images.Reference, architecture string) error
	// Sweep removes what keep does not want and nobody pulled a moment ago.
	Sweep(ctx context.Context, keep func(artifact.Digest) bool) (removed int, err error)
}

func isImage(in *api.CreateFunctionRequest) bool {
	return value(in.PackageType) == packageTypeImage || in.PackageType == nil && in.Code.ImageUri != nil
}

// checkPackageType holds the members of a request to the type of its package. The texts are AWS's.
func checkPackageType(in *api.CreateFunctionRequest) error {
	if !isImage(in) {
		switch {
		case in.Code.ImageUri != nil:
			return invalid("Please don't provide ImageUri when creating a function with packageType Zip.")
		case in.Runtime == nil || in.Handler == nil:
			return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
		}
		return nil
	}
	switch {
	case in.Code.ImageUri == nil || in.Code.ZipFile != nil || in.Code.S3Bucket != nil || in.Code.S3Key != nil:
		return invalid("Please provide ImageUri when creating a function with packageType Image.")
	case value(in.Code.SourceKMSKeyArn) != "":
		return refused("SourceKMSKeyArn")
	}
	return nil
}

// otherPackageType refuses code of the other type (recorded: test_lambda_image_crud,
// test_lambda_zip_file_to_image).
func otherPackageType(f *record.Function) error {
	if f.Image != nil {
		return invalid("Please provide ImageUri when updating a function with packageType Image.")
	}
	return invalid("Please don't provide ImageUri when updating a function with packageType Zip.")
}

// applyImage changes an image's configuration: what is given takes the place of all of it
// (recorded: test_lambda_image_and_image_config_crud).
func (s *settings) applyImage(f *record.Function) error {
	if f.Image == nil {
		if c := s.ImageConfig; c != nil && (len(c.Command) > 0 || len(c.EntryPoint) > 0 || value(c.WorkingDirectory) != "") {
			return invalid("Please don't provide ImageConfig when the intended function PackageType is Zip.")
		}
		return nil
	}
	if s.Runtime != nil || s.Handler != nil || len(s.Layers) > 0 {
		return invalid("Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.")
	}
	if s.ImageConfig != nil {
		f.Image.EntryPoint = slices.Clone(s.ImageConfig.EntryPoint)
		f.Image.Command = slices.Clone(s.ImageConfig.Command)
		f.Image.WorkingDir = value(s.ImageConfig.WorkingDirectory)
	}
	return nil
}

// createImage gives a new function the image that a request names, as it is now.
func (c *Control) createImage(ctx context.Context, f *record.Function, in *api.CreateFunctionRequest) error {
	ref, err := c.resolveImage(ctx, value(in.Code.ImageUri), f.Architecture)
	if err != nil {
		return err
	}
	setImage(f, ref)
	return nil
}

// takeImage resolves the image of an update. The one before serves until the new one is here.
func (c *Control) takeImage(ctx context.Context, f *record.Function, in *api.UpdateFunctionCodeRequest) (func(*record.Function), error) {
	if in.ZipFile != nil || in.S3Bucket != nil || in.S3Key != nil {
		return nil, otherPackageType(f)
	}
	if value(in.SourceKMSKeyArn) != "" {
		return nil, refused("SourceKMSKeyArn")
	}
	architecture := f.Architecture
	if len(in.Architectures) > 0 {
		architecture = in.Architectures[0]
	}
	ref, err := c.resolveImage(ctx, *in.ImageUri, architecture)
	if err != nil {
		return nil, err
	}
	return func(f *record.Function) {
		if f.Image == nil {
			f.Image = &record.Image{}
		}
		before := f.Image.Clone()
		if before.Digest != string(ref.Digest) && f.State == record.StateActive {
			f.Image.Before = before
		}
		setImage(f, ref)
	}, nil
}

func setImage(f *record.Function, ref images.Reference) {
	f.Image.URI, f.Image.Resolved, f.Image.Digest = ref.URI, ref.Resolved, string(ref.Digest)
	f.CodeSHA256 = f.Image.Digest // in hex (recorded)
}

func (c *Control) resolveImage(ctx context.Context, uri, architecture string) (images.Reference, error) {
	if c.images == nil {
		return images.Reference{}, noImage(uri)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ref, err := c.images.Resolve(ctx, uri, architecture)
	if err == nil {
		return ref, nil
	}
	c.log.Info("an image is refused", "image", uri, "error", err)
	switch {
	case errors.Is(err, images.ErrReference):
		return ref, invalid("Source image %s is not valid. Provide a valid source image.", uri)
	case errors.Is(err, images.ErrNotFound):
		return ref, noImage(uri)
	case errors.Is(err, images.ErrDenied):
		return ref, wire.NewFault(403, "AccessDeniedException", "Lambda does not have permission to access the ECR image. Check the ECR permissions.")
	case invalidImage(err):
		return ref, invalid("The image manifest, config or layer media type for the source image %s is not supported.", uri)
	}
	return ref, fault(err)
}

func noImage(uri string) error {
	return invalid("Source image %s does not exist. Provide a valid source image.", uri)
}

func invalidImage(err error) bool {
	for _, kind := range []error{
		images.ErrManifest, images.ErrArchitecture, runtimes.ErrMismatch,
		artifact.ErrTooLarge, artifact.ErrTooMany, artifact.ErrUnsafe, artifact.ErrDamaged,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// settleImage fetches a function's image, and says why that cannot be. An update that fails leaves
// the image before in its place.
func (c *Control) settleImage(ctx context.Context, f *record.Function) (reason, code string) {
	if f.Architecture != runtimes.HostArchitecture() {
		return c.unsettleImage(f, fmt.Sprintf("This machine is %s and cannot run functions for %s.", runtimes.HostArchitecture(), f.Architecture), codeInvalidConfiguration)
	}
	if c.images == nil {
		return c.unsettleImage(f, "There are no images here.", codeImageDeleted)
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	err := c.images.Pull(ctx, images.Reference{URI: f.Image.URI, Resolved: f.Image.Resolved, Digest: artifact.Digest(f.Image.Digest)}, f.Architecture)
	switch {
	case err == nil:
		if f.Image.Before != nil {
			f.Image.Before = nil
			f.Generation++ // environments made meanwhile are of the image before
		}
		return "", ""
	case errors.Is(err, artifact.ErrTooLarge):
		return c.unsettleImage(f, fmt.Sprintf("The image is larger than %d bytes: %s", int64(images.BytesMax), err), codeInvalidImage)
	case errors.Is(err, images.ErrDenied):
		return c.unsettleImage(f, "Lambda does not have permission to access the image "+f.Image.Resolved+".", codeImageAccessDenied)
	case errors.Is(err, images.ErrNotFound):
		return c.unsettleImage(f, "The image "+f.Image.Resolved+" could not be fetched: "+err.Error(), codeImageDeleted)
	case invalidImage(err):
		return c.unsettleImage(f, "The image "+f.Image.Resolved+" is not valid: "+err.Error(), codeInvalidImage)
	}
	return c.unsettleImage(f, "The image "+f.Image.Resolved+" could not be fetched: "+err.Error(), "InternalError")
}

func (c *Control) unsettleImage(f *record.Function, reason, code string) (string, string) {
	if f.Image.Before != nil {
		f.Image = f.Image.Before
		f.CodeSHA256 = f.Image.Digest
		f.Generation++
	}
	return reason, code
}

// showImage is what a function with an image shows besides. A function without a configuration of
// its own shows none (recorded).
func showImage(out *api.FunctionConfiguration, i *record.Image) {
	out.PackageType = wire.Ptr(packageTypeImage)
	if len(i.EntryPoint) == 0 && len(i.Command) == 0 && i.WorkingDir == "" {
		return
	}
	out.ImageConfigResponse = &api.ImageConfigResponse{ImageConfig: &api.ImageConfig{
		EntryPoint: i.EntryPoint, Command: i.Command, WorkingDirectory: unlessEmpty(i.WorkingDir),
	}}
}

// imageLocation is where the code of a function with an image comes from; RepositoryType is AWS's
// only one.
func imageLocation(i *record.Image) *api.FunctionCodeLocation {
	return &api.FunctionCodeLocation{
		RepositoryType: wire.Ptr("ECR"), ImageUri: wire.Ptr(i.URI), ResolvedImageUri: wire.Ptr(i.Resolved),
	}
}

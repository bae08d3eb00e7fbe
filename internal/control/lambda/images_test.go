package lambda

import (
	"errors"
	"fmt"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/images"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func imageHouse(t *testing.T) (*house, *imagesFake) {
	fake := &imagesFake{resolve: images.ErrNotFound, digests: map[string]artifact.Digest{firstImage: firstDigest, secondImage: secondDigest}}
	return newHouse(t, func(o *Options) { o.Images = fake }), fake
}

func imageRequest(t *testing.T) *api.CreateFunctionRequest {
	in := createRequest(t, "f")
	in.Runtime, in.Handler, in.Architectures = nil, nil, []string{runtimes.HostArchitecture()}
	in.PackageType, in.Code = wire.Ptr("Image"), &api.FunctionCode{ImageUri: wire.Ptr(firstImage)}
	return in
}

func TestImageRefusals(t *testing.T) {
	h, fake := imageHouse(t)
	const invalid = "InvalidParameterValueException"
	for _, tt := range []struct {
		name       string
		change     func(*api.CreateFunctionRequest)
		resolve    error
		code, text string
	}{
		{"no image", func(in *api.CreateFunctionRequest) { in.Code = &api.FunctionCode{} }, nil, invalid, "Please provide ImageUri when creating a function with packageType Image."},
		{"a zip, too", func(in *api.CreateFunctionRequest) { in.Code.ZipFile = []byte("x") }, nil, invalid, "Please provide ImageUri"},
		{"as Zip", func(in *api.CreateFunctionRequest) { in.PackageType = wire.Ptr("Zip") }, nil, invalid, "Please don't provide ImageUri when creating a function with packageType Zip."},
		{"runtime", func(in *api.CreateFunctionRequest) { in.Runtime = wire.Ptr("python3.12") }, nil, invalid, "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."},
		{"handler", func(in *api.CreateFunctionRequest) { in.Handler = wire.Ptr("a.b") }, nil, invalid, "Please don't provide Handler"},
		{"layers", func(in *api.CreateFunctionRequest) {
			in.Layers = []string{"arn:aws:lambda:us-east-1:111111111111:layer:l:1"}
		}, nil, invalid, "or Layer when"},
		{"SnapStart", func(in *api.CreateFunctionRequest) {
			in.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr(record.SnapStartVersions)}
		}, nil, invalid, "SnapStart is not supported"},
		{"missing", nil, images.ErrNotFound, invalid, "Source image nowhere does not exist. Provide a valid source image."},
		{"no reference", nil, images.ErrReference, invalid, "Source image nowhere is not valid. Provide a valid source image."},
		{"kind", nil, images.ErrManifest, invalid, "The image manifest, config or layer media type for the source image nowhere is not supported."},
		{"denied", nil, images.ErrDenied, "AccessDeniedException", "Lambda does not have permission to access the ECR image. Check the ECR permissions."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := imageRequest(t)
			if tt.resolve != nil {
				fake.resolve, in.Code.ImageUri = tt.resolve, wire.Ptr("nowhere")
			} else {
				tt.change(in)
			}
			_, err := h.h.CreateFunction(t.Context(), call(), in)
			wantFault(t, err, tt.code, tt.text)
		})
	}
}

func TestImageThatCannotBeFetched(t *testing.T) {
	for err, code := range map[error]string{
		images.ErrNotFound: codeImageDeleted, images.ErrDenied: codeImageAccessDenied, artifact.ErrTooLarge: codeInvalidImage,
		artifact.ErrUnsafe: codeInvalidImage, images.ErrArchitecture: codeInvalidImage, errors.New("disk"): "InternalError",
	} {
		t.Run(fmt.Sprint(err), func(t *testing.T) {
			h, fake := imageHouse(t)
			get := func() *api.FunctionConfiguration {
				t.Helper()
				out, err := h.h.GetFunctionConfiguration(t.Context(), call(), &api.GetFunctionConfigurationRequest{FunctionName: wire.Ptr("f")})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			if _, err := h.h.CreateFunction(t.Context(), call(), imageRequest(t)); err != nil {
				t.Fatal(err)
			}
			h.settleAll()
			fake.pull = err
			if _, err := h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: wire.Ptr("f"), ImageUri: wire.Ptr(secondImage)}); err != nil {
				t.Fatal(err)
			}
			stored, getErr := h.table.Get(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}, record.Latest)
			if getErr != nil || stored.Image.Serves().Digest != firstDigest {
				t.Errorf("meanwhile %+v serves, %v", stored.Image, getErr)
			}
			h.settleAll()
			if f := get(); value(f.State) != "Active" || value(f.LastUpdateStatus) != "Failed" || value(f.LastUpdateStatusReasonCode) != code || value(f.CodeSha256) != firstDigest {
				t.Errorf("after a failed update it is %s, %s, %s with %s", value(f.State), value(f.LastUpdateStatus), value(f.LastUpdateStatusReasonCode), value(f.CodeSha256))
			}
			if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")}); err != nil {
				t.Fatal(err)
			}
			if _, err := h.h.CreateFunction(t.Context(), call(), imageRequest(t)); err != nil {
				t.Fatal(err)
			}
			h.settleAll()
			if f := get(); value(f.State) != "Failed" || value(f.StateReasonCode) != code || value(f.StateReason) == "" {
				t.Errorf("a new one is %s, %s: %s", value(f.State), value(f.StateReasonCode), value(f.StateReason))
			}
		})
	}
}

func TestSweepKeepsImagesInUse(t *testing.T) {
	h, fake := imageHouse(t)
	if _, err := h.h.CreateFunction(t.Context(), call(), imageRequest(t)); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	if _, err := h.h.UpdateFunctionCode(t.Context(), call(), &api.UpdateFunctionCodeRequest{FunctionName: wire.Ptr("f"), ImageUri: wire.Ptr(secondImage)}); err != nil {
		t.Fatal(err)
	}
	kept := func(first, second bool) {
		t.Helper()
		if _, err := h.sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if fake.keep(firstDigest) != first || fake.keep(secondDigest) != second || fake.keep("other") {
			t.Errorf("kept: first %v, second %v, another %v", fake.keep(firstDigest), fake.keep(secondDigest), fake.keep("other"))
		}
	}
	kept(true, true) // the first serves while the second is fetched
	h.settleAll()
	kept(false, true)
}

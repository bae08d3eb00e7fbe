package lambda

import (
	"context"
	"maps"
	"testing"

	"github.com/lambdad/lambdad/internal/artifact"
	"github.com/lambdad/lambdad/internal/artifact/images"
)

// imagesFake has an image at every address but the missing ones.
type imagesFake struct {
	digests map[string]artifact.Digest
	resolve error
	pull    error
	keep    func(artifact.Digest) bool // of the last sweep
}

func (f *imagesFake) Resolve(_ context.Context, uri, _ string) (images.Reference, error) {
	d, ok := f.digests[uri]
	if !ok {
		return images.Reference{}, f.resolve
	}
	return images.Reference{URI: uri, Resolved: uri[:len(uri)-len(":latest")] + "@sha256:" + string(d), Digest: d}, nil
}

func (f *imagesFake) Pull(context.Context, images.Reference, string) error { return f.pull }

func (f *imagesFake) Sweep(_ context.Context, keep func(artifact.Digest) bool) (int, error) {
	f.keep = keep
	return 0, nil
}

func TestRecordedImages(t *testing.T) {
	playRecorded(t, "Lambda, container images", "recorded-images.json", nil, imageScenarios)
}

const (
	firstImage, secondImage = "registry.example/one:latest", "registry.example/two:latest"
	firstDigest             = "1111111111111111111111111111111111111111111111111111111111111111"
	secondDigest            = "2222222222222222222222222222222222222222222222222222222222222222"
)

func (r *recording) imaged(config object) object {
	r.house.images = &imagesFake{resolve: images.ErrNotFound, digests: map[string]artifact.Digest{firstImage: firstDigest, secondImage: secondDigest}}
	in := r.params(object{"PackageType": "Image", "Code": object{"ImageUri": firstImage}, "Environment": object{"Variables": object{"CUSTOM_ENV": "test"}}})
	maps.Copy(in, config)
	for _, member := range []string{"Runtime", "Handler", "ZipFile"} {
		delete(in, member)
	}
	return r.ask("CreateFunction", in)
}

func (r *recording) both(code, config string) {
	r.match(code, r.get("GetFunction", nil))
	r.match(config, r.get("GetFunctionConfiguration", nil))
}

var imageScenarios = map[string]scenario{
	"TestLambdaImages::test_lambda_image_crud": func(r *recording, _ string) {
		r.match("create-image-response", r.imaged(nil))
		r.settleAll()
		r.both("get-function-code-response", "get-function-config-response")
		r.match("image-to-zipfile-error", r.get("UpdateFunctionCode", object{"ZipFile": zipOf(r.T, map[string]string{"handler.py": "x = 2"})}))
		r.match("update-function-code-response", r.get("UpdateFunctionCode", object{"ImageUri": secondImage}))
		r.settleAll()
		r.both("get-function-code-response-after-update", "get-function-config-response-after-update")
	},
	"TestLambdaImages::test_lambda_image_and_image_config_crud": func(r *recording, _ string) {
		r.match("create-image-with-config-response", r.imaged(object{"ImageConfig": object{
			"EntryPoint": []string{"sh"}, "Command": []string{"-c", "echo test"}, "WorkingDirectory": "/app1",
		}}))
		r.settleAll()
		r.both("get-function-code-with-config-response", "get-function-config-with-config-response")
		r.match("update-function-code-response", r.get("UpdateFunctionConfiguration", object{"ImageConfig": object{
			"Command": []string{"-c", "echo test1"}, "WorkingDirectory": "/app1",
		}}))
		r.settleAll()
		r.both("get-function-code-response-after-update", "get-function-config-response-after-update")
		r.match("update-function-code-delete-imageconfig-response", r.get("UpdateFunctionConfiguration", object{"ImageConfig": object{}}))
		r.settleAll()
		r.both("get-function-code-response-after-delete-imageconfig", "get-function-config-response-after-delete-imageconfig")
	},
}

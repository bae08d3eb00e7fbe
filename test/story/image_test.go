package story

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/lambdad/lambdad/test/house"
)

func hostArchitectures() []types.Architecture {
	if runtime.GOARCH == "arm64" {
		return []types.Architecture{types.ArchitectureArm64}
	}
	return []types.Architecture{types.ArchitectureX8664}
}

// imageFunction makes a function and waits until its image is there.
func imageFunction(t testing.TB, c *house.Client, function, uri string) {
	t.Helper()
	out, err := c.Lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &function, Role: &c.Role, PackageType: types.PackageTypeImage, Code: &types.FunctionCode{ImageUri: &uri},
		Architectures: hostArchitectures(), Timeout: aws.Int32(20),
		Environment: &types.Environment{Variables: map[string]string{"BOTH": "function"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.State != types.StatePending || out.PackageType != types.PackageTypeImage {
		t.Errorf("made as %s, %s", out.State, out.PackageType)
	}
	c.WaitActive(function)
}

func wantSeen(t testing.TB, got map[string]any, want map[string]any) {
	t.Helper()
	for k, v := range want {
		if g := got[k]; g != v {
			t.Errorf("%s is %v, want %v", k, g, v)
		}
	}
}

func TestContainerImages(t *testing.T) {
	folder := t.TempDir()
	h := house.Start(t, "--image-folder", folder)
	c := h.Client(t)
	one, two := house.FunctionImages(t)
	host := house.Registry(t)
	uri := host + "/functions:latest"
	house.PushImage(t, uri, one)
	imageFunction(t, c, "imaged", uri)

	answer := c.Invoke("imaged", `{"n":1}`)
	if answer.FunctionError != "" {
		t.Fatalf("%s: %s", answer.Payload, answer.Log)
	}
	wantSeen(t, answer.JSON(t), map[string]any{
		"dir": "/var/task", "handler": "app.handler", "fromImage": "yes", "both": "function", "execution": "AWS_Lambda_Image", "libraries": "",
		"task": "in task", "opt": "in opt", "version": "1", "gone": "",
		"writesRoot": false, "writesTask": false, "writesTmp": true,
	})
	digest, _ := one.Digest()
	got, err := c.Lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("imaged")})
	if err != nil {
		t.Fatal(err)
	}
	if want := host + "/functions@" + digest.String(); *got.Code.ResolvedImageUri != want || *got.Code.ImageUri != uri || *got.Configuration.CodeSha256 != digest.Hex {
		t.Errorf("its code is %s, %s, %s; want %s", *got.Code.ImageUri, *got.Code.ResolvedImageUri, *got.Configuration.CodeSha256, want)
	}

	t.Run("a tag that moves on changes nothing before an update", func(t *testing.T) {
		c := c.With(t)
		house.PushImage(t, uri, two)
		h.Kill()
		h.Run()
		c = c.Again(h)
		wantSeen(t, c.Invoke("imaged", `{}`).JSON(t), map[string]any{"version": "1"})
		if _, err := c.Lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("imaged"), ImageUri: &uri, Publish: true}); err != nil {
			t.Fatal(err)
		}
		c.WaitUpdated("imaged")
		wantSeen(t, c.Invoke("imaged", `{}`).JSON(t), map[string]any{"version": "2"})
	})
	c = c.Again(h)

	t.Run("configuration", func(t *testing.T) {
		c := c.With(t)
		update := func(config *types.ImageConfig) {
			t.Helper()
			if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("imaged"), ImageConfig: config}); err != nil {
				t.Fatal(err)
			}
			c.WaitUpdated("imaged")
		}
		update(&types.ImageConfig{EntryPoint: []string{"bootstrap"}, Command: []string{"a", "b"}, WorkingDirectory: aws.String("/work")})
		seen := c.Invoke("imaged", `{}`).JSON(t)
		wantSeen(t, seen, map[string]any{"dir": "/work", "handler": ""})
		if args, _ := seen["args"].([]any); len(args) != 2 || args[0] != "a" {
			t.Errorf("the program got %v", seen["args"])
		}
		update(&types.ImageConfig{EntryPoint: []string{"/nothing"}})
		if answer := c.Invoke("imaged", `{}`); answer.FunctionError == "" || !strings.Contains(answer.Payload, "Runtime.InvalidEntrypoint") || !strings.Contains(answer.Payload, "[/nothing]") {
			t.Errorf("without a program: %s", answer.Payload)
		}
		update(&types.ImageConfig{WorkingDirectory: aws.String("/nowhere")})
		if answer := c.Invoke("imaged", `{}`); answer.FunctionError == "" || !strings.Contains(answer.Payload, "Runtime.InvalidEntrypoint") {
			t.Errorf("without a directory: %s", answer.Payload)
		}
		update(&types.ImageConfig{})
		wantSeen(t, c.Invoke("imaged", `{}`).JSON(t), map[string]any{"handler": "app.handler"})
	})

	t.Run("layout and archive", func(t *testing.T) {
		c := c.With(t)
		p, err := layout.Write(filepath.Join(folder, "layout"), empty.Index)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.AppendImage(two); err != nil {
			t.Fatal(err)
		}
		tag, _ := name.NewTag("test:latest")
		if err := tarball.WriteToFile(filepath.Join(folder, "image.tar"), tag, one); err != nil {
			t.Fatal(err)
		}
		imageFunction(t, c, "from-layout", "oci:"+folder+"/layout")
		wantSeen(t, c.Invoke("from-layout", `{}`).JSON(t), map[string]any{"version": "2"})
		imageFunction(t, c, "from-archive", "docker-archive:"+folder+"/image.tar")
		wantSeen(t, c.Invoke("from-archive", `{}`).JSON(t), map[string]any{"version": "1"})
	})

	t.Run("refused", func(t *testing.T) {
		for uri, want := range map[string]string{
			host + "/functions:missing":       "does not exist. Provide a valid source image.",
			"oci:/etc":                        "does not exist. Provide a valid source image.",
			"docker-archive:" + h.Data + "/x": "does not exist. Provide a valid source image.",
			"UPPER":                           "is not valid. Provide a valid source image.",
		} {
			_, err := c.Lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
				FunctionName: aws.String("refused"), Role: &c.Role, PackageType: types.PackageTypeImage, Code: &types.FunctionCode{ImageUri: aws.String(uri)},
			})
			var fault smithy.APIError
			if !errors.As(err, &fault) || fault.ErrorCode() != "InvalidParameterValueException" || !strings.Contains(fault.ErrorMessage(), want) {
				t.Errorf("%s: %v", uri, err)
			}
		}
	})
}

// TestContainerImagesInGvisor: a driver mounts what it is told, so images run in each.
func TestContainerImagesInGvisor(t *testing.T) {
	h := house.Start(t, "--isolation", "gvisor", "--runsc", needRunsc(t))
	c := h.Client(t)
	one, _ := house.FunctionImages(t)
	uri := house.Registry(t) + "/functions:latest"
	house.PushImage(t, uri, one)
	imageFunction(t, c, "imaged", uri)
	answer := c.Invoke("imaged", `{}`)
	if answer.FunctionError != "" {
		t.Fatalf("%s: %s", answer.Payload, answer.Log)
	}
	wantSeen(t, answer.JSON(t), map[string]any{
		"version": "1", "task": "in task", "opt": "in opt", "gone": "", "handler": "app.handler", "dir": "/var/task",
		"writesRoot": false, "writesTask": false, "writesTmp": true,
	})
}

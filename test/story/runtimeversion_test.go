package story

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/lambdad/lambdad/test/house"
)

// TestRuntimeVersions: a function that is held to a version of its runtime keeps it when the runtime is added again;
// FunctionUpdate takes the newer with the next update, Auto with the next environment.
func TestRuntimeVersions(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	one, two := house.FunctionImages(t)
	add := func(what string, image v1.Image) {
		t.Helper()
		p, err := layout.Write(filepath.Join(t.TempDir(), what), empty.Index)
		if err == nil {
			err = p.AppendImage(image)
		}
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(house.Binary(t), "runtime", "--data", h.Data, "add", "provided.al2023", "--layout", string(p)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	code := map[string]string{"bootstrap*": house.ImageClient(t)}
	seen := func(name, want string) {
		t.Helper()
		if got := c.Invoke(name, "{}").JSON(t)["version"]; got != want {
			t.Errorf("%s runs on %v, want %s", name, got, want)
		}
	}
	add("one", one)
	for _, name := range []string{"auto", "held", "updated"} {
		c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(name), Runtime: types.RuntimeProvidedal2023}, code)
		seen(name, "1")
	}
	configuration := func(name string) *lambda.GetFunctionConfigurationOutput {
		t.Helper()
		out, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	manage := func(name string, mode types.UpdateRuntimeOn, arn *string) {
		t.Helper()
		if _, err := c.Lambda.PutRuntimeManagementConfig(t.Context(), &lambda.PutRuntimeManagementConfigInput{FunctionName: &name, UpdateRuntimeOn: mode, RuntimeVersionArn: arn}); err != nil {
			t.Fatal(err)
		}
	}
	first := configuration("auto").RuntimeVersionConfig.RuntimeVersionArn
	manage("held", types.UpdateRuntimeOnManual, first)
	manage("updated", types.UpdateRuntimeOnFunctionUpdate, nil)

	add("two", two)
	h.Stop() // so that no environment of before is warm
	h.Run()
	c = c.Again(h)
	seen("auto", "2")
	seen("held", "1")
	seen("updated", "1")
	update := func(name string) {
		t.Helper()
		if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, MemorySize: aws.Int32(256)}); err != nil {
			t.Fatal(err)
		}
		c.WaitUpdated(name)
	}
	update("held")
	seen("held", "1")
	update("updated")
	seen("updated", "2")
	// Back and forth: the environments that are warm are of the other version.
	manage("updated", types.UpdateRuntimeOnManual, first)
	seen("updated", "1")
	manage("updated", types.UpdateRuntimeOnAuto, nil)
	seen("updated", "2")
	if arn := configuration("held").RuntimeVersionConfig.RuntimeVersionArn; aws.ToString(arn) != aws.ToString(first) {
		t.Error(aws.ToString(arn))
	}

	if out, err := exec.Command(house.Binary(t), "runtime", "--data", h.Data, "remove", "provided.al2023", "--earlier").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h.Stop()
	h.Run()
	c = c.Again(h)
	if _, err := c.TryInvoke("held", "{}"); err == nil {
		t.Error("a function ran whose version is gone")
	}
	seen("auto", "2")
}

package compat

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/test/house"
)

func hostArchitecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// TestTerraformImages applies a function with a container image, sees no difference, gives it another image
// and configuration in place, sees no difference again, and destroys it.
func TestTerraformImages(t *testing.T) {
	terraform := needTerraform(t)
	mirror := needMirror(t)
	h := house.Start(t)
	one, two := house.FunctionImages(t)
	host := house.Registry(t)
	house.PushImage(t, host+"/tf:1", one)
	house.PushImage(t, host+"/tf:2", two)
	dir := t.TempDir()
	rc := writeFile(t, dir, "terraformrc", fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	t.Setenv("TF_CLI_CONFIG_FILE", rc)
	t.Setenv("TF_IN_AUTOMATION", "1")
	t.Setenv("CHECKPOINT_DISABLE", "1")
	writeFile(t, dir, "main.tf", mustRead(t, filepath.Join("testdata", "terraform-images", "main.tf")))

	run(t, h, dir, terraform, "init", "-input=false", "-no-color")
	apply := []string{"apply", "-auto-approve", "-input=false", "-no-color"}
	plan := []string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}
	vars := func(image string, more ...string) []string {
		return append([]string{"-var", "image=" + image, "-var", "architecture=" + hostArchitecture()}, more...)
	}
	answered := func(want ...string) {
		t.Helper()
		out := fmt.Sprint(decodeAny(t, run(t, h, dir, terraform, "output", "-json", "answer")))
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("the answer has no %s: %s", w, out)
			}
		}
	}
	first := vars(host + "/tf:1")
	run(t, h, dir, terraform, append(apply, first...)...)
	run(t, h, dir, terraform, append(plan, first...)...)
	answered(`"version":"1"`, `"dir":"/work"`)
	second := vars(host+"/tf:2", "-var", "directory=/var/task", "-var", "handler=other.handler")
	if out := run(t, h, dir, terraform, append(apply, second...)...); !strings.Contains(out, "0 destroyed") {
		t.Errorf("the change was not made in place:\n%s", out)
	}
	run(t, h, dir, terraform, append(plan, second...)...)
	answered(`"version":"2"`, `"dir":"/var/task"`, `"handler":"other.handler"`)
	run(t, h, dir, terraform, append([]string{"destroy", "-auto-approve", "-input=false", "-no-color"}, second...)...)
}

// TestBoto3Images runs testdata/boto3/images.py: a function with a container image.
func TestBoto3Images(t *testing.T) {
	python := needBoto3(t, 1, 28) // reads AWS_ENDPOINT_URL
	h := house.Start(t)
	one, two := house.FunctionImages(t)
	host := house.Registry(t)
	house.PushImage(t, host+"/boto:1", one)
	house.PushImage(t, host+"/boto:2", two)
	script, err := filepath.Abs("testdata/boto3/images.py")
	if err != nil {
		t.Fatal(err)
	}
	run(t, h, t.TempDir(), python, script, host+"/boto:1", host+"/boto:2", h.Client(t).Role, hostArchitecture())
}

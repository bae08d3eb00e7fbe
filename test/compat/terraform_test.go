package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lambdad/lambdad/test/house"
)

// TestTerraform applies a stack with the real hashicorp/aws provider, sees no difference, changes it in
// place, sees no difference again, and destroys it. Terraform comes from no package
// registry: LAMBDAD_TEST_TERRAFORM names the program (else PATH), LAMBDAD_TEST_TERRAFORM_MIRROR a
// folder that mirrors the provider.
func TestTerraform(t *testing.T) {
	terraform := needTerraform(t)
	mirror := needMirror(t)
	h := house.Start(t)
	dir := t.TempDir()
	rc := writeFile(t, dir, "terraformrc", fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror))
	t.Setenv("TF_CLI_CONFIG_FILE", rc)
	t.Setenv("TF_IN_AUTOMATION", "1")
	t.Setenv("CHECKPOINT_DISABLE", "1")
	writeFile(t, dir, "main.tf", mustRead(t, filepath.Join("testdata", "terraform", "main.tf")))
	writeFile(t, dir, "code.zip", house.Zip(t, map[string]string{"app.py": pythonHandler}))

	run(t, h, dir, terraform, "init", "-input=false", "-no-color")
	apply := []string{"apply", "-auto-approve", "-input=false", "-no-color"}
	plan := []string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}
	run(t, h, dir, terraform, apply...)
	run(t, h, dir, terraform, plan...)
	if out := decodeAny(t, run(t, h, dir, terraform, "output", "-json", "answer")); !strings.Contains(fmt.Sprint(out), `"greeting": "hello"`) && !strings.Contains(fmt.Sprint(out), `"greeting":"hello"`) {
		t.Errorf("the invoke's answer: %v", out)
	}

	changed := []string{"-var", "greeting=moin", "-var", "memory=256", "-var", "description=changed"}
	out := run(t, h, dir, terraform, append(apply, changed...)...)
	if !strings.Contains(out, "0 to destroy") && !strings.Contains(out, "0 destroyed") {
		t.Errorf("the change was not made in place:\n%s", out)
	}
	run(t, h, dir, terraform, append(plan, changed...)...)
	run(t, h, dir, terraform, "destroy", "-auto-approve", "-input=false", "-no-color")
}

func needMirror(t *testing.T) string {
	t.Helper()
	mirror := os.Getenv("LAMBDAD_TEST_TERRAFORM_MIRROR")
	if mirror == "" {
		t.Skip("needs LAMBDAD_TEST_TERRAFORM_MIRROR, a folder with the hashicorp/aws provider")
	}
	return mirror
}

func needTerraform(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("LAMBDAD_TEST_TERRAFORM"); path != "" {
		return path
	}
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("needs terraform: set LAMBDAD_TEST_TERRAFORM")
	}
	return path
}

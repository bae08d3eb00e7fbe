package compat

import "testing"

// TestTerraformIAM applies what the provider has for IAM, but for what needs MFA, identity providers or
// certificates, sees no difference, changes it, and destroys it.
func TestTerraformIAM(t *testing.T) {
	h, dir, terraform := startTerraform(t, "terraform-iam")
	apply := []string{"apply", "-auto-approve", "-input=false", "-no-color"}
	plan := []string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}
	run(t, h, dir, terraform, apply...)
	run(t, h, dir, terraform, plan...)
	wantFound(t, run(t, h, dir, terraform, "output", "-json", "found"), map[string]any{
		"alias": "acct-9", "allowed": false, "key": "Active", "member": "tfu2", "profile": "tfip", "aws": "arn:aws:iam::aws:policy/ReadOnlyAccess",
	})
	changed := []string{"-var", "n=10"}
	run(t, h, dir, terraform, append(apply, changed...)...)
	run(t, h, dir, terraform, append(plan, changed...)...)
	run(t, h, dir, terraform, append([]string{"destroy", "-auto-approve", "-input=false", "-no-color"}, changed...)...)
}

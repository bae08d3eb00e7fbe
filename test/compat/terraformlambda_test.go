package compat

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambdad/lambdad/test/house"
)

// imported are the ids by which resources of the stack are imported; %NAME stands for one of its
// output "ids". What the provider cannot import so that it then sees no difference is left out:
// invocations, layers (made again, since their file is not known), their permissions, and the
// runtime management config (it imports a qualifier that the stack does not name).
var imported = map[string]string{
	"aws_lambda_function.full":                         "tf-full",
	"aws_lambda_function.steady":                       "tf-steady",
	"aws_lambda_function.snapped":                      "tf-snapped",
	"aws_lambda_function.signed":                       "tf-signed",
	"aws_lambda_alias.live":                            "tf-full/live",
	"aws_lambda_permission.s3":                         "tf-full/s3",
	"aws_lambda_permission.alias":                      "tf-full:live/rule",
	"aws_lambda_permission.version":                    "tf-steady:1/%version",
	"aws_lambda_permission.url":                        "tf-steady/url",
	"aws_lambda_permission.token":                      "tf-steady/alexa",
	"aws_lambda_function_url.steady":                   "tf-steady",
	"aws_lambda_function_url.alias":                    "tf-full/live",
	"aws_lambda_function_event_invoke_config.full":     "tf-full",
	"aws_lambda_function_event_invoke_config.alias":    "tf-full:live",
	"aws_lambda_function_recursion_config.full":        "tf-full",
	"aws_lambda_provisioned_concurrency_config.steady": "tf-steady,steady",
	"aws_lambda_event_source_mapping.queue":            "%mapping",
	"aws_lambda_code_signing_config.warn":              "%signing",
}

// TestTerraformLambda applies every resource and data source that the provider has for Lambda,
// sees no difference, changes them in place, forgets and imports them, and destroys them.
func TestTerraformLambda(t *testing.T) {
	needRoot(t)
	h, dir, terraform := startTerraform(t, "terraform-lambda")
	writeFile(t, dir, "code.zip", house.Zip(t, map[string]string{"app.py": pythonHandler}))
	writeFile(t, dir, "layer.zip", house.Zip(t, map[string]string{"python/common.py": "X = 1\n"}))
	apply := []string{"apply", "-auto-approve", "-input=false", "-no-color"}
	plan := []string{"plan", "-detailed-exitcode", "-input=false", "-no-color"}
	run(t, h, dir, terraform, apply...)
	run(t, h, dir, terraform, plan...)
	found := run(t, h, dir, terraform, "output", "-json", "found")
	wantFound(t, found, map[string]any{
		"functions": 4.0, "logs": "tf-own", "qualified": "1", "alias": "1", "layer": "what functions share",
		"url": "NONE", "signing": "Warn", "read": "data", "once": "once", "crud": "create",
	})
	at := fmt.Sprint(decode(t, found)["at"])
	if answer, err := http.Get(at); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the URL answers %v, %v", answer, err)
	}

	second := []string{"-var", "second=true"}
	if out := run(t, h, dir, terraform, append(apply, second...)...); !strings.Contains(out, "0 destroyed") {
		t.Errorf("the change was not made in place:\n%s", out)
	}
	run(t, h, dir, terraform, append(plan, second...)...)
	wantFound(t, run(t, h, dir, terraform, "output", "-json", "found"), map[string]any{"url": "AWS_IAM", "crud": "update", "alias": "1", "at": at})
	if answer, err := http.Get(at); err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("the URL that wants a signature answers %v, %v", answer, err)
	}

	ids := decode(t, run(t, h, dir, terraform, "output", "-json", "ids"))
	var blocks strings.Builder
	forget := []string{"state", "rm"}
	for at, id := range imported {
		for name, v := range ids {
			id = strings.ReplaceAll(id, "%"+name, fmt.Sprint(v))
		}
		fmt.Fprintf(&blocks, "import {\n  to = %s\n  id = %q\n}\n", at, id)
		forget = append(forget, at)
	}
	slices.Sort(forget[2:])
	run(t, h, dir, terraform, forget...)
	imports := writeFile(t, dir, "imports.tf", []byte(blocks.String()))
	out := run(t, h, dir, terraform, append(apply, second...)...)
	if !strings.Contains(out, fmt.Sprintf("%d imported, 0 added", len(imported))) || !strings.Contains(out, "0 destroyed") {
		t.Errorf("the import:\n%s", out)
	}
	if err := os.Remove(imports); err != nil {
		t.Fatal(err)
	}
	run(t, h, dir, terraform, append(plan, second...)...)
	run(t, h, dir, terraform, append([]string{"destroy", "-auto-approve", "-input=false", "-no-color"}, second...)...)
	c := lambda.NewFromConfig(h.SDKConfig(t))
	left, err := c.ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	if err != nil || len(left.Functions) != 0 {
		t.Errorf("functions are left: %+v, %v", left, err)
	}
	layers, err := c.ListLayers(t.Context(), &lambda.ListLayersInput{})
	if err != nil || len(layers.Layers) != 0 {
		t.Errorf("layers are left: %+v, %v", layers, err)
	}
	configs, err := c.ListCodeSigningConfigs(t.Context(), &lambda.ListCodeSigningConfigsInput{})
	if err != nil || len(configs.CodeSigningConfigs) != 0 {
		t.Errorf("code signing configs are left: %+v, %v", configs, err)
	}
}

func wantFound(t *testing.T, out string, want map[string]any) {
	t.Helper()
	found := decode(t, out)
	for name, v := range want {
		if found[name] != v {
			t.Errorf("%s is %v, want %v", name, found[name], v)
		}
	}
}

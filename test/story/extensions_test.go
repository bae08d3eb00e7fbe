package story

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestExtensionsAreRefused: a function is not run without the extensions that its layers bring.
func TestExtensionsAreRefused(t *testing.T) {
	c := house.Start(t).Client(t)
	layer := func(name, file string) string {
		out, err := c.Lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
			LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: house.Zip(t, map[string]string{file: "#!/bin/sh\n"})},
		})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.LayerVersionArn)
	}
	code := map[string]string{"app.py": "def handler(event, context):\n    return 1\n"}
	plain := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("plain"), Layers: []string{layer("tools", "bin/tool")}}, code)
	if r, err := c.TryInvoke(plain, "{}"); err != nil || r.FunctionError != "" {
		t.Errorf("with a layer of tools: %v", err)
	}
	watched := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("watched"), Layers: []string{layer("probe", "extensions/probe")}}, code)
	_, err := c.TryInvoke(watched, "{}")
	var refused *types.InvalidParameterValueException
	if !errors.As(err, &refused) {
		t.Errorf("with an extension: %v", err)
	}
}

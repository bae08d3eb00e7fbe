package story

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestChangesAreSeenAtOnce invokes right behind what was changed, again and again: each invoke meets the change.
func TestChangesAreSeenAtOnce(t *testing.T) {
	t.Parallel()
	h := house.Start(t)
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String("seen")}, map[string]string{"app.py": "def handler(event, context):\n    return 1\n"})
	var versions [2]string
	for i := range versions {
		if i > 0 {
			if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: aws.String("second")}); err != nil {
				t.Fatal(err)
			}
			c.WaitUpdated(name)
		}
		v, err := c.Lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		versions[i] = *v.Version
	}
	c.WaitActive(name + ":" + versions[1])
	alias, qualified := aws.String("live"), name+":live"
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 {
		must(c.Lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: alias, FunctionVersion: &versions[i%2]}))
		if a := c.Invoke(qualified, `{}`); a.Version != versions[i%2] {
			t.Errorf("round %d: version %s behind CreateAlias, want %s", i, a.Version, versions[i%2])
		}
		must(c.Lambda.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: &name, Name: alias, FunctionVersion: &versions[1-i%2]}))
		if a := c.Invoke(qualified, `{}`); a.Version != versions[1-i%2] {
			t.Errorf("round %d: version %s behind UpdateAlias, want %s", i, a.Version, versions[1-i%2])
		}
		must(c.Lambda.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: aws.Int32(0)}))
		var throttled *types.TooManyRequestsException
		if _, err := c.TryInvoke(qualified, `{}`); !errors.As(err, &throttled) {
			t.Errorf("round %d: behind a reserved concurrency of 0: %v", i, err)
		}
		must(c.Lambda.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: &name}))
		if _, err := c.TryInvoke(qualified, `{}`); err != nil {
			t.Errorf("round %d: behind DeleteFunctionConcurrency: %v", i, err)
		}
		must(c.Lambda.DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: &name, Name: alias}))
		var missing *types.ResourceNotFoundException
		if _, err := c.TryInvoke(qualified, `{}`); !errors.As(err, &missing) {
			t.Errorf("round %d: behind DeleteAlias: %v", i, err)
		}
	}
}

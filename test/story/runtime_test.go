package story

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// TestNoRuntime: a function whose runtime nothing here gives is created, and then fails with what to do.
func TestNoRuntime(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	created, err := c.Lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("dotnet"), Runtime: types.RuntimeDotnet8, Handler: aws.String("A::B::C"), Role: &c.Role,
		Code: &types.FunctionCode{ZipFile: house.Zip(t, map[string]string{"x": "y"})},
	})
	if err != nil || created.State != types.StatePending {
		t.Fatalf("create: %v, %v", created, err)
	}
	for range 100 {
		got, err := c.Lambda.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("dotnet")})
		if err != nil {
			t.Fatal(err)
		}
		if got.State == types.StatePending {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if got.State != types.StateFailed || !strings.Contains(aws.ToString(got.StateReason), "lambdad runtime add dotnet8") {
			t.Errorf("state %s: %s", got.State, aws.ToString(got.StateReason))
		}
		if _, err := c.TryInvoke("dotnet", "{}"); err == nil {
			t.Error("a failed function was invoked")
		}
		return
	}
	t.Error("the function stays Pending")
}

// TestNearestRuntimeSaysSo: the log's first lines tell that another version runs.
func TestNearestRuntimeSaysSo(t *testing.T) {
	h := house.Start(t)
	c := h.Client(t)
	// No machine has them all: the first that is not here exactly is what the test wants.
	for _, runtime := range []types.Runtime{types.RuntimePython38, types.RuntimePython39, types.RuntimePython310, types.RuntimePython314} {
		name := c.Function(lambda.CreateFunctionInput{FunctionName: aws.String(strings.NewReplacer(".", "-").Replace(string(runtime))), Runtime: runtime}, map[string]string{"app.py": "def handler(event, context):\n    return 1\n"})
		c.Invoke(name, "{}")
		lines := c.LogLines(name, "REPORT")
		for _, line := range lines[:min(3, len(lines))] {
			if strings.Contains(line, string(runtime)+" is not on this machine") {
				return
			}
		}
	}
	t.Skip("this machine has every version asked for")
}

// Package guest is what runs of the tests inside the virtual machine that
// test/vm boots. It must never run elsewhere: package vm starts it.
package guest

import (
	"os"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambdad/lambdad/test/house"
)

// functionVariable names the built function, and that this is the guest.
const functionVariable = "LAMBDAD_VM_FUNCTION"

func TestMain(m *testing.M) { os.Exit(house.Main(m)) }

// TestServe is the life of a function: cold, warm, out of memory, out of time,
// slowed down, and after kill -9.
func TestServe(t *testing.T) {
	path := os.Getenv(functionVariable)
	if path == "" {
		t.Skip("runs in the virtual machine of test/vm only")
	}
	bootstrap, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h := house.Start(t, "--auth", "none")
	if regexp.MustCompile(`unenforced="\[[^\]]*(memory|cpu)`).MatchString(h.Log()) {
		t.Errorf("lambdad enforces too little here:\n%s", h.Log())
	}
	c := h.Client(t)
	name := c.Function(lambda.CreateFunctionInput{Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		MemorySize: aws.Int32(512), Timeout: aws.Int32(60)}, map[string]string{"bootstrap*": string(bootstrap)})

	invokes := func(payload string) (n float64) {
		t.Helper()
		answer := c.Invoke(name, payload)
		if answer.FunctionError != "" {
			t.Fatalf("%s: %+v", payload, answer)
		}
		return answer.JSON(t)["Invokes"].(float64)
	}
	warm := func() {
		t.Helper()
		for range 5 { // one that comes before the runtime asks for it gets another environment
			if invokes("{}") > 1 {
				return
			}
		}
		t.Error("no environment was used twice")
	}
	if n := invokes("{}"); n != 1 {
		t.Errorf("cold: invoke %v", n)
	}
	warm()

	burnt := c.Invoke(name, `{"BurnMS":2000}`)
	// 512 MiB of 1,769 are 0.29 of a core.
	if used := burnt.JSON(t)["UsedMS"].(float64); used > 1000 {
		t.Errorf("burnt %v ms of processor time in 2 s: %+v", used, burnt)
	}
	eaten := c.Invoke(name, `{"EatMiB":700}`)
	if eaten.FunctionError == "" || !regexp.MustCompile(`Runtime.OutOfMemory|signal: killed`).MatchString(eaten.Payload+eaten.Log) {
		t.Errorf("700 MiB of 512: %+v", eaten)
	}
	if n := invokes("{}"); n != 1 {
		t.Errorf("after that: invoke %v", n)
	}
	if _, err := c.Lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Timeout: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	c.WaitUpdated(name)
	if late := c.Invoke(name, `{"SleepMS":15000}`); late.FunctionError == "" || !regexp.MustCompile(`timed out after 3.00 seconds`).MatchString(late.Payload) {
		t.Errorf("15 s of 3: %+v", late)
	}
	h.Kill()
	h.Run()
	invokes("{}")
	warm()
	h.Stop()
}

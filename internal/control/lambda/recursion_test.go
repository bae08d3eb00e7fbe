package lambda

import (
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestRecursionConfig(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	put := func(name, loop string) error {
		_, err := h.h.PutFunctionRecursionConfig(t.Context(), call(), &api.PutFunctionRecursionConfigRequest{FunctionName: &name, RecursiveLoop: &loop})
		return err
	}
	get := func(name string) (string, error) {
		out, err := h.h.GetFunctionRecursionConfig(t.Context(), call(), &api.GetFunctionRecursionConfigRequest{FunctionName: &name})
		if err != nil {
			return "", err
		}
		return *out.RecursiveLoop, nil
	}
	is := func(want string) {
		t.Helper()
		if got, err := get("f"); err != nil || got != want {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
	}
	is("Terminate")
	for _, loop := range []string{"Allow", "Terminate", "Allow"} {
		if err := put("f", loop); err != nil {
			t.Fatal(err)
		}
		is(loop)
	}
	for name, code := range map[string]string{"none": "ResourceNotFoundException", "f:1": "InvalidParameterValueException"} {
		_, err := get(name)
		for _, err := range []error{put(name, "Allow"), err} {
			if fault, ok := err.(wire.Fault); !ok || fault.FaultCode() != code {
				t.Errorf("%s: %v, want %s", name, err, code)
			}
		}
	}
	// A later function of the name begins anew.
	h.settleAll()
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")}); err != nil {
		t.Fatal(err)
	}
	h.create("f")
	is("Terminate")
}

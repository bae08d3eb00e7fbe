package lambda

import (
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestRuntimeManagement(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	put := func(name, mode string, arn *string) error {
		_, err := h.h.PutRuntimeManagementConfig(t.Context(), call(), &api.PutRuntimeManagementConfigRequest{FunctionName: &name, UpdateRuntimeOn: &mode, RuntimeVersionArn: arn})
		return err
	}
	if err := put("f", "Auto", nil); err != nil {
		t.Error(err)
	}
	arn := wire.Ptr("arn:aws:lambda:us-east-1::runtime:x")
	wantFault(t, put("f", "Auto", arn), "InvalidParameterValueException", "only be given")
	wantFault(t, put("f", "Manual", arn), "InvalidParameterValueException", "Manual is not supported")
	wantFault(t, put("f", "FunctionUpdate", nil), "InvalidParameterValueException", "FunctionUpdate is not supported")
	wantFault(t, put("none", "Auto", nil), "ResourceNotFoundException", "none")
	got, err := h.h.GetRuntimeManagementConfig(t.Context(), call(), &api.GetRuntimeManagementConfigRequest{FunctionName: wire.Ptr("f")})
	if err != nil || *got.UpdateRuntimeOn != "Auto" || got.RuntimeVersionArn != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAbsentKinds(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	_, err := h.h.CreateCapacityProvider(t.Context(), call(), &api.CreateCapacityProviderRequest{})
	wantFault(t, err, "InvalidParameterValueException", "CreateCapacityProvider is not supported")
	none, err := h.h.ListDurableExecutionsByFunction(t.Context(), call(), &api.ListDurableExecutionsByFunctionRequest{FunctionName: wire.Ptr("f")})
	if err != nil || len(none.DurableExecutions) != 0 {
		t.Errorf("durable executions of a function: %+v, %v", none, err)
	}
	_, err = h.h.GetDurableExecution(t.Context(), call(), &api.GetDurableExecutionRequest{})
	wantFault(t, err, "ResourceNotFoundException", "does not exist")
	all, err := h.h.ListCapacityProviders(t.Context(), call(), &api.ListCapacityProvidersRequest{})
	if err != nil || len(all.CapacityProviders) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

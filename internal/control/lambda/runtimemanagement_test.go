package lambda

import (
	"strings"
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/artifact/runtimes"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func TestRuntimeManagement(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	get := func(name string) *api.GetRuntimeManagementConfigResponse {
		t.Helper()
		got, err := h.h.GetRuntimeManagementConfig(t.Context(), call(), &api.GetRuntimeManagementConfigRequest{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	put := func(name, mode string, arn *string) error {
		_, err := h.h.PutRuntimeManagementConfig(t.Context(), call(), &api.PutRuntimeManagementConfigRequest{FunctionName: &name, UpdateRuntimeOn: &mode, RuntimeVersionArn: arn})
		return err
	}
	if err := put("f", "Auto", nil); err != nil {
		t.Error(err)
	}
	arn := wire.Ptr("arn:aws:lambda:us-east-1::runtime:x")
	wantFault(t, put("f", "Auto", arn), "InvalidParameterValueException", "only be given")
	wantFault(t, put("f", "Manual", nil), "InvalidParameterValueException", "must be given")
	wantFault(t, put("f", "Manual", arn), "InvalidParameterValueException", "is not a version of python3.12 that is available here")
	// The host's own interpreter cannot be held.
	now := func() string { return *h.configuration("f").RuntimeVersionConfig.RuntimeVersionArn }
	wantFault(t, put("f", "FunctionUpdate", nil), "InvalidParameterValueException", "this machine's own")
	wantFault(t, put("f", "Manual", wire.Ptr(now())), "InvalidParameterValueException", "this machine's own")
	wantFault(t, put("none", "Auto", nil), "ResourceNotFoundException", "none")
	wantFault(t, put("f:alias", "Auto", nil), "InvalidParameterValueException", "Aliases are not allowed")
	if got := get("f"); *got.UpdateRuntimeOn != "Auto" || got.RuntimeVersionArn != nil {
		t.Errorf("%+v", got)
	}

	update := func() error {
		_, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Description: wire.Ptr("d")})
		h.settleAll()
		return err
	}
	release := func(version string) {
		h.runtimes.mu.Lock()
		defer h.runtimes.mu.Unlock()
		h.runtimes.origin, h.runtimes.version = runtimes.OriginInstalled, version
	}
	held := func() uint64 {
		t.Helper()
		s, err := h.table.Get(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}, record.Latest)
		if err != nil {
			t.Fatal(err)
		}
		return s.Generation
	}
	release("1")
	if err := put("f", "FunctionUpdate", nil); err != nil {
		t.Fatal(err)
	}
	first := now()
	if got := get("f"); *got.UpdateRuntimeOn != "FunctionUpdate" || got.RuntimeVersionArn != nil {
		t.Errorf("%+v", got)
	}
	before := held()
	release("2")
	if now() != first {
		t.Error("the function moved without an update")
	}
	if err := update(); err != nil || now() == first {
		t.Error("an update did not take the newer version", err)
	}
	second := now()
	if held() <= before {
		t.Error("environments of the older version go on")
	}
	wantFault(t, put("f", "Manual", wire.Ptr(strings.Replace(second, "us-east-1", "eu-west-1", 1))), "InvalidParameterValueException", "is not a version")
	if err := put("f", "Manual", &second); err != nil {
		t.Fatal(err)
	}
	if got := get("f"); *got.UpdateRuntimeOn != "Manual" || *got.RuntimeVersionArn != second {
		t.Errorf("%+v", got)
	}
	v, err := h.h.PublishVersion(t.Context(), call(), &api.PublishVersionRequest{FunctionName: wire.Ptr("f")})
	if err != nil || *get("f:1").RuntimeVersionArn != second {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Runtime: wire.Ptr("python3.13")})
	wantFault(t, err, "InvalidParameterValueException", "held to a version of python3.12")
	// The version is gone: an update says so, and Auto goes on.
	release("3")
	if err := update(); err != nil || now() != second {
		t.Error(err)
	}
	if c := h.configuration("f"); *c.State != "Active" || *c.LastUpdateStatus != "Failed" || *c.LastUpdateStatusReasonCode != "InvalidRuntime" {
		t.Errorf("%+v", c)
	}
	if err := put("f", "Auto", nil); err != nil || now() == second {
		t.Error(err)
	}
	if got := get("f:1"); *got.UpdateRuntimeOn != "Manual" {
		t.Errorf("each version has its own: %+v", got)
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

package lambda

import (
	"testing"

	api "github.com/lambdad/lambdad/internal/api/lambda"
	"github.com/lambdad/lambdad/internal/record"
	"github.com/lambdad/lambdad/internal/wire"
)

func (h *house) publish(name string) {
	h.t.Helper()
	if _, err := h.h.PublishVersion(h.t.Context(), call(), &api.PublishVersionRequest{FunctionName: &name}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) provision(name, qualifier string, n int32) (*api.PutProvisionedConcurrencyConfigResponse, error) {
	return h.h.PutProvisionedConcurrencyConfig(h.t.Context(), call(), &api.PutProvisionedConcurrencyConfigRequest{
		FunctionName: &name, Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n,
	})
}

func TestLifeOfProvisionedConcurrency(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	h.publish("f")
	put, err := h.provision("f", "1", 5)
	if err != nil {
		t.Fatal(err)
	}
	if *put.Status != "IN_PROGRESS" || *put.RequestedProvisionedConcurrentExecutions != 5 || *put.AvailableProvisionedConcurrentExecutions != 0 {
		t.Errorf("put answers %+v", put)
	}
	id := record.FunctionID{Account: testAccount, Region: testRegion, Name: "f"}
	stored, err := h.table.GetProvisioned(t.Context(), id, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.table.ReportProvisioned(t.Context(), id, "1", stored.Serial, record.ProvisionedStatus{State: record.ProvisionedReady, Available: 5}); err != nil {
		t.Fatal(err)
	}
	get := func() (*api.GetProvisionedConcurrencyConfigResponse, error) {
		return h.h.GetProvisionedConcurrencyConfig(t.Context(), call(), &api.GetProvisionedConcurrencyConfigRequest{FunctionName: wire.Ptr("f"), Qualifier: wire.Ptr("1")})
	}
	if got, err := get(); err != nil || *got.Status != "READY" || *got.AllocatedProvisionedConcurrentExecutions != 5 || got.StatusReason != nil {
		t.Errorf("%+v, %v", got, err)
	}
	settings, err := h.h.GetAccountSettings(t.Context(), call(), &api.GetAccountSettingsRequest{})
	if err != nil || *settings.AccountLimit.UnreservedConcurrentExecutions != 995 {
		t.Errorf("%+v, %v", settings, err)
	}
	if err := h.h.DeleteProvisionedConcurrencyConfig(t.Context(), call(), &api.DeleteProvisionedConcurrencyConfigRequest{FunctionName: wire.Ptr("f"), Qualifier: wire.Ptr("1")}); err != nil {
		t.Error(err)
	}
	_, err = get()
	wantFault(t, err, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
}

func TestProvisionedConcurrencyRefuses(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.Limits.MemoryMiB = 1024 })
	h.create("f")
	h.publish("f")
	_, err := h.provision("f", "1", 901)
	wantFault(t, err, "InvalidParameterValueException", "below its minimum value of [100]")
	_, err = h.provision("f", "1", 9)
	wantFault(t, err, "InvalidParameterValueException", "--memory")
	if _, err = h.provision("f", "1", 8); err != nil {
		t.Error(err)
	}
	if _, err = h.provision("f", "1", 7); err != nil { // in place of the 8
		t.Error(err)
	}

	create := createRequest(t, "snapped")
	create.SnapStart = &api.SnapStart{ApplyOn: wire.Ptr("PublishedVersions")}
	if _, err := h.h.CreateFunction(t.Context(), call(), create); err != nil {
		t.Fatal(err)
	}
	h.settleAll()
	h.publish("snapped")
	_, err = h.provision("snapped", "1", 1)
	wantFault(t, err, "ResourceConflictException", "Pending")
	if err := h.table.EndSnapshot(t.Context(), record.FunctionID{Account: testAccount, Region: testRegion, Name: "snapped"}, "1", record.SnapshotOutcome{}); err != nil {
		t.Fatal(err)
	}
	_, err = h.provision("snapped", "1", 1)
	wantFault(t, err, "InvalidParameterValueException", "not supported for SnapStart enabled functions")
}

func TestListProvisionedConcurrencyPages(t *testing.T) {
	h := newHouse(t)
	h.create("f")
	for i := range 3 {
		if i > 0 {
			if _, err := h.h.UpdateFunctionConfiguration(t.Context(), call(), &api.UpdateFunctionConfigurationRequest{FunctionName: wire.Ptr("f"), Timeout: wire.Ptr(int32(10 + i))}); err != nil {
				t.Fatal(err)
			}
			h.settleAll()
		}
		h.publish("f")
	}
	for _, v := range []string{"1", "2", "3"} {
		if _, err := h.provision("f", v, 1); err != nil {
			t.Fatal(err)
		}
	}
	list := func(marker *string) *api.ListProvisionedConcurrencyConfigsResponse {
		t.Helper()
		out, err := h.h.ListProvisionedConcurrencyConfigs(t.Context(), call(), &api.ListProvisionedConcurrencyConfigsRequest{FunctionName: wire.Ptr("f"), MaxItems: wire.Ptr(int32(2)), Marker: marker})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := list(nil)
	if len(first.ProvisionedConcurrencyConfigs) != 2 || first.NextMarker == nil {
		t.Fatalf("first page %+v", first)
	}
	second := list(first.NextMarker)
	if len(second.ProvisionedConcurrencyConfigs) != 1 || second.NextMarker != nil || *second.ProvisionedConcurrencyConfigs[0].FunctionArn != "arn:aws:lambda:us-east-1:111111111111:function:f:3" {
		t.Errorf("second page %+v", second)
	}
	// What is deleted takes its configuration along.
	if _, err := h.h.DeleteFunction(t.Context(), call(), &api.DeleteFunctionRequest{FunctionName: wire.Ptr("f")}); err != nil {
		t.Fatal(err)
	}
	if err := h.table.EachProvisioned(t.Context(), func(p *record.Provisioned) { t.Errorf("%+v is left", p) }); err != nil {
		t.Error(err)
	}
}
